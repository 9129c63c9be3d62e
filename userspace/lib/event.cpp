// SPDX-License-Identifier: MIT
// The meeting of who waits and who sets: one of them comes second, and sees the other.
#include <ublk/event.h>

#include "queue.h"

namespace ublk {

Event::Event(Ring ring) noexcept : queue_(ring.queue_) {}

bool Event::await_suspend(std::coroutine_handle<> waiter) noexcept {
    waiter_ = waiter;
    queue_->expect_event();
    State expected = State::fresh;
    if (state_.compare_exchange_strong(expected, State::awaited))
        return true;
    queue_->forget_event();
    return false;
}

void Event::set() noexcept {
    // Once the state is `set` the event may be gone, unless it is awaited: then it is the queue's.
    Queue& queue = *queue_;
    if (state_.exchange(State::set) == State::awaited)
        queue.wake(*this);
}

} // namespace ublk
