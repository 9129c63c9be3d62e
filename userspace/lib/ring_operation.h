// SPDX-License-Identifier: MIT
// How an operation of the ring takes its results: whether it is over, goes on, or could not even
// begin. Inline, because the queue asks this of every operation.
#ifndef UBLK_LIB_RING_OPERATION_H
#define UBLK_LIB_RING_OPERATION_H

#include <cerrno>
#include <cstdint>
#include <liburing.h>
#include <sys/uio.h>
#include <utility>

#include <ublk/ring.h>

namespace ublk {

// Whether the operation is over; if not it is to be submitted again for the rest.
inline RingOperation::Next RingOperation::take_result(int result) noexcept {
    if (!parts_.transfers) {
        result_ = parts_.opcode == IORING_OP_TIMEOUT && result == -ETIME ? 0 : result;
        return parts_.limited ? take_half() : Next::resume;
    }
    if (result == -EINTR)
        return Next::again;
    if (result < 0) {
        result_ = result;
        return Next::resume;
    }
    const auto count = static_cast<std::uint32_t>(result);
    result_ += result;
    parts_.address += count;
    parts_.offset += count;
    parts_.length -= count;
    return count == 0 || parts_.length == 0 ? Next::resume : Next::again;
}

inline RingOperation::Next RingOperation::take_end_of_limit(int result) noexcept {
    timed_out_ = result == -ETIME;
    return take_half();
}

// The operation and its limit end in either order, and the kernel looks at both until then.
inline RingOperation::Next RingOperation::take_half() noexcept {
    if (!std::exchange(half_over_, true))
        return Next::wait;
    if (timed_out_ && result_ == -ECANCELED)
        result_ = -ETIMEDOUT;
    return Next::resume;
}

// Operations on files that would block are handed to threads of the kernel's. When it can make
// none, the first is given up as if it had been canceled, and later ones wait. What waits for
// others needs no thread.
inline bool RingOperation::lacks_thread(int result) const noexcept {
    if (parts_.limited) // so it waits for others, too
        return false;
    switch (parts_.opcode) {
    case IORING_OP_TIMEOUT:
    case IORING_OP_POLL_ADD:
    case IORING_OP_NOP:
    case IORING_OP_CONNECT:
    case IORING_OP_SENDMSG:
    case IORING_OP_RECVMSG:
    case IORING_OP_ASYNC_CANCEL:
        return false;
    default:
        return result == -ECANCELED || result == -EAGAIN;
    }
}

// Not of what synchronizes: that may be the one word there is of a page that could not be written
// back and is lost.
inline bool RingOperation::lacks_memory(int result) const noexcept {
    const bool synchronizes = parts_.opcode == IORING_OP_FSYNC || (parts_.flags & RWF_DSYNC);
    return (result == -ENOMEM || result == -ENOBUFS) && !synchronizes && !parts_.limited;
}

} // namespace ublk

#endif
