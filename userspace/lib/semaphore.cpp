// SPDX-License-Identifier: MIT
// The line in front of a semaphore. What is given back belongs to the first in line at once, so
// nobody who comes later overtakes.
#include <ublk/semaphore.h>

namespace ublk {

bool Semaphore::take_or_queue(Taking& taking) noexcept {
    const std::lock_guard guard{state_};
    if (!first_ && free_ >= taking.units_) {
        free_ -= taking.units_;
        return true;
    }
    (first_ ? last_->next_ : first_) = &taking;
    last_ = &taking;
    return false;
}

// Whoever is returned has what he wanted.
Semaphore::Taking* Semaphore::next_to_go() noexcept {
    const std::lock_guard guard{state_};
    if (!first_ || free_ < first_->units_)
        return nullptr;
    Taking* next = first_;
    free_ -= next->units_;
    first_ = next->next_;
    return next;
}

void Semaphore::give_back(unsigned units) noexcept {
    {
        const std::lock_guard guard{state_};
        free_ += units;
    }
    while (Taking* next = next_to_go())
        next->turn_.set();
}

} // namespace ublk
