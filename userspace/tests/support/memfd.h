// SPDX-License-Identifier: GPL-2.0-or-later
// A file in memory that has a path, and can be mapped as another process would.
#ifndef UBLK_TESTS_MEMFD_H
#define UBLK_TESTS_MEMFD_H

#include <cstddef>
#include <string>

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

namespace ublk::test {

class Memfd {
public:
    explicit Memfd(std::size_t size, unsigned flags = 0)
        : fd_(::memfd_create("test", MFD_CLOEXEC | flags)), size_(size) {
        EXPECT_EQ(::ftruncate(fd_.get(), static_cast<off_t>(size)), 0);
        data_ = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0);
        EXPECT_NE(data_, MAP_FAILED);
    }
    Memfd(const Memfd&) = delete;
    Memfd& operator=(const Memfd&) = delete;
    ~Memfd() { ::munmap(data_, size_); }

    int fd() const { return fd_.get(); }
    std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }
    std::byte* data() const { return static_cast<std::byte*>(data_); }

private:
    UniqueFd fd_;
    std::size_t size_;
    void* data_ = MAP_FAILED;
};

} // namespace ublk::test

#endif
