// SPDX-License-Identifier: MIT
// The rules by which several targets become one.
#include <ublk/composite.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace ublk {

namespace {

// Of two limits, where 0 is none.
template <class T> T shorter(T one, T other) {
    if (one == 0 || other == 0)
        return std::max(one, other);
    return std::min(one, other);
}

// Of two abilities, where 0 is that there is none.
template <class T> T common(T one, T other) { return std::min(one, other); }

// It is advice: where the granules of both begin together is what counts, and if they never do
// those of the larger are as good as any.
DiscardLimits combine(const DiscardLimits& one, const DiscardLimits& other) {
    DiscardLimits both = one.granularity >= other.granularity ? one : other;
    both.max_bytes = common(one.max_bytes, other.max_bytes);
    both.max_segments = common(one.max_segments, other.max_segments);
    return both;
}

SegmentLimits combine(const SegmentLimits& one, const SegmentLimits& other) {
    return {.boundary_mask = shorter(one.boundary_mask, other.boundary_mask),
            .max_bytes = shorter(one.max_bytes, other.max_bytes),
            .max_segments = shorter(one.max_segments, other.max_segments)};
}

// Completed writes are stable without more ado, or can be asked to be.
bool has_no_need_to_flush(const Geometry& geometry) {
    return !geometry.volatile_cache || geometry.fua;
}

Geometry combine(const Geometry& one, const Geometry& other) {
    Geometry both;
    both.size_bytes = std::min(one.size_bytes, other.size_bytes);
    both.logical_block_size = std::max(one.logical_block_size, other.logical_block_size);
    both.physical_block_size = std::max(one.physical_block_size, other.physical_block_size);
    both.io_min = std::max(one.io_min, other.io_min);
    both.io_opt = std::max(one.io_opt, other.io_opt);
    both.max_io_bytes = std::min(one.max_io_bytes, other.max_io_bytes);
    both.chunk_bytes = shorter(one.chunk_bytes, other.chunk_bytes);
    both.dma_alignment = std::max(one.dma_alignment, other.dma_alignment);
    both.virtual_boundary_mask = one.virtual_boundary_mask | other.virtual_boundary_mask;
    both.read_only = one.read_only || other.read_only;
    both.rotational = one.rotational || other.rotational;
    both.volatile_cache = one.volatile_cache || other.volatile_cache;
    both.fua = both.volatile_cache && has_no_need_to_flush(one) && has_no_need_to_flush(other);
    both.discard = combine(one.discard, other.discard);
    both.max_write_zeroes_bytes = common(one.max_write_zeroes_bytes, other.max_write_zeroes_bytes);
    both.segments = combine(one.segments, other.segments);
    return both;
}

Error misfit(std::size_t index, std::string hint) {
    return Error{EINVAL, "child " + std::to_string(index), std::move(hint), ErrorKind::usage};
}

// Chunks of sizes that divide each other end where the smaller ones do.
bool chunks_fit(const Geometry& one, const Geometry& other) {
    const auto larger = std::max(one.chunk_bytes, other.chunk_bytes);
    const auto smaller = std::min(one.chunk_bytes, other.chunk_bytes);
    return smaller == 0 || larger % smaller == 0;
}

} // namespace

Result<Geometry> combine(std::span<const Geometry> parts) {
    Geometry whole = parts.front();
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (parts[i].is_zoned())
            return misfit(i, "a zoned disk cannot be a part of another one");
        if (!chunks_fit(whole, parts[i]))
            return misfit(i, "no I/O may cross a multiple of " +
                                 std::to_string(parts[i].chunk_bytes) +
                                 " bytes there, which does not fit the others");
        whole = combine(whole, parts[i]);
    }
    // Whole blocks, of what may be a file of any length.
    whole.size_bytes -= whole.size_bytes % whole.logical_block_size;
    if (whole.size_bytes == 0)
        return misfit(0, "a child is shorter than one block of " +
                             std::to_string(whole.logical_block_size) + " bytes");
    whole.physical_block_size = std::max(whole.physical_block_size, whole.logical_block_size);
    return whole;
}

Composite::Composite(std::vector<std::unique_ptr<Target>> parts) : parts_(std::move(parts)) {}

Error Composite::in_part(std::size_t index, Error error) {
    error.step = "child " + std::to_string(index) + ": " + error.step;
    return error;
}

unsigned Composite::frames() const {
    unsigned frames = usual_frames;
    for (const auto& part : parts_)
        frames += part ? 1 + part->frames() : 0;
    return frames;
}

DataAccess Composite::data_access() const {
    const bool looks = std::any_of(parts_.begin(), parts_.end(), [](const auto& part) {
        return part && part->data_access() == DataAccess::memory;
    });
    return looks ? DataAccess::memory : DataAccess::ring;
}

Persistence Composite::persistence() const {
    Persistence least = Persistence::backing;
    for (const auto& part : parts_) {
        const Persistence own = part ? part->persistence() : Persistence::backing;
        if (own == Persistence::process)
            return own;
        if (own == Persistence::flushed)
            least = own;
    }
    return least;
}

std::vector<BackingUse> Composite::backings() const {
    std::vector<BackingUse> all;
    for (const auto& part : parts_) {
        if (!part) {
            all.emplace_back();
            continue;
        }
        for (BackingUse& use : part->backings())
            all.push_back(std::move(use));
    }
    return all;
}

std::optional<bool> Composite::is_direct() const {
    std::optional<bool> common;
    for (const auto& part : parts_) {
        const auto own = part ? part->is_direct() : std::nullopt;
        if (own && common && *own != *common)
            return std::nullopt;
        if (own)
            common = own;
    }
    return common;
}

std::vector<std::string> Composite::remarks() const {
    std::vector<std::string> all;
    for (std::size_t i = 0; i < parts_.size(); ++i)
        if (parts_[i])
            for (const std::string& remark : parts_[i]->remarks())
                all.push_back("child " + std::to_string(i) + ": " + remark);
    return all;
}

void Composite::register_files(FileTable& files) {
    for (const auto& part : parts_)
        if (part)
            part->register_files(files);
}

Async<Result<void>> Composite::begin(Ring ring) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        if (!parts_[i])
            continue;
        const Result<void> begun = co_await parts_[i]->begin(ring);
        if (begun)
            continue;
        for (std::size_t earlier = 0; earlier < i; ++earlier)
            if (parts_[earlier])
                co_await parts_[earlier]->end(ring);
        co_return in_part(i, begun.error());
    }
    co_return Result<void>{};
}

Async<void> Composite::end(Ring ring) {
    for (const auto& part : parts_)
        if (part)
            co_await part->end(ring);
}

Result<void> Composite::finish() {
    Result<void> first{};
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        if (!parts_[i])
            continue;
        auto finished = parts_[i]->finish();
        if (first && !finished)
            first = in_part(i, finished.error());
    }
    return first;
}

Result<Reply> Composite::command(std::string_view name, std::span<const std::string> words) {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        const std::string prefix = std::to_string(i) + "/";
        if (!parts_[i] || !name.starts_with(prefix))
            continue;
        auto reply = parts_[i]->command(name.substr(prefix.size()), words);
        return reply ? reply : Result<Reply>{in_part(i, reply.error())};
    }
    return Error{EOPNOTSUPP, "command '" + std::string(name) + "'",
                 "no such command here; 0/NAME is that of the first child", ErrorKind::usage};
}

void Composite::measure(Metrics& metrics) const {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
        if (!parts_[i])
            continue;
        Metrics own;
        parts_[i]->measure(own);
        for (const Metrics::Entry& entry : own.entries())
            metrics.add(std::to_string(i) + "/" + entry.layer, entry.name, entry.value);
    }
}

std::vector<std::string> Composite::paths() const {
    std::vector<std::string> all;
    for (const auto& part : parts_)
        if (part)
            for (std::string& path : part->paths())
                all.push_back(std::move(path));
    return all;
}

} // namespace ublk
