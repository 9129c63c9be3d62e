// SPDX-License-Identifier: MIT
// Ring is the target's way to do its own I/O: awaitable operations on the io_uring that also
// carries the queue's block requests. A target waits with co_await and never blocks the queue's
// thread.
#ifndef UBLK_RING_H
#define UBLK_RING_H

#include <chrono>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sys/socket.h>
#include <sys/uio.h>

#include <ublk/buffer.h>
#include <ublk/data.h>
#include <ublk/file.h>

namespace ublk {

class Queue;
template <class Function> class Offload;

enum class Durability {
    cached, // in the file's cache; sync() makes it durable
    stable, // on stable storage when the write completes (RWF_DSYNC)
};

enum class Sync {
    data, // fdatasync
    full, // fsync
};

// One operation; `int result = co_await operation`. The result is a negative errno or what the
// operation's function in Ring documents. It is -ECANCELED if Ring::cancel() ended it. An operation
// on a file that io_uring could not begin, for want of a thread or of memory, is no result: it is
// tried again until it is canceled or the driver takes the queue's tags back.
class [[nodiscard]] RingOperation {
public:
    RingOperation(const RingOperation&) = delete;
    RingOperation& operator=(const RingOperation&) = delete;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept;
    int await_resume() const noexcept { return result_; }

    // The same, but it ends with -ETIMEDOUT when it takes longer. For what waits for others: poll,
    // connect, send and receive.
    RingOperation within(std::chrono::nanoseconds limit) const noexcept;

private:
    friend class Queue;
    friend class Ring;

    struct Timespec { // laid out as struct __kernel_timespec
        std::int64_t seconds = 0;
        long long nanoseconds = 0;
        static Timespec of(std::chrono::nanoseconds duration) noexcept;
    };
    struct Parts { // fields of the submission
        std::uint8_t opcode = 0;
        bool transfers = false; // a read or write, which goes on until all is transferred
        bool limited = false;   // by `delay`
        File file{-1};
        std::uint32_t flags = 0;
        std::uint64_t address = 0;
        std::uint64_t offset = 0;
        std::uint64_t length = 0; // of a transfer: what remains
        std::int32_t ring_buffer = -1;
        Timespec delay{};
    };
    enum class Next { resume, again, wait };

    RingOperation(Queue& queue, const Parts& parts) noexcept : queue_(&queue), parts_(parts) {}
    Next take_result(int result) noexcept;
    Next take_end_of_limit(int result) noexcept;
    Next take_half() noexcept;
    bool lacks_thread(int result) const noexcept;
    bool lacks_memory(int result) const noexcept;

    Queue* queue_;
    Parts parts_;
    std::coroutine_handle<> waiter_{};
    RingOperation* next_ = nullptr; // while waiting for room in the submission queue
    std::uint64_t began_ = 0;       // after so many cancellations
    std::int32_t result_ = 0;
    bool half_over_ = false; // a limited one ends twice: itself, and its limit
    bool timed_out_ = false;
};

class Ring {
public:
    explicit Ring(Queue& queue) noexcept : queue_(&queue) {}

    // Transfer all of the data, of less than 2 GiB; the result is their size. Only an end of file
    // makes it less.
    RingOperation read(File file, const Data& data, std::uint64_t offset) const noexcept;
    RingOperation write(File file, const Data& data, std::uint64_t offset,
                        Durability durability = Durability::cached) const noexcept;
    RingOperation read(File file, std::span<std::byte> buffer, std::uint64_t offset) const noexcept;
    RingOperation write(File file, std::span<const std::byte> buffer, std::uint64_t offset,
                        Durability durability = Durability::cached) const noexcept;
    // One preadv2 or pwritev2, which may transfer less; the pieces stay the caller's.
    RingOperation readv(File file, std::span<const iovec> pieces,
                        std::uint64_t offset) const noexcept;
    RingOperation writev(File file, std::span<const iovec> pieces, std::uint64_t offset,
                         Durability durability = Durability::cached) const noexcept;
    // These result in 0.
    RingOperation sync(File file, Sync what = Sync::data) const noexcept;
    RingOperation allocate(File file, int fallocate_mode, std::uint64_t offset,
                           std::uint64_t length) const noexcept;
    RingOperation sleep(std::chrono::nanoseconds duration) const noexcept;
    // Lets other requests of the queue run first.
    RingOperation yield() const noexcept;

    // Waits for poll(2) events; the result is the events that occurred.
    RingOperation poll(File file, unsigned events) const noexcept;
    // As the system calls of those names; what they are given must last until they are over.
    RingOperation connect(File socket, const sockaddr* address, socklen_t length) const noexcept;
    RingOperation sendmsg(File socket, const msghdr& message, int flags = 0) const noexcept;
    RingOperation recvmsg(File socket, msghdr& message, int flags = 0) const noexcept;
    // Ends all operations of this queue that wait for the file; each results in -ECANCELED, or in
    // what it had done by then. The result is how many there were.
    RingOperation cancel(File file) const noexcept;

    // `co_await ring.offload(function)`: runs what blocks on another thread, which is fit to serve
    // I/O, and results in what it returns. It takes no arguments, must not throw, and what it
    // refers to must last. There are few such threads: it is for what happens seldom.
    template <class Function> Offload<Function> offload(Function function) const noexcept;

    // Memory for the target's own use, of at least `size` bytes, aligned to pages and known to the
    // ring. From the queue's pool, which grows when it is empty; no memory: a Buffer of 0 bytes.
    Buffer borrow(std::size_t size) const noexcept;

    // Which of the device's queues this is, from 0. The queue's requests and this ring are served
    // by one thread, so data kept per queue needs no lock.
    unsigned queue_index() const noexcept;

private:
    friend class Event;

    Queue* queue_;
};

} // namespace ublk

#include <ublk/offload.h>

#endif
