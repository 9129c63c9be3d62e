// SPDX-License-Identifier: MIT
// Event is how one coroutine waits for another, which may run on another queue's thread.
#ifndef UBLK_EVENT_H
#define UBLK_EVENT_H

#include <atomic>
#include <coroutine>
#include <cstdint>

namespace ublk {

class Queue;
class Ring;

// Of one wait: `co_await event` ends when somebody calls set(), at once if that was before.
class [[nodiscard]] Event {
public:
    // The ring of who will wait.
    explicit Event(Ring ring) noexcept;
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;

    // Once, by any thread, also one of a library's. The event may be gone when it returns.
    void set() noexcept;

    bool await_ready() const noexcept { return state_.load() == State::set; }
    bool await_suspend(std::coroutine_handle<> waiter) noexcept;
    void await_resume() const noexcept {}

private:
    friend class Queue;

    enum class State : std::uint8_t { fresh, awaited, set };

    Queue* queue_;
    std::coroutine_handle<> waiter_{};
    Event* next_ = nullptr; // on the queue's list of those that were set
    std::atomic<State> state_{State::fresh};
};

} // namespace ublk

#endif
