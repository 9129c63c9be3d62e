// SPDX-License-Identifier: MIT
// Shortage is a time in which the kernel has no thread or no memory for operations of a queue's
// ring. They are tried again until it has, and the server's log says so when it begins, while it
// lasts and when it is over.
#ifndef UBLK_LIB_SHORTAGE_H
#define UBLK_LIB_SHORTAGE_H

#include <atomic>
#include <chrono>
#include <cstdint>

#include <linux/time_types.h>

namespace ublk {

class Shortage {
public:
    using Clock = std::chrono::steady_clock;

    explicit Shortage(unsigned queue) : queue_(queue) {}

    // Something could not be begun.
    void continues(int error) noexcept;
    // Something could.
    void ends() noexcept;
    bool lasts() const noexcept { return lasts_; }
    // How long it lasts by now, at least 1; 0: there is none. By any thread.
    std::uint64_t seconds() const noexcept;

    // How long memory may be short. There may be none for an operation of the backing's own, for
    // ever; a thread is missing only while a limit is reached.
    bool may_wait_for_memory() const noexcept;

    // Until the next try: short at first, and never so long that the end of the shortage is missed
    // for longer than a person notices. To be asked for once a try.
    const __kernel_timespec* next_pause() noexcept;

private:
    unsigned queue_;
    bool lasts_ = false;
    Clock::time_point since_{};
    std::atomic<Clock::time_point> since_for_others_{}; // the epoch: it does not last
    Clock::time_point said_{};
    std::chrono::milliseconds pause_{0};
    __kernel_timespec pause_for_ring_{};
};

} // namespace ublk

#endif
