// SPDX-License-Identifier: MIT
// Buffer is memory that a target has borrowed from the pool of a queue, Ring::borrow(), and gives
// back when it goes.
#ifndef UBLK_BUFFER_H
#define UBLK_BUFFER_H

#include <cstddef>
#include <span>
#include <utility>

#include <ublk/data.h>

namespace ublk {

class BufferPool;

// Of one queue: to be used and destroyed by its thread.
class Buffer {
public:
    Buffer(Buffer&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), data_(std::exchange(other.data_, Data{})) {}
    Buffer& operator=(Buffer&&) = delete;
    ~Buffer();

    // At least as many bytes as were asked for, or none.
    explicit operator bool() const noexcept { return pool_ != nullptr; }
    const Data& data() const noexcept { return data_; }
    std::span<std::byte> memory() const noexcept { return data_.memory(); }

private:
    friend class BufferPool;
    Buffer(BufferPool* pool, const Data& data) noexcept : pool_(pool), data_(data) {}

    BufferPool* pool_;
    Data data_;
};

} // namespace ublk

#endif
