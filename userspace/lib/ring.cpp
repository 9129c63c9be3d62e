// SPDX-License-Identifier: MIT
// The operations that a target can await, in the terms of io_uring.
#include <ublk/ring.h>

#include <cassert>
#include <cerrno>
#include <climits>
#include <sys/uio.h>
#include <utility>

#include "queue.h"

namespace ublk {

namespace {

std::uint64_t address_of(const void* object) { return reinterpret_cast<std::uintptr_t>(object); }

std::uint32_t flags_of(Durability durability) {
    return durability == Durability::stable ? std::uint32_t{RWF_DSYNC} : 0;
}

} // namespace

RingOperation::Timespec RingOperation::Timespec::of(std::chrono::nanoseconds duration) noexcept {
    constexpr long long second = 1'000'000'000;
    return {duration.count() / second, duration.count() % second};
}

void RingOperation::await_suspend(std::coroutine_handle<> waiter) noexcept {
    static_assert(sizeof(Timespec) == sizeof(__kernel_timespec));
    waiter_ = waiter;
    if (parts_.opcode == IORING_OP_TIMEOUT)
        parts_.address = address_of(&parts_.delay);
    queue_->start(*this);
}

RingOperation RingOperation::within(std::chrono::nanoseconds limit) const noexcept {
    assert(!parts_.transfers && parts_.opcode != IORING_OP_TIMEOUT);
    Parts parts = parts_;
    parts.limited = true;
    parts.delay = Timespec::of(limit);
    return {*queue_, parts};
}

RingOperation Ring::read(File file, std::span<std::byte> buffer,
                         std::uint64_t offset) const noexcept {
    return read(file, Data::of(buffer), offset);
}

RingOperation Ring::write(File file, std::span<const std::byte> buffer, std::uint64_t offset,
                          Durability durability) const noexcept {
    return write(file, Data::of(buffer), offset, durability);
}

RingOperation Ring::read(File file, const Data& data, std::uint64_t offset) const noexcept {
    assert(data.size() <= INT_MAX);
    const bool in_table = data.ring_buffer_ >= 0;
    return {*queue_,
            {.opcode = static_cast<std::uint8_t>(in_table ? IORING_OP_READ_FIXED : IORING_OP_READ),
             .transfers = true,
             .file = file,
             .address = data.address_,
             .offset = offset,
             .length = data.size(),
             .ring_buffer = data.ring_buffer_}};
}

RingOperation Ring::write(File file, const Data& data, std::uint64_t offset,
                          Durability durability) const noexcept {
    assert(data.size() <= INT_MAX);
    const bool in_table = data.ring_buffer_ >= 0;
    return {
        *queue_,
        {.opcode = static_cast<std::uint8_t>(in_table ? IORING_OP_WRITE_FIXED : IORING_OP_WRITE),
         .transfers = true,
         .file = file,
         .flags = flags_of(durability),
         .address = data.address_,
         .offset = offset,
         .length = data.size(),
         .ring_buffer = data.ring_buffer_}};
}

RingOperation Ring::readv(File file, std::span<const iovec> pieces,
                          std::uint64_t offset) const noexcept {
    return {*queue_,
            {.opcode = IORING_OP_READV,
             .file = file,
             .address = address_of(pieces.data()),
             .offset = offset,
             .length = pieces.size()}};
}

RingOperation Ring::writev(File file, std::span<const iovec> pieces, std::uint64_t offset,
                           Durability durability) const noexcept {
    return {*queue_,
            {.opcode = IORING_OP_WRITEV,
             .file = file,
             .flags = flags_of(durability),
             .address = address_of(pieces.data()),
             .offset = offset,
             .length = pieces.size()}};
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
    return {
        *queue_,
        {.opcode = IORING_OP_TIMEOUT, .length = 1, .delay = RingOperation::Timespec::of(duration)}};
}

RingOperation Ring::yield() const noexcept { return {*queue_, {.opcode = IORING_OP_NOP}}; }

RingOperation Ring::poll(File file, unsigned events) const noexcept {
    return {*queue_, {.opcode = IORING_OP_POLL_ADD, .file = file, .flags = events}};
}

RingOperation Ring::connect(File socket, const sockaddr* address, socklen_t length) const noexcept {
    return {*queue_,
            {.opcode = IORING_OP_CONNECT,
             .file = socket,
             .address = address_of(address),
             .offset = length}};
}

RingOperation Ring::sendmsg(File socket, const msghdr& message, int flags) const noexcept {
    return {*queue_,
            {.opcode = IORING_OP_SENDMSG,
             .file = socket,
             .flags = static_cast<std::uint32_t>(flags),
             .address = address_of(&message),
             .length = 1}};
}

RingOperation Ring::recvmsg(File socket, msghdr& message, int flags) const noexcept {
    return {*queue_,
            {.opcode = IORING_OP_RECVMSG,
             .file = socket,
             .flags = static_cast<std::uint32_t>(flags),
             .address = address_of(&message),
             .length = 1}};
}

RingOperation Ring::cancel(File file) const noexcept {
    std::uint32_t flags = IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL;
    if (file.is_registered())
        flags |= IORING_ASYNC_CANCEL_FD_FIXED;
    return {*queue_, {.opcode = IORING_OP_ASYNC_CANCEL, .file = file, .flags = flags}};
}

Buffer Ring::borrow(std::size_t size) const noexcept { return queue_->borrow(size); }

unsigned Ring::queue_index() const noexcept { return queue_->index(); }

} // namespace ublk
