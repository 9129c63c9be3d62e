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

namespace ublk {

class Queue;

// A file descriptor, or an entry of the list that Target::files() registers with every ring (which
// saves the kernel a look-up per operation). A descriptor converts by itself.
class File {
public:
    File(int descriptor) noexcept : number_(descriptor) {}
    static File registered(int index) noexcept {
        File file{index};
        file.registered_ = true;
        return file;
    }
    int number() const noexcept { return number_; }
    bool is_registered() const noexcept { return registered_; }

private:
    int number_;
    bool registered_ = false;
};

// The data of a request, Io::data(): memory of this process, or pages that only the ring can reach.
class Data {
public:
    std::uint64_t size() const noexcept { return size_; }

private:
    friend class Io;
    friend class Ring;
    Data(std::byte* memory, std::uint64_t size) noexcept : memory_(memory), size_(size) {}
    Data(std::int32_t ring_buffer, std::uint64_t size) noexcept
        : size_(size), ring_buffer_(ring_buffer) {}

    std::byte* memory_ = nullptr;
    std::uint64_t size_;
    std::int32_t ring_buffer_ = -1;
};

enum class Durability {
    cached, // in the file's cache; sync() makes it durable
    stable, // on stable storage when the write completes (RWF_DSYNC)
};

enum class Sync {
    data, // fdatasync
    full, // fsync
};

// One operation; `int result = co_await operation`. The result is a negative errno or what the
// operation's function in Ring documents. An operation that io_uring could not begin, for want of a
// thread or of memory, is no result: it is tried again until the driver takes the queue's tags
// back.
class [[nodiscard]] RingOperation {
public:
    RingOperation(const RingOperation&) = delete;
    RingOperation& operator=(const RingOperation&) = delete;

    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept;
    int await_resume() const noexcept { return result_; }

private:
    friend class Queue;
    friend class Ring;

    struct Timespec { // laid out as struct __kernel_timespec
        std::int64_t seconds = 0;
        long long nanoseconds = 0;
    };
    struct Parts { // fields of the submission
        std::uint8_t opcode = 0;
        bool transfers = false; // a read or write, which goes on until all is transferred
        File file{-1};
        std::uint32_t flags = 0;
        std::uint64_t address = 0;
        std::uint64_t offset = 0;
        std::uint64_t length = 0; // of a transfer: what remains
        std::int32_t ring_buffer = -1;
        Timespec delay{};
    };

    RingOperation(Queue& queue, const Parts& parts) noexcept : queue_(&queue), parts_(parts) {}
    bool take_result(int result) noexcept;
    bool lacks_thread(int result) const noexcept;
    bool lacks_memory(int result) const noexcept;

    Queue* queue_;
    Parts parts_;
    std::coroutine_handle<> waiter_{};
    RingOperation* next_ = nullptr; // while waiting for room in the submission queue
    std::int32_t result_ = 0;
};

class Ring {
public:
    explicit Ring(Queue& queue) noexcept : queue_(&queue) {}

    // Transfer all of the buffer, of less than 2 GiB; the result is its size. Only an end of file
    // makes it less.
    RingOperation read(File file, std::span<std::byte> buffer, std::uint64_t offset) const noexcept;
    RingOperation write(File file, std::span<const std::byte> buffer, std::uint64_t offset,
                        Durability durability = Durability::cached) const noexcept;
    RingOperation read(File file, const Data& data, std::uint64_t offset) const noexcept;
    RingOperation write(File file, const Data& data, std::uint64_t offset,
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

    // Entry `index` of Target::files().
    File file(unsigned index) const noexcept;
    // Which of the device's queues this is, from 0. The queue's requests and this ring are served
    // by one thread, so data kept per queue needs no lock.
    unsigned queue_index() const noexcept;

private:
    friend class Event;

    Queue* queue_;
};

} // namespace ublk

#endif
