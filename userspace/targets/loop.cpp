// SPDX-License-Identifier: GPL-2.0-or-later
// The `loop` target: a file or block device, or a part of one, served through the queue's own ring.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <linux/falloc.h>
#include <ublk/target.h>

#include "backing.h"

namespace ublk::targets {

namespace {

constexpr std::uint32_t longest_write_zeroes = 1U << 30;
constexpr std::uint32_t largest_block = 4096;

alignas(4096) constexpr std::array<std::byte, 65536> zeroes{};

// The part of the backing that the device shows.
struct Window {
    std::uint64_t offset;
    std::uint64_t length;
};

// What was asked for at the start, and holds for each new size.
struct Wish {
    std::string path;
    std::uint64_t sizelimit; // 0: none
};

class Loop final : public Target {
public:
    Loop(Backing backing, Wish wish, std::uint64_t offset, const Geometry& geometry)
        : backing_(std::move(backing)), wish_(std::move(wish)), offset_(offset),
          geometry_(geometry), file_(backing_.fd.get()) {}

    Geometry geometry() const override { return geometry_; }
    void register_files(FileTable& files) override { file_ = files.add(backing_.fd.get()); }
    // Direct I/O on pages of the users must be aligned as the backing needs it, which has to be
    // known.
    DataAccess data_access() const override {
        return !backing_.direct || backing_.memory_alignment ? DataAccess::ring
                                                             : DataAccess::memory;
    }
    Persistence persistence() const override { return Persistence::backing; }

    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        auto available = current_size(backing_);
        if (!available)
            return in_file(available.error());
        return size ? make_room(*size, *available) : whole_backing(*available);
    }

    Async<Answer> serve(Ring ring, Request request) override {
        const std::uint64_t offset = offset_ + request.offset;
        const auto durability = request.fua ? Durability::stable : Durability::cached;

        switch (request.op) {
        case Op::read:
            co_return co_await ring.read(file_, request.data, offset);
        case Op::write:
            co_return co_await ring.write(file_, request.data, offset, durability);
        case Op::flush:
            co_return co_await ring.sync(file_, Sync::data);
        case Op::discard:
            co_return co_await ring.allocate(file_, backing_.discard_mode, offset, request.length);
        case Op::write_zeroes:
            co_return co_await zero(ring, {offset, request.length}, request.no_unmap);
        default:
            co_return -EOPNOTSUPP; // of zones, which this device has not
        }
    }

private:
    Error in_file(Error error) const {
        error.step = "file=" + wish_.path + ": " + error.step;
        return error;
    }

    Result<std::uint64_t> whole_backing(std::uint64_t available) const {
        if (available <= offset_)
            return Error{ENODATA, "file=" + wish_.path,
                         "it ends before the device begins; truncate -s SIZE makes it larger",
                         ErrorKind::backend};
        const std::uint64_t rest = available - offset_;
        return wish_.sizelimit ? std::min(rest, wish_.sizelimit) : rest;
    }

    // A file is made larger, never smaller: that would lose what is in it.
    Result<std::uint64_t> make_room(std::uint64_t size, std::uint64_t available) {
        if (wish_.sizelimit && size > wish_.sizelimit)
            return Error{EINVAL, "size=" + std::to_string(size),
                         "the device was added with sizelimit=" + std::to_string(wish_.sizelimit),
                         ErrorKind::usage};
        if (size > UINT64_MAX - offset_)
            return Error{EFBIG, "size=" + std::to_string(size), "that is too large",
                         ErrorKind::usage};
        if (offset_ + size <= available)
            return size;
        if (auto grown = extend(backing_, offset_ + size); !grown)
            return in_file(grown.error());
        return size;
    }

    // The cheapest way that the backing has; which one that is shows at the first attempt.
    Async<int> zero(Ring ring, Window range, bool keep_allocated) {
        constexpr int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        constexpr int zero_range = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

        if (!keep_allocated && can_punch_.load(std::memory_order_relaxed)) {
            int result = co_await ring.allocate(file_, punch, range.offset, range.length);
            if (result != -EOPNOTSUPP)
                co_return result;
            can_punch_.store(false, std::memory_order_relaxed);
        }
        if (can_zero_range_.load(std::memory_order_relaxed)) {
            int result = co_await ring.allocate(file_, zero_range, range.offset, range.length);
            if (result != -EOPNOTSUPP)
                co_return result;
            can_zero_range_.store(false, std::memory_order_relaxed);
        }
        while (range.length > 0) {
            const std::uint64_t length = std::min<std::uint64_t>(range.length, zeroes.size());
            int result = co_await ring.write(file_, std::span(zeroes).first(length), range.offset);
            if (result != static_cast<int>(length))
                co_return result < 0 ? result : -EIO;
            range.offset += length;
            range.length -= length;
        }
        co_return 0;
    }

    Backing backing_;
    Wish wish_;
    std::uint64_t offset_; // in the backing
    Geometry geometry_;
    File file_;
    // Learned once and shared by the queues; a stale value costs one vain attempt.
    std::atomic<bool> can_punch_{true};
    std::atomic<bool> can_zero_range_{true};
};

Result<Window> choose_window(const OptionValues& values, const Backing& backing,
                             std::uint32_t block) {
    const std::string& path = values.text("file");
    Window window{values.size("offset"), 0};
    if (window.offset % block)
        return Error{EINVAL, "offset=" + std::to_string(window.offset),
                     "direct I/O on this backing needs a multiple of " + std::to_string(block) +
                         "; or use direct=no",
                     ErrorKind::usage};
    if (window.offset >= backing.size)
        return Error{EINVAL, "offset=" + std::to_string(window.offset),
                     path + " has " + std::to_string(backing.size) + " bytes", ErrorKind::usage};
    const std::uint64_t rest = backing.size - window.offset;
    const std::uint64_t limit = values.size("sizelimit");
    window.length = limit ? std::min(rest, limit) : rest;
    return window;
}

// The disk exists already, so its size is not ours to choose.
Result<Window> cut_to_disk(Window window, std::uint64_t size, const std::string& path) {
    if (size > window.length)
        return Error{ENODATA, "file=" + path,
                     "it is shorter than the disk, which has " + std::to_string(size) + " bytes",
                     ErrorKind::backend};
    window.length = size;
    return window;
}

Error not_whole_blocks(const std::string& path, std::uint64_t size, std::uint32_t block) {
    const std::string down = std::to_string(size / block * block);
    const std::string up = std::to_string((size / block + 1) * block);
    std::string hint = "extend it: truncate -s " + up + " " + path;
    if (size > block)
        hint += "; or cut the rest off: sizelimit=" + down;
    return Error{EINVAL,
                 "file=" + path + ": " + std::to_string(size) +
                     " bytes are not a multiple of the block size " + std::to_string(block),
                 hint, ErrorKind::backend};
}

Result<Geometry> describe(const Backing& backing, const std::string& path, const Window& window,
                          const GeometryRequest& request) {
    const std::uint32_t least = backing.offset_alignment;
    const std::uint32_t block = request.logical_block_size ? request.logical_block_size : least;
    if (block < least)
        return Error{EINVAL, "block size " + std::to_string(block),
                     "direct I/O on " + path + " needs " + std::to_string(least) + "; use -b " +
                         std::to_string(least) + " or direct=no",
                     ErrorKind::usage};
    if (std::has_single_bit(block) && block <= largest_block && window.length % block)
        return not_whole_blocks(path, window.length, block);

    Geometry geometry;
    geometry.size_bytes = window.length;
    geometry.logical_block_size = least;
    geometry.physical_block_size = std::max(backing.physical_block_size, least);
    geometry.io_min = backing.io_min > geometry.physical_block_size ? backing.io_min : 0;
    geometry.io_opt = backing.io_opt;
    geometry.dma_alignment = backing.memory_alignment;
    geometry.read_only = request.read_only;
    geometry.rotational = backing.rotational;
    geometry.volatile_cache = !request.read_only;
    geometry.fua = !request.read_only;
    if (!request.read_only) {
        geometry.discard.max_bytes = backing.max_discard_bytes;
        geometry.discard.granularity = std::max(backing.discard_granularity, block);
        geometry.max_write_zeroes_bytes = longest_write_zeroes;
    }
    return apply(request, geometry);
}

Result<std::unique_ptr<Target>> create_loop(const OptionValues& values,
                                            const GeometryRequest& request) {
    const std::string& path = values.text("file");
    auto backing = open_backing({path, values.yes("direct"), request.read_only});
    if (!backing)
        return backing.error();
    if (values.yes("direct") && !backing->direct)
        std::fprintf(stderr, "loop: file=%s: no direct I/O here, using the page cache\n",
                     path.c_str());
    auto window = choose_window(values, *backing, backing->offset_alignment);
    if (!window)
        return window.error();
    if (request.size_bytes)
        window = cut_to_disk(*window, request.size_bytes, path);
    if (!window)
        return window.error();
    auto geometry = describe(*backing, path, *window, request);
    if (!geometry)
        return geometry.error();
    return std::unique_ptr<Target>(std::make_unique<Loop>(
        *std::move(backing), Wish{path, values.size("sizelimit")}, window->offset, *geometry));
}

constexpr OptionInfo options[] = {
    {"file", OptionType::path, "", "regular file or block device", true},
    {"direct", OptionType::yes_no, "yes", "bypass the page cache (O_DIRECT)", false},
    {"offset", OptionType::size, "", "where in the file the device starts", false},
    {"sizelimit", OptionType::size, "", "largest size of the device", false},
};

} // namespace

extern const TargetInfo loop_info;
const TargetInfo loop_info{"loop", "a file or a block device", options, create_loop};

} // namespace ublk::targets
