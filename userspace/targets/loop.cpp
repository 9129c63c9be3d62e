// SPDX-License-Identifier: GPL-2.0-or-later
// The `loop` target: a file or block device, or a part of one, served through the queue's own ring.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <linux/falloc.h>
#include <ublk/target.h>
#include <unistd.h>

#include "backing.h"
#include "disk_discard.h"
#include "partition_table.h"

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
    std::vector<std::string> remarks;
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
    // And what the backing makes checksums of must not change under it.
    DataAccess data_access() const override {
        const Properties& properties = backing_.properties;
        const bool aligned = !backing_.direct || properties.memory_alignment;
        return aligned && !properties.stable_pages ? DataAccess::ring : DataAccess::memory;
    }
    Persistence persistence() const override { return Persistence::backing; }
    std::vector<BackingUse> backings() const override { return {backing_.use}; }
    std::optional<bool> is_direct() const override { return backing_.is_direct(); }
    std::vector<std::string> remarks() const override {
        std::vector<std::string> remarks = wish_.remarks;
        if (backing_.direct && !backing_.is_direct())
            remarks.push_back("file=" + wish_.path +
                              ": direct I/O has failed, using the page cache since");
        return remarks;
    }

    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        auto available = current_size(backing_);
        if (!available)
            return in_file(available.error());
        return size ? make_room(*size, *available) : whole_backing(*available);
    }

    Async<Answer> serve(Ring ring, Request request) override {
        const std::uint64_t offset = offset_ + request.offset;
        switch (request.op) {
        case Op::read:
            return read(ring, request.data, offset);
        case Op::write:
            return write(ring, request.data, offset,
                         request.fua ? Durability::stable : Durability::cached);
        case Op::flush:
            return flush(ring);
        case Op::discard:
            return discard(ring, {offset, request.length});
        case Op::write_zeroes:
            return zero(ring, {offset, request.length}, request.no_unmap);
        default:
            return -EOPNOTSUPP; // of zones, which this device has not
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

    // One coroutine for each operation, which keeps what that needs and no more.
    Async<Answer> read(Ring ring, Data data, std::uint64_t offset) {
        const int result = co_await ring.read(file_, data, offset);
        if (result < 0) [[unlikely]]
            co_return co_await read_buffered(ring, data, offset, result);
        co_return result;
    }
    Async<Answer> write(Ring ring, Data data, std::uint64_t offset, Durability durability) {
        const int result = co_await ring.write(file_, data, offset, durability);
        if (result < 0) [[unlikely]]
            co_return co_await write_buffered(ring, data, offset, durability, result);
        co_return result;
    }
    Async<Answer> flush(Ring ring) { co_return co_await ring.sync(file_, Sync::data); }

    // After a direct read that failed so.
    Async<int> read_buffered(Ring ring, Data data, std::uint64_t offset, int result) {
        if (!backing_.may_try_buffered(result))
            co_return result;
        co_return co_await ring.read(file_, data, offset);
    }
    // Where nothing writes through, a write is made durable by a sync of its own.
    Async<int> write_buffered(Ring ring, Data data, std::uint64_t offset, Durability durability,
                              int result) {
        if (backing_.may_try_buffered(result))
            result = co_await ring.write(file_, data, offset, durability);
        if (result != -EOPNOTSUPP || durability == Durability::cached)
            co_return result;
        result = co_await ring.write(file_, data, offset);
        if (result < 0)
            co_return result;
        const int synced = co_await ring.sync(file_, Sync::data);
        co_return synced < 0 ? synced : result;
    }

    // Advice, which a backing that turns out not to take it need not follow.
    Async<Answer> discard(Ring ring, Window range) {
        if (!can_discard_.load(std::memory_order_relaxed))
            co_return 0;
        constexpr int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
        int result = 0;
        if (backing_.properties.discard == DiscardWay::punch_hole)
            result = co_await ring.allocate(file_, punch, range.offset, range.length);
        else
            result = co_await disk_discard_.run(ring, range.offset, range.length);
        if (result != -EOPNOTSUPP)
            co_return result;
        can_discard_.store(false, std::memory_order_relaxed);
        co_return 0;
    }

    // The cheapest way that the backing has; which one that is shows at the first attempt.
    Async<Answer> zero(Ring ring, Window range, bool keep_allocated) {
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
    std::atomic<bool> can_discard_{true};
    std::atomic<bool> can_punch_{true};
    std::atomic<bool> can_zero_range_{true};
    DiskDiscard disk_discard_{
        [descriptor = backing_.fd.get()](std::uint64_t offset, std::uint64_t length) {
            return discard_range(descriptor, offset, length);
        }};
};

Result<Window> choose_window(const OptionValues& values, const Backing& backing,
                             std::uint32_t asked_block) {
    const std::string& path = values.text("file");
    const std::uint32_t usual = backing.properties.offset_alignment;
    const std::uint32_t block =
        backing.direct || asked_block == 0 ? usual : std::min(usual, sector_size);
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

Error not_whole_blocks(const Backing& backing, const std::string& path, std::uint64_t size,
                       std::uint32_t block) {
    const std::string down = "sizelimit=" + std::to_string(size / block * block);
    const std::string up =
        "extend it: truncate -s " + std::to_string((size / block + 1) * block) + " " + path;
    std::string hint = backing.block_device ? "cut the rest off: " + down : up;
    if (!backing.block_device && size > block)
        hint += "; or cut the rest off: " + down;
    return Error{EINVAL,
                 "file=" + path + ": " + std::to_string(size) +
                     " bytes are not a multiple of the block size " + std::to_string(block),
                 hint, ErrorKind::backend};
}

// How far behind the device's start the first of the backing's blocks begins.
std::uint64_t first_behind(std::uint64_t start, std::uint64_t first, std::uint64_t block) {
    return (first % block + block - start % block) % block;
}

// Blocks that do not lie where the device has its own are no use to its users: the largest part of
// them that does.
std::uint32_t aligned_physical_block(const Properties& backing, const Window& window,
                                     std::uint32_t least) {
    std::uint32_t block = std::max(backing.physical_block_size, least);
    while (block > least && first_behind(window.offset, backing.first_physical_block, block) != 0)
        block /= 2;
    return block;
}

DiscardLimits discard_limits(const Properties& backing, const Window& window, std::uint32_t block) {
    DiscardLimits limits;
    limits.max_bytes = backing.max_discard_bytes / block * block;
    limits.granularity = std::max(backing.discard_granularity, block);
    const std::uint64_t first =
        first_behind(window.offset, backing.first_granule, limits.granularity);
    if (first % block == 0)
        limits.alignment = static_cast<std::uint32_t>(first);
    else
        limits.granularity = block;
    return limits;
}

Result<Geometry> describe(const Backing& backing, const std::string& path, const Window& window,
                          const GeometryRequest& request) {
    const Properties& properties = backing.properties;
    // The page cache takes any blocks, but those of the disk below are the better ones.
    const std::uint32_t usual = properties.offset_alignment;
    const std::uint32_t least = backing.direct ? usual : sector_size;
    const std::uint32_t block = request.logical_block_size ? request.logical_block_size : usual;
    if (block < least)
        return Error{EINVAL, "block size " + std::to_string(block),
                     "direct I/O on " + path + " needs " + std::to_string(least) + "; use -b " +
                         std::to_string(least) + " or direct=no",
                     ErrorKind::usage};
    if (std::has_single_bit(block) && block <= largest_block && window.length % block)
        return not_whole_blocks(backing, path, window.length, block);

    Geometry geometry;
    geometry.size_bytes = window.length;
    geometry.logical_block_size = block;
    geometry.physical_block_size = aligned_physical_block(properties, window, usual);
    const std::uint32_t larger = std::max(geometry.physical_block_size, block);
    geometry.io_min = properties.io_min > larger ? properties.io_min : 0;
    geometry.io_opt = properties.io_opt >= block ? properties.io_opt : 0;
    geometry.dma_alignment = properties.memory_alignment;
    geometry.read_only = request.read_only;
    geometry.rotational = properties.rotational;
    geometry.volatile_cache = !request.read_only;
    geometry.fua = !request.read_only;
    if (!request.read_only) {
        if (properties.discard != DiscardWay::none && std::has_single_bit(block))
            geometry.discard = discard_limits(properties, window, block);
        geometry.max_write_zeroes_bytes = longest_write_zeroes;
    }
    return apply(request, geometry);
}

// Aligned, as direct I/O wants it.
bool read_window(const Backing& backing, std::uint64_t offset, std::span<std::byte> buffer) {
    struct alignas(largest_block) Block {
        std::array<std::byte, std::size_t{2} * largest_block> bytes{};
    };
    const auto block = std::make_unique<Block>();
    const ssize_t count = ::pread(backing.fd.get(), block->bytes.data(), block->bytes.size(),
                                  static_cast<off_t>(offset));
    if (count < static_cast<ssize_t>(buffer.size()) || buffer.size() > block->bytes.size())
        return false;
    std::copy_n(block->bytes.begin(), buffer.size(), buffer.begin());
    return true;
}

std::string remark_on_sectors(std::uint32_t sectors, std::uint32_t block, const Backing& backing) {
    std::string remark = "its partition table was made for sectors of " + std::to_string(sectors) +
                         " bytes, this disk's have " + std::to_string(block) +
                         ", so there will be no partitions; add it with --block-size " +
                         std::to_string(sectors);
    if (backing.direct && sectors < backing.properties.offset_alignment)
        remark += " direct=no";
    return remark;
}

// What a user should know, each with the name of the backing.
std::vector<std::string> remarks_on(const Backing& backing, const std::string& path,
                                    const Window& window, const Geometry& geometry) {
    std::vector<std::string> remarks = backing.properties.remarks;
    const std::uint32_t block = geometry.logical_block_size;
    const auto read = [&](std::uint64_t offset, std::span<std::byte> buffer) {
        return read_window(backing, window.offset + offset, buffer);
    };
    if (const auto sectors = other_sector_size(read, window.length, block))
        remarks.push_back(remark_on_sectors(*sectors, block, backing));
    if (geometry.physical_block_size < backing.properties.physical_block_size)
        remarks.push_back("its blocks of " +
                          std::to_string(backing.properties.physical_block_size) +
                          " bytes do not begin where those of this disk do, which is slow");
    for (std::string& remark : remarks)
        remark.insert(0, "file=" + path + ": ");
    return remarks;
}

Result<std::unique_ptr<Target>> create_loop(const OptionValues& values,
                                            const GeometryRequest& request) {
    const std::string& path = values.text("file");
    auto backing = open_backing({path, values.yes("direct"), request.read_only});
    if (!backing)
        return backing.error();
    auto window = choose_window(values, *backing, request.logical_block_size);
    if (!window)
        return window.error();
    if (request.size_bytes)
        window = cut_to_disk(*window, request.size_bytes, path);
    if (!window)
        return window.error();
    auto geometry = describe(*backing, path, *window, request);
    if (!geometry)
        return geometry.error();
    auto remarks = remarks_on(*backing, path, *window, *geometry);
    return std::unique_ptr<Target>(std::make_unique<Loop>(
        *std::move(backing), Wish{path, values.size("sizelimit"), std::move(remarks)},
        window->offset, *geometry));
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
