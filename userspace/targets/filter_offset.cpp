// SPDX-License-Identifier: GPL-2.0-or-later
// The `offset` filter: the disk is a part of what it stands on.
#include <algorithm>
#include <cerrno>
#include <numeric>

#include <ublk/filter.h>

#include "settings.h"

namespace ublk::targets {

namespace {

constexpr OptionInfo options[] = {
    {"start", OptionType::size, "0", "where the disk begins"},
    {"size", OptionType::size, "", "how large it is (default: all behind the start)"},
};

// Granules of a discard stay where they are below.
DiscardLimits shifted(DiscardLimits limits, std::uint64_t start, std::uint32_t block) {
    const std::uint64_t granule = std::max(limits.granularity, block);
    limits.alignment =
        static_cast<std::uint32_t>((limits.alignment + granule - start % granule) % granule);
    return limits;
}

class Offset final : public Filter {
public:
    Offset(std::unique_ptr<Target> next, const OptionValues& values)
        : Filter(std::move(next)), values_(values), start_(values.size("start")),
          size_(values.size("size")) {}

    Geometry geometry() const override {
        Geometry geometry = Filter::geometry();
        geometry.size_bytes = size_ ? size_ : geometry.size_bytes - start_;
        if (geometry.discard.max_bytes)
            geometry.discard = shifted(geometry.discard, start_, geometry.logical_block_size);
        return geometry;
    }

    // Whoever uses the disk would find another one.
    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name != "offset")
            return Filter::command(name, words);
        if (!words.empty())
            return Error{EINVAL, "offset",
                         "what part of it the disk is cannot be changed while there is a disk: del "
                         "it, and add it with other options",
                         ErrorKind::usage};
        return Settings::describe(options, values_);
    }

    // A part of a fixed size keeps it; the rest grows with what it is the rest of.
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        if (size_)
            return Error{EINVAL, "resize", "the offset filter was given size=", ErrorKind::usage};
        if (size && *size > UINT64_MAX - start_)
            return Error{EFBIG, "resize", "that is too large", ErrorKind::usage};
        auto below = next().resize(size ? std::optional{*size + start_} : std::nullopt);
        if (below && *below <= start_)
            return Error{ENODATA, "resize", "it ends before the disk begins", ErrorKind::backend};
        return below ? Result<std::uint64_t>{*below - start_} : below;
    }

    Async<Answer> serve(Ring ring, Request request) override {
        request.offset += start_; // of a flush, too, which has none to begin with
        if (request.op == Op::flush)
            request.offset = 0;
        return next().serve(ring, request);
    }

private:
    OptionValues values_;
    std::uint64_t start_;
    std::uint64_t size_; // 0: all behind the start
};

Error misfit(const std::string& step, std::string hint) {
    return Error{EINVAL, step, std::move(hint), ErrorKind::usage};
}

Result<std::unique_ptr<Target>> wrap(std::vector<std::unique_ptr<Target>> inner,
                                     const OptionValues& values, const GeometryRequest&) {
    const Geometry below = inner.front()->geometry();
    const std::uint64_t start = values.size("start");
    const std::uint64_t size = values.size("size");
    // Blocks and chunks must not shift.
    const std::uint64_t unit =
        std::lcm(std::max(below.physical_block_size, below.logical_block_size),
                 std::max(below.chunk_bytes, 1U));
    if (below.is_zoned())
        return misfit("offset", "a zoned disk has no parts; leave this filter out");
    if (start % unit || size % below.logical_block_size)
        return misfit("start=" + std::to_string(start),
                      "give whole blocks of " + std::to_string(unit) + " bytes");
    if (start >= below.size_bytes || size > below.size_bytes - start)
        return misfit("start=" + std::to_string(start) + ",size=" + std::to_string(size),
                      "there are " + std::to_string(below.size_bytes) + " bytes");
    return std::unique_ptr<Target>{std::make_unique<Offset>(std::move(inner.front()), values)};
}

// What a part of a fixed size is a part of may have any.
std::uint64_t size_inside(const OptionValues& values, std::uint64_t size) {
    return values.size("size") ? 0 : size + values.size("start");
}

} // namespace

extern const TargetInfo offset_info;
const TargetInfo offset_info{.name = "offset",
                             .summary = "the disk is a part of it",
                             .options = options,
                             .wrap = wrap,
                             .least = 1,
                             .most = 1,
                             .size_inside = size_inside};

} // namespace ublk::targets
