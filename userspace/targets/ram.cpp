// SPDX-License-Identifier: GPL-2.0-or-later
// The `ram` target: a block device in a memfd, on huge pages if asked for. Data is copied straight
// to and from the mapping; discards give the memory back.
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ublk/target.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

namespace ublk::targets {

namespace {

constexpr std::uint32_t longest_punch = 1U << 30;
constexpr std::uint32_t longest_memset = 4U << 20; // the queue waits for it

// The bytes of the disk, shared with the memfd.
class Memory {
public:
    Memory(std::byte* data, std::size_t length) : data_(data), length_(length) {}
    Memory(Memory&& other) noexcept
        : data_(std::exchange(other.data_, nullptr)), length_(other.length_) {}
    Memory& operator=(Memory&&) = delete;
    ~Memory() {
        if (data_)
            ::munmap(data_, length_);
    }
    std::byte* data() const { return data_; }
    std::size_t length() const { return length_; }

private:
    std::byte* data_;
    std::size_t length_;
};

struct Pages {
    std::uint32_t size; // of one page
    bool huge;
};

// A mapping on huge pages reserves them all at once, so that a page fault cannot fail later.
Result<Memory> map_memory(int fd, std::uint64_t size, const Pages& pages) {
    const std::uint64_t length = (size + pages.size - 1) / pages.size * pages.size;
    if (length < size || ::ftruncate(fd, static_cast<off_t>(length)) < 0)
        return Error{length < size ? EFBIG : errno, "size=" + std::to_string(size),
                     "too large for this machine", ErrorKind::backend};
    void* data = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED && pages.huge)
        return Error{errno, "hugepages=yes",
                     "this takes " + std::to_string(length / pages.size) + " free huge pages of " +
                         std::to_string(pages.size >> 10) +
                         " KiB; raise vm.nr_hugepages or leave it out",
                     ErrorKind::backend};
    if (data == MAP_FAILED)
        return Error{errno, "size=" + std::to_string(size), "too large for this machine",
                     ErrorKind::backend};
    return Memory{static_cast<std::byte*>(data), length};
}

class Ram final : public Target {
public:
    Ram(UniqueFd fd, Memory memory, const Pages& pages, const Geometry& geometry)
        : fd_(std::move(fd)), pages_(pages), geometry_(geometry), descriptor_(fd_.get()),
          keeps_pages_(geometry.discard.max_bytes == 0) {
        use(std::move(memory));
    }

    Geometry geometry() const override { return geometry_; }
    std::span<const int> files() const override { return {&descriptor_, 1}; }

    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        if (!size)
            return Error{EINVAL, "size=auto", "ram has no backing; give a size", ErrorKind::usage};
        if (*size > mappings_.back().length()) {
            auto larger = map_memory(descriptor_, *size, pages_);
            if (!larger)
                return larger.error();
            use(*std::move(larger));
        }
        return *size;
    }

    Task serve(Io io) override {
        switch (io.op()) {
        case Op::read:
            std::memcpy(io.buffer().data(), at(io.offset()), io.length());
            io.succeed();
            break;
        case Op::write:
            std::memcpy(at(io.offset()), io.buffer().data(), io.length());
            io.succeed();
            break;
        case Op::write_zeroes:
            if (io.no_unmap() || keeps_pages_) {
                std::memset(at(io.offset()), 0, io.length());
                io.succeed();
                break;
            }
            [[fallthrough]];
        case Op::discard:
            // Freeing much memory takes long: not on the queue's thread.
            io.complete(co_await io.ring().allocate(io.ring().file(0),
                                                    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                                    io.offset(), io.length()));
            break;
        case Op::flush:
            io.succeed();
            break;
        }
    }

private:
    std::byte* at(std::uint64_t offset) const {
        return memory_.load(std::memory_order_relaxed) + offset;
    }
    void use(Memory memory) {
        mappings_.push_back(std::move(memory));
        memory_.store(mappings_.back().data(), std::memory_order_relaxed);
    }

    UniqueFd fd_;
    Pages pages_;
    Geometry geometry_;
    int descriptor_;
    bool keeps_pages_;
    // The last one is of the whole memfd. The queues may still be at work in the others, which show
    // parts of the same pages.
    std::vector<Memory> mappings_{};
    std::atomic<std::byte*> memory_{nullptr};
};

Result<UniqueFd> create_memfd(bool huge) {
    UniqueFd fd{::memfd_create("ublk-ram", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0U))};
    if (!fd && huge)
        return Error{errno, "hugepages=yes", "this kernel has no huge pages; leave it out",
                     ErrorKind::backend};
    if (!fd)
        return Error{errno, "memfd_create", "", ErrorKind::backend};
    return fd;
}

Result<Geometry> describe(std::uint64_t size, const Pages& pages, const GeometryRequest& request) {
    Geometry geometry;
    geometry.size_bytes = size;
    // A huge page that was given back may be gone when it is needed again, which would be a fatal
    // page fault; so those are kept.
    if (!pages.huge)
        geometry.discard = {.max_bytes = longest_punch, .granularity = pages.size};
    geometry.max_write_zeroes_bytes = longest_memset;

    if (size == 0)
        return Error{EINVAL, "size=0", "a device has at least one block", ErrorKind::usage};
    return apply(request, geometry);
}

Result<std::unique_ptr<Target>> create_ram(const OptionValues& values,
                                           const GeometryRequest& request) {
    const bool huge = values.yes("hugepages");
    auto fd = create_memfd(huge);
    if (!fd)
        return fd.error();
    struct stat file {};
    if (::fstat(fd->get(), &file) < 0)
        return Error{errno, "fstat of a memfd"};
    const Pages pages{static_cast<std::uint32_t>(file.st_blksize), huge};

    auto geometry = describe(values.size("size"), pages, request);
    if (!geometry)
        return geometry.error();
    auto memory = map_memory(fd->get(), geometry->size_bytes, pages);
    if (!memory)
        return memory.error();
    return std::unique_ptr<Target>(
        std::make_unique<Ram>(*std::move(fd), *std::move(memory), pages, *geometry));
}

constexpr OptionInfo options[] = {
    {"size", OptionType::size, "", "size of the device", true},
    {"hugepages", OptionType::yes_no, "no", "take the memory from the reserved huge pages", false},
};

} // namespace

extern const TargetInfo ram_info;
const TargetInfo ram_info{"ram", "a disk in memory, gone when it is deleted", options, create_ram};

} // namespace ublk::targets
