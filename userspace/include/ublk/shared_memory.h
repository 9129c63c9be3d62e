// SPDX-License-Identifier: MIT
// SharedMemory is memory that a server has in common with users of its disk: requests that lie in
// it need no copy.
#ifndef UBLK_SHARED_MEMORY_H
#define UBLK_SHARED_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <string>

#include <ublk/result.h>

namespace ublk {

// Of what the users may do to the disk with it. Reading the disk writes to the memory.
enum class SharedFor { reads_and_writes, writes };

class SharedMemory {
public:
    // All of a file on hugetlbfs or tmpfs, where users map it, too; /proc/PID/fd/N names a memfd.
    // Who makes the file shorter meanwhile kills the server, so a memfd is sealed against that.
    // A file that cannot be written serves writes alone.
    static Result<SharedMemory> map(const std::string& path);
    SharedMemory(SharedMemory&& other) noexcept;
    SharedMemory& operator=(SharedMemory&&) = delete;
    ~SharedMemory();

    std::byte* data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    SharedFor use() const noexcept { return use_; }
    // nullptr unless all of it lies inside.
    std::byte* at(std::uint64_t offset, std::uint64_t length) const noexcept {
        return offset <= size_ && length <= size_ - offset ? data_ + offset : nullptr;
    }

private:
    SharedMemory(std::byte* data, std::size_t size, SharedFor use) noexcept
        : data_(data), size_(size), use_(use) {}

    std::byte* data_;
    std::size_t size_;
    SharedFor use_;
};

} // namespace ublk

#endif
