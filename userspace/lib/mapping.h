// SPDX-License-Identifier: MIT
// Mapping owns one mmap'ed range and unmaps it.
#ifndef UBLK_LIB_MAPPING_H
#define UBLK_LIB_MAPPING_H

#include <cerrno>
#include <cstddef>
#include <sys/mman.h>
#include <sys/types.h>
#include <utility>

#include <ublk/result.h>

namespace ublk {

class Mapping {
public:
    // Pages of zeroes that cost memory only once touched.
    static Result<Mapping> anonymous(std::size_t size) {
        return create(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                      0);
    }
    static Result<Mapping> read_only(int fd, std::size_t size, off_t offset) {
        return create(size, PROT_READ, MAP_SHARED, fd, offset);
    }

    Mapping() = default;
    Mapping(Mapping&& other) noexcept
        : address_(std::exchange(other.address_, nullptr)), size_(std::exchange(other.size_, 0)) {}
    Mapping& operator=(Mapping&& other) noexcept {
        std::swap(address_, other.address_);
        std::swap(size_, other.size_);
        return *this;
    }
    ~Mapping() {
        if (address_)
            ::munmap(address_, size_);
    }

    std::byte* data() const noexcept { return static_cast<std::byte*>(address_); }
    std::size_t size() const noexcept { return size_; }

private:
    static Result<Mapping> create(std::size_t size, int protection, int flags, int fd,
                                  off_t offset) {
        void* address = ::mmap(nullptr, size, protection, flags, fd, offset);
        if (address == MAP_FAILED)
            return Error{errno, "get " + std::to_string(size) + " bytes of address space",
                         "use less --depth, --queues or --max-io, or raise ulimit -v"};
        Mapping mapping;
        mapping.address_ = address;
        mapping.size_ = size;
        return mapping;
    }

    void* address_ = nullptr;
    std::size_t size_ = 0;
};

} // namespace ublk

#endif
