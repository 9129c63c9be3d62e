// SPDX-License-Identifier: GPL-2.0-or-later
// Makes the memfd of a disk in memory, and maps it.
#include "memory.h"

#include <cerrno>
#include <string>
#include <utility>

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace ublk::targets {

Memory::Mapping::Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Memory::Mapping::~Mapping() {
    if (!bytes_.empty())
        ::munmap(bytes_.data(), bytes_.size());
}

Memory::Memory(UniqueFd fd, Pages pages, std::uint32_t page_size) noexcept
    : fd_(std::move(fd)), pages_(pages), page_size_(page_size) {}

Result<std::unique_ptr<Memory>> Memory::create(Pages pages) {
    const bool huge = pages == Pages::huge;
    UniqueFd fd{::memfd_create("ublk-ram", MFD_CLOEXEC | (huge ? MFD_HUGETLB : 0U))};
    if (!fd && huge)
        return Error{errno, "hugepages=yes", "this kernel has no huge pages; leave it out",
                     ErrorKind::backend};
    if (!fd)
        return Error{errno, "memfd_create", "", ErrorKind::backend};
    struct stat file {};
    if (::fstat(fd.get(), &file) < 0)
        return Error{errno, "fstat of a memfd"};
    return std::unique_ptr<Memory>{
        new Memory{std::move(fd), pages, static_cast<std::uint32_t>(file.st_blksize)}};
}

Error Memory::no_room_for(int error, std::uint64_t size, std::uint64_t length) const {
    if (pages_ == Pages::ordinary)
        return Error{error, "size=" + std::to_string(size), "too large for this machine",
                     ErrorKind::backend};
    return Error{error, "hugepages=yes",
                 "this takes " + std::to_string(length / page_size_) + " free huge pages of " +
                     std::to_string(page_size_ >> 10) +
                     " KiB; raise vm.nr_hugepages or leave it out",
                 ErrorKind::backend};
}

// A mapping on huge pages reserves them all at once, so that a page fault cannot fail later.
Result<void> Memory::grow_to(std::uint64_t size) {
    if (!mappings_.empty() && size <= mappings_.back().bytes().size())
        return {};
    const std::uint64_t length = (size + page_size_ - 1) / page_size_ * page_size_;
    if (length < size || ::ftruncate(fd_.get(), static_cast<off_t>(length)) < 0)
        return Error{length < size ? EFBIG : errno, "size=" + std::to_string(size),
                     "too large for this machine", ErrorKind::backend};
    void* data = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
    if (data == MAP_FAILED)
        return no_room_for(errno, size, length);
    // Data may be swapped out, as in any tmpfs, also by a process that locks what it works with.
    ::munlock(data, length);
    mappings_.emplace_back(std::span{static_cast<std::byte*>(data), length});
    data_.store(mappings_.back().bytes().data(), std::memory_order_relaxed);
    return {};
}

} // namespace ublk::targets
