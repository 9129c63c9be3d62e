// SPDX-License-Identifier: MIT
// Data is a range of bytes that an operation of the ring reads or writes: memory of this process,
// or pages of the disk's user that only the ring can reach. It owns nothing and is copied freely.
#ifndef UBLK_DATA_H
#define UBLK_DATA_H

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ublk {

namespace detail {
struct Tag;
}

class Data {
public:
    Data() noexcept = default; // no bytes
    // Valid for as long as the memory is.
    static Data of(std::span<std::byte> memory) noexcept {
        return {reinterpret_cast<std::uintptr_t>(memory.data()), memory.size(), no_ring_buffer,
                true};
    }
    // To be written from only.
    static Data of(std::span<const std::byte> memory) noexcept {
        return {reinterpret_cast<std::uintptr_t>(memory.data()), memory.size(), no_ring_buffer,
                true};
    }

    std::uint64_t size() const noexcept { return size_; }
    bool empty() const noexcept { return size_ == 0; }

    // Whether memory() may be asked for: always, in a stack where any layer has DataAccess::memory.
    bool in_memory() const noexcept { return in_memory_; }
    std::span<std::byte> memory() const noexcept {
        assert(in_memory() && "a target with DataAccess::ring has no memory to look at");
        // NOLINTNEXTLINE(performance-no-int-to-ptr): an offset otherwise
        return {reinterpret_cast<std::byte*>(address_), static_cast<std::size_t>(size_)};
    }

    // The `length` bytes behind the first `offset`, which must be there.
    Data slice(std::uint64_t offset, std::uint64_t length) const noexcept {
        assert(offset <= size_ && length <= size_ - offset);
        return {address_ + offset, length, ring_buffer_, in_memory_};
    }

private:
    friend class BufferPool;
    friend class Ring;
    friend struct detail::Tag;
    static constexpr std::int32_t no_ring_buffer = -1;

    Data(std::uint64_t address, std::uint64_t size, std::int32_t ring_buffer,
         bool in_memory) noexcept
        : address_(address), size_(size), ring_buffer_(ring_buffer), in_memory_(in_memory) {}

    std::uint64_t address_ = 0; // of memory, or else in the ring's buffer
    std::uint64_t size_ = 0;
    std::int32_t ring_buffer_ = no_ring_buffer; // place in the ring's buffer table
    bool in_memory_ = true;
};

} // namespace ublk

#endif
