// SPDX-License-Identifier: MIT
// Counts and tells; the queue does the waiting.
#include "shortage.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

namespace ublk {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds longest_pause = 100ms;
constexpr std::chrono::seconds patience_for_memory = 60s;
constexpr std::chrono::seconds between_words = 30s;

} // namespace

void Shortage::continues(int error) noexcept {
    const Clock::time_point now = Clock::now();
    if (!lasts_) {
        lasts_ = true;
        since_ = now;
        since_for_others_ = now;
        pause_ = 0ms;
    } else if (now - said_ < between_words) {
        return;
    }
    said_ = now;
    const bool memory = error == -ENOMEM || error == -ENOBUFS;
    std::fprintf(
        stderr, "ublk: queue %u: the kernel has no %s for I/O, which waits since %lld s; %s\n",
        queue_, memory ? "memory" : "thread",
        static_cast<long long>(
            std::chrono::duration_cast<std::chrono::seconds>(now - since_).count()),
        memory ? "see memory.max of its cgroup" : "see pids.max of its cgroup, and ulimit -u");
}

void Shortage::ends() noexcept {
    if (!lasts_)
        return;
    lasts_ = false;
    since_for_others_ = Clock::time_point{};
    std::fprintf(stderr, "ublk: queue %u: I/O goes on\n", queue_);
}

std::uint64_t Shortage::seconds() const noexcept {
    const Clock::time_point since = since_for_others_;
    if (since == Clock::time_point{})
        return 0;
    const auto lasted = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - since);
    return static_cast<std::uint64_t>(std::max<std::int64_t>(1, lasted.count()));
}

bool Shortage::may_wait_for_memory() const noexcept {
    return !lasts_ || Clock::now() - since_ < patience_for_memory;
}

const __kernel_timespec* Shortage::next_pause() noexcept {
    pause_ = std::clamp(2 * pause_, std::chrono::milliseconds{1}, longest_pause);
    pause_for_ring_ = {.tv_sec = 0,
                       .tv_nsec =
                           std::chrono::duration_cast<std::chrono::nanoseconds>(pause_).count()};
    return &pause_for_ring_;
}

} // namespace ublk
