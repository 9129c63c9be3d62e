// SPDX-License-Identifier: GPL-2.0-or-later
// The `ram` target: a block device in a memfd, on huge pages if asked for. Data is copied straight
// to and from the mapping; discards give the memory back.
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <fcntl.h>
#include <linux/falloc.h>
#include <ublk/target.h>

#include "memory.h"

namespace ublk::targets {

namespace {

constexpr std::uint32_t longest_punch = 1U << 30;
constexpr std::uint32_t longest_memset = 4U << 20; // the queue waits for it

class Ram final : public Target {
public:
    Ram(std::unique_ptr<Memory> memory, const Geometry& geometry)
        : memory_(std::move(memory)), geometry_(geometry), file_(memory_->descriptor()),
          keeps_pages_(geometry.discard.max_bytes == 0) {}

    Geometry geometry() const override { return geometry_; }
    void register_files(FileTable& files) override { file_ = files.add(memory_->descriptor()); }

    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        if (!size)
            return Error{EINVAL, "size=auto", "ram has no backing; give a size", ErrorKind::usage};
        if (auto grown = memory_->grow_to(*size); !grown)
            return grown.error();
        return *size;
    }

    Async<Answer> serve(Ring ring, Request request) override {
        switch (request.op) {
        case Op::read:
            std::memcpy(request.data.memory().data(), memory_->at(request.offset), request.length);
            return request.done();
        case Op::write:
            std::memcpy(memory_->at(request.offset), request.data.memory().data(), request.length);
            return request.done();
        case Op::write_zeroes:
            if (request.no_unmap || keeps_pages_) {
                std::memset(memory_->at(request.offset), 0, request.length);
                return request.done();
            }
            [[fallthrough]];
        case Op::discard:
            return punch(ring, request.offset, request.length);
        case Op::flush:
            return request.done();
        default:
            return -EOPNOTSUPP; // of zones, which this device has not
        }
    }

private:
    // Freeing much memory takes long: not on the queue's thread.
    Async<Answer> punch(Ring ring, std::uint64_t offset, std::uint64_t length) {
        co_return co_await ring.allocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset,
                                         length);
    }

    std::unique_ptr<Memory> memory_;
    Geometry geometry_;
    File file_;
    bool keeps_pages_;
};

Result<Geometry> describe(std::uint64_t size, Pages pages, std::uint32_t page_size,
                          const GeometryRequest& request) {
    Geometry geometry;
    geometry.size_bytes = size;
    // A huge page that was given back may be gone when it is needed again, which would be a fatal
    // page fault; so those are kept.
    if (pages == Pages::ordinary)
        geometry.discard = {.max_bytes = longest_punch, .granularity = page_size};
    geometry.max_write_zeroes_bytes = longest_memset;

    if (size == 0)
        return Error{EINVAL, "size=0", "a device has at least one block", ErrorKind::usage};
    return apply(request, geometry);
}

Result<std::unique_ptr<Target>> create_ram(const OptionValues& values,
                                           const GeometryRequest& request) {
    const Pages pages = values.yes("hugepages") ? Pages::huge : Pages::ordinary;
    auto memory = Memory::create(pages);
    if (!memory)
        return memory.error();
    auto geometry = describe(values.size("size"), pages, (*memory)->page_size(), request);
    if (!geometry)
        return geometry.error();
    if (auto grown = (*memory)->grow_to(geometry->size_bytes); !grown)
        return grown.error();
    return std::unique_ptr<Target>{std::make_unique<Ram>(*std::move(memory), *geometry)};
}

constexpr OptionInfo options[] = {
    {"size", OptionType::size, "", "size of the device", true},
    {"hugepages", OptionType::yes_no, "no", "take the memory from the reserved huge pages", false},
};

} // namespace

extern const TargetInfo ram_info;
const TargetInfo ram_info{"ram", "a disk in memory, gone when it is deleted", options, create_ram};

} // namespace ublk::targets
