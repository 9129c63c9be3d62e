// SPDX-License-Identifier: MIT
// Semaphore lets so many coroutines in at a time, and SharedMutex either several that only look or
// one that changes things. Those that have to wait stand in line, whichever queues they belong to,
// and no thread is blocked.
#ifndef UBLK_SEMAPHORE_H
#define UBLK_SEMAPHORE_H

#include <coroutine>
#include <mutex>
#include <utility>

#include <ublk/event.h>
#include <ublk/ring.h>

namespace ublk {

class Semaphore {
public:
    // Has so many of the semaphore's units, until it is destroyed.
    class [[nodiscard]] Guard {
    public:
        Guard(Guard&& other) noexcept
            : semaphore_(std::exchange(other.semaphore_, nullptr)), units_(other.units_) {}
        Guard& operator=(Guard&&) = delete;
        ~Guard() {
            if (semaphore_)
                semaphore_->give_back(units_);
        }

    private:
        friend class Semaphore;
        Guard(Semaphore& semaphore, unsigned units) noexcept
            : semaphore_(&semaphore), units_(units) {}
        Semaphore* semaphore_;
        unsigned units_;
    };

    class [[nodiscard]] Taking {
    public:
        bool await_ready() const noexcept { return false; }
        // False: there were enough, or became so.
        bool await_suspend(std::coroutine_handle<> waiter) noexcept {
            return !semaphore_.take_or_queue(*this) && turn_.await_suspend(waiter);
        }
        Guard await_resume() const noexcept { return Guard{semaphore_, units_}; }

    private:
        friend class Semaphore;
        Taking(Semaphore& semaphore, Ring ring, unsigned units) noexcept
            : semaphore_(semaphore), units_(units), turn_(ring) {}

        Semaphore& semaphore_;
        unsigned units_;
        Event turn_;
        Taking* next_ = nullptr;
    };

    explicit Semaphore(unsigned units) noexcept : free_(units) {}
    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;

    // First come, first served: who wants many is not overtaken by those who want few. `units` is
    // at most what the semaphore has.
    Taking take(Ring ring, unsigned units = 1) noexcept { return {*this, ring, units}; }

private:
    bool take_or_queue(Taking& taking) noexcept;
    void give_back(unsigned units) noexcept;
    Taking* next_to_go() noexcept;

    std::mutex state_{};
    // Guarded by state_.
    unsigned free_;
    Taking* first_ = nullptr; // of those in line
    Taking* last_ = nullptr;
};

// `co_await mutex.share(ring)` to look, `co_await mutex.lock(ring)` to change.
class SharedMutex {
public:
    using Guard = Semaphore::Guard;

    Semaphore::Taking share(Ring ring) noexcept { return semaphore_.take(ring, 1); }
    Semaphore::Taking lock(Ring ring) noexcept { return semaphore_.take(ring, everybody); }

private:
    static constexpr unsigned everybody = 1U << 30;
    Semaphore semaphore_{everybody};
};

} // namespace ublk

#endif
