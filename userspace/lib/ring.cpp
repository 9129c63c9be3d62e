// SPDX-License-Identifier: MIT
// The operations that a target can await, in the terms of io_uring.
#include <ublk/ring.h>

#include <cassert>
#include <cerrno>
#include <climits>
#include <sys/uio.h>

#include "queue.h"

namespace ublk {

namespace {

std::uint64_t address_of(const void* object) { return reinterpret_cast<std::uintptr_t>(object); }

std::uint32_t flags_of(Durability durability) {
    return durability == Durability::stable ? std::uint32_t{RWF_DSYNC} : 0;
}

} // namespace

void RingOperation::await_suspend(std::coroutine_handle<> waiter) noexcept {
    static_assert(sizeof(Timespec) == sizeof(__kernel_timespec));
    waiter_ = waiter;
    if (parts_.opcode == IORING_OP_TIMEOUT)
        parts_.address = address_of(&parts_.delay);
    queue_->submit(*this);
}

// Whether the operation is over; if not it is to be submitted again for the rest.
bool RingOperation::take_result(int result) noexcept {
    if (!parts_.transfers) {
        result_ = parts_.opcode == IORING_OP_TIMEOUT && result == -ETIME ? 0 : result;
        return true;
    }
    if (result == -EINTR)
        return false;
    if (result < 0) {
        result_ = result;
        return true;
    }
    const auto count = static_cast<std::uint32_t>(result);
    result_ += result;
    parts_.address += count;
    parts_.offset += count;
    parts_.length -= count;
    return count == 0 || parts_.length == 0;
}

// Operations on files that would block are handed to threads of the kernel's. When it can make
// none, the first is given up as if it had been canceled, which nobody does here, and later ones
// wait.
bool RingOperation::lacks_thread(int result) const noexcept {
    switch (parts_.opcode) {
    case IORING_OP_TIMEOUT:
    case IORING_OP_POLL_ADD:
    case IORING_OP_NOP:
        return false;
    default:
        return result == -ECANCELED || result == -EAGAIN;
    }
}

// Not of what synchronizes: that may be the one word there is of a page that could not be written
// back and is lost.
bool RingOperation::lacks_memory(int result) const noexcept {
    const bool synchronizes = parts_.opcode == IORING_OP_FSYNC || (parts_.flags & RWF_DSYNC);
    return (result == -ENOMEM || result == -ENOBUFS) && !synchronizes;
}

RingOperation Ring::read(File file, std::span<std::byte> buffer,
                         std::uint64_t offset) const noexcept {
    assert(buffer.size() <= INT_MAX);
    return {*queue_,
            {.opcode = IORING_OP_READ,
             .transfers = true,
             .file = file,
             .address = address_of(buffer.data()),
             .offset = offset,
             .length = buffer.size()}};
}

RingOperation Ring::write(File file, std::span<const std::byte> buffer, std::uint64_t offset,
                          Durability durability) const noexcept {
    assert(buffer.size() <= INT_MAX);
    return {*queue_,
            {.opcode = IORING_OP_WRITE,
             .transfers = true,
             .file = file,
             .flags = flags_of(durability),
             .address = address_of(buffer.data()),
             .offset = offset,
             .length = buffer.size()}};
}

// A buffer of the ring's table begins at address 0.
RingOperation Ring::read(File file, const Data& data, std::uint64_t offset) const noexcept {
    const bool in_table = data.ring_buffer_ >= 0;
    return {*queue_,
            {.opcode = static_cast<std::uint8_t>(in_table ? IORING_OP_READ_FIXED : IORING_OP_READ),
             .transfers = true,
             .file = file,
             .address = address_of(data.memory_),
             .offset = offset,
             .length = data.size(),
             .ring_buffer = data.ring_buffer_}};
}

RingOperation Ring::write(File file, const Data& data, std::uint64_t offset,
                          Durability durability) const noexcept {
    const bool in_table = data.ring_buffer_ >= 0;
    return {
        *queue_,
        {.opcode = static_cast<std::uint8_t>(in_table ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE),
         .transfers = true,
         .file = file,
         .flags = flags_of(durability),
         .address = address_of(data.memory_),
         .offset = offset,
         .length = data.size(),
         .ring_buffer = data.ring_buffer_}};
}

RingOperation Ring::sync(File file, Sync what) const noexcept {
    return {*queue_,
            {.opcode = IORING_OP_FSYNC,
             .file = file,
             .flags = what == Sync::data ? IORING_FSYNC_DATASYNC : 0}};
}

RingOperation Ring::allocate(File file, int fallocate_mode, std::uint64_t offset,
                             std::uint64_t length) const noexcept {
    return {*queue_,
            {.opcode = IORING_OP_FALLOCATE,
             .file = file,
             .address = length,
             .offset = offset,
             .length = static_cast<unsigned>(fallocate_mode)}};
}

RingOperation Ring::sleep(std::chrono::nanoseconds duration) const noexcept {
    constexpr long long second = 1'000'000'000;
    return {*queue_,
            {.opcode = IORING_OP_TIMEOUT,
             .length = 1,
             .delay = {duration.count() / second, duration.count() % second}}};
}

RingOperation Ring::yield() const noexcept { return {*queue_, {.opcode = IORING_OP_NOP}}; }

RingOperation Ring::poll(File file, unsigned events) const noexcept {
    return {*queue_, {.opcode = IORING_OP_POLL_ADD, .file = file, .flags = events}};
}

File Ring::file(unsigned index) const noexcept {
    return File::registered(Queue::first_target_file + static_cast<int>(index));
}

unsigned Ring::queue_index() const noexcept { return queue_->index(); }

} // namespace ublk
