// SPDX-License-Identifier: MIT
// Mutex is for what one coroutine uses at a time and keeps while it waits for I/O. Those that want
// it meanwhile stand in line, whichever queues they belong to, and no thread is blocked.
#ifndef UBLK_MUTEX_H
#define UBLK_MUTEX_H

#include <coroutine>
#include <mutex>
#include <utility>

#include <ublk/event.h>
#include <ublk/ring.h>

namespace ublk {

class Mutex {
public:
    // Has the mutex, until it is destroyed.
    class [[nodiscard]] Guard {
    public:
        Guard(Guard&& other) noexcept : mutex_(std::exchange(other.mutex_, nullptr)) {}
        Guard& operator=(Guard&&) = delete;
        ~Guard() {
            if (mutex_)
                mutex_->unlock();
        }

    private:
        friend class Mutex;
        explicit Guard(Mutex& mutex) noexcept : mutex_(&mutex) {}
        Mutex* mutex_;
    };

    class [[nodiscard]] Locking {
    public:
        bool await_ready() const noexcept { return false; }
        // False: the mutex was free, or became so.
        bool await_suspend(std::coroutine_handle<> waiter) noexcept {
            return !mutex_.take_or_queue(*this) && turn_.await_suspend(waiter);
        }
        Guard await_resume() const noexcept { return Guard{mutex_}; }

    private:
        friend class Mutex;
        Locking(Mutex& mutex, Ring ring) noexcept : mutex_(mutex), turn_(ring) {}

        Mutex& mutex_;
        Event turn_;
        Locking* next_ = nullptr;
    };

    Mutex() = default;
    Mutex(const Mutex&) = delete;
    Mutex& operator=(const Mutex&) = delete;

    // `const Mutex::Guard guard = co_await mutex.lock(ring);` First come, first served.
    Locking lock(Ring ring) noexcept { return {*this, ring}; }

private:
    bool take_or_queue(Locking& locking) noexcept;
    void unlock() noexcept;

    std::mutex state_{};
    // Guarded by state_.
    bool taken_ = false;
    Locking* first_ = nullptr; // of those in line
    Locking* last_ = nullptr;
};

} // namespace ublk

#endif
