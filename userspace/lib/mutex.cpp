// SPDX-License-Identifier: MIT
// The line in front of a mutex. A mutex that is let go belongs to the first in line at once, so
// nobody who comes later overtakes.
#include <ublk/mutex.h>

namespace ublk {

bool Mutex::take_or_queue(Locking& locking) noexcept {
    const std::lock_guard guard{state_};
    if (!std::exchange(taken_, true))
        return true;
    (first_ ? last_->next_ : first_) = &locking;
    last_ = &locking;
    return false;
}

void Mutex::unlock() noexcept {
    Locking* next = nullptr;
    {
        const std::lock_guard guard{state_};
        next = first_;
        if (next)
            first_ = next->next_;
        else
            taken_ = false;
    }
    if (next)
        next->turn_.set();
}

} // namespace ublk
