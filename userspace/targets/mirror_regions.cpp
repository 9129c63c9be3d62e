// SPDX-License-Identifier: GPL-2.0-or-later
// A word for each chunk, and a line for those few that have to wait.
#include "mirror_regions.h"

namespace ublk::targets {

Regions::Entry Regions::enter(Chunk chunk) noexcept {
    std::atomic<std::uint32_t>& word = chunks_[chunk];
    std::uint32_t now = word.load();
    do {
        if (now & is_locked) [[unlikely]]
            return Entry::locked;
        if (!(now & marked)) [[unlikely]]
            return Entry::unmarked;
    } while (!word.compare_exchange_weak(now, (now + 1) | recent));
    return Entry::entered;
}

void Regions::leave(Chunk chunk) noexcept {
    const std::uint32_t before = chunks_[chunk].fetch_sub(1);
    if ((before & is_locked) && (before & writes) == 1) [[unlikely]]
        wake(chunk, true);
}

bool Regions::try_unmark(Chunk chunk) noexcept {
    std::uint32_t idle = marked;
    return chunks_[chunk].compare_exchange_strong(idle, 0);
}

bool Regions::try_lock(Chunk chunk) noexcept {
    return !(chunks_[chunk].fetch_or(is_locked) & is_locked);
}

Async<void> Regions::lock(Ring ring, Chunk chunk) {
    while (!try_lock(chunk))
        co_await wait_for_unlock(ring, chunk);
    co_await Wait{*this, ring, chunk, true};
}

void Regions::unlock(Chunk chunk) noexcept {
    chunks_[chunk].fetch_and(~is_locked);
    wake(chunk, false);
}

// Who wakes comes after the change that is waited for, and takes the mutex: it finds everybody who
// has not seen the change.
bool Regions::must_wait(Wait& wait) noexcept {
    const std::lock_guard guard{waiting_mutex_};
    const std::uint32_t now = chunks_[wait.chunk_].load();
    if (!(now & (wait.for_the_last_ ? writes : is_locked)))
        return false;
    wait.next_ = waiting_;
    waiting_ = &wait;
    return true;
}

void Regions::wake(Chunk chunk, bool for_the_last) noexcept {
    Wait* woken = nullptr;
    {
        const std::lock_guard guard{waiting_mutex_};
        // Somebody may have come since: then whoever leaves last wakes.
        if (for_the_last && (chunks_[chunk].load() & writes))
            return;
        for (Wait** place = &waiting_; *place;) {
            Wait* wait = *place;
            if (wait->chunk_ != chunk || wait->for_the_last_ != for_the_last) {
                place = &wait->next_;
                continue;
            }
            *place = wait->next_;
            wait->next_ = woken;
            woken = wait;
        }
    }
    while (woken) {
        Wait* wait = woken;
        woken = wait->next_; // it is gone once it is set
        wait->turn_.set();
    }
}

} // namespace ublk::targets
