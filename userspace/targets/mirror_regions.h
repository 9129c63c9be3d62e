// SPDX-License-Identifier: GPL-2.0-or-later
// Who is at work in which chunk of a mirror: many writes, or one copy from leg to leg, which then
// has it for itself. And whether stable storage knows that the legs may differ there.
#ifndef UBLK_TARGETS_MIRROR_REGIONS_H
#define UBLK_TARGETS_MIRROR_REGIONS_H

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <mutex>
#include <vector>

#include <ublk/event.h>
#include <ublk/ring.h>
#include <ublk/task.h>

namespace ublk::targets {

// By any thread.
class Regions {
public:
    using Chunk = std::uint32_t;

    explicit Regions(std::uint64_t chunks) : chunks_(chunks) {}

    // Of a write. Who has entered leaves.
    enum class Entry : std::uint8_t {
        entered,
        unmarked, // nobody may write there before it is marked
        locked,   // wait_for_unlock()
    };
    Entry enter(Chunk chunk) noexcept;
    void leave(Chunk chunk) noexcept;

    // That stable storage knows of writes there.
    void mark(Chunk chunk) noexcept { chunks_[chunk].fetch_or(marked | recent); }
    // False unless nobody is at work there, and nobody was since the last cool().
    bool try_unmark(Chunk chunk) noexcept;
    void cool(Chunk chunk) noexcept { chunks_[chunk].fetch_and(~recent); }

    // Of a copy, or of a repair. A coroutine that wants several takes them in rising order.
    Async<void> lock(Ring ring, Chunk chunk);
    void unlock(Chunk chunk) noexcept;

    class [[nodiscard]] Wait {
    public:
        bool await_ready() const noexcept { return false; }
        bool await_suspend(std::coroutine_handle<> waiter) noexcept {
            return regions_.must_wait(*this) && turn_.await_suspend(waiter);
        }
        void await_resume() const noexcept {}

    private:
        friend class Regions;
        Wait(Regions& regions, Ring ring, Chunk chunk, bool for_the_last) noexcept
            : regions_(regions), turn_(ring), chunk_(chunk), for_the_last_(for_the_last) {}

        Regions& regions_;
        Event turn_;
        Chunk chunk_;
        bool for_the_last_; // to leave, rather than for the lock
        Wait* next_ = nullptr;
    };
    // Ends when it is unlocked, or at once. Whether one may enter then is to be seen.
    Wait wait_for_unlock(Ring ring, Chunk chunk) noexcept { return {*this, ring, chunk, false}; }

private:
    static constexpr std::uint32_t is_locked = 1U << 31;
    static constexpr std::uint32_t marked = 1U << 30;
    static constexpr std::uint32_t recent = 1U << 29;
    static constexpr std::uint32_t writes = recent - 1; // how many are under way

    bool must_wait(Wait& wait) noexcept;
    bool try_lock(Chunk chunk) noexcept;
    void wake(Chunk chunk, bool for_the_last) noexcept;

    std::vector<std::atomic<std::uint32_t>> chunks_;
    std::mutex waiting_mutex_{};
    Wait* waiting_ = nullptr; // guarded by waiting_mutex_
};

} // namespace ublk::targets

#endif
