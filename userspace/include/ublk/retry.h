// SPDX-License-Identifier: MIT
// retry_until() tries something again that fails only for the moment: the one back-off loop.
#ifndef UBLK_RETRY_H
#define UBLK_RETRY_H

#include <algorithm>
#include <chrono>
#include <thread>

namespace ublk {

// For what nothing tells of its change. Calls `attempt` until `may_change(its outcome)` is false,
// or the deadline has passed, and returns the last outcome. There is one attempt at least, and one
// after the deadline. The pauses grow from 1 to 50 ms.
template <class Attempt, class MayChange>
auto retry_until(std::chrono::steady_clock::time_point deadline, Attempt&& attempt,
                 MayChange&& may_change) {
    constexpr std::chrono::milliseconds longest_pause{50};
    for (std::chrono::milliseconds pause{1};; pause = std::min(2 * pause, longest_pause)) {
        const bool last = std::chrono::steady_clock::now() >= deadline;
        auto outcome = attempt();
        if (last || !may_change(outcome))
            return outcome;
        std::this_thread::sleep_for(pause);
    }
}

} // namespace ublk

#endif
