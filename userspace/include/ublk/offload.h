// SPDX-License-Identifier: MIT
// Offload is a function on its way to another thread and back: see Ring::offload().
#ifndef UBLK_OFFLOAD_H
#define UBLK_OFFLOAD_H

#include <coroutine>
#include <optional>
#include <type_traits>
#include <utility>

#include <ublk/event.h>
#include <ublk/ring.h>

namespace ublk {

namespace detail {

// What a worker does. It lives in the coroutine that waits for it.
class Job {
public:
    Job(const Job&) = delete;
    Job& operator=(const Job&) = delete;

    // By the worker.
    virtual void run() noexcept = 0;

    Job* next = nullptr; // in the workers' list

protected:
    Job() = default;
    ~Job() = default;
};

void hand_to_workers(Queue& queue, Job& job) noexcept;

} // namespace detail

template <class Function> class [[nodiscard]] Offload final : detail::Job {
public:
    using Value = std::invoke_result_t<Function&>;
    static_assert(!std::is_void_v<Value>, "return something, if only whether it went well");

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) noexcept {
        detail::hand_to_workers(queue_, *this);
        return done_.await_suspend(waiter);
    }
    Value await_resume() { return std::move(*value_); }

private:
    friend class Ring;
    Offload(Queue& queue, Ring ring, Function function) noexcept
        : queue_(queue), function_(std::move(function)), done_(ring) {}

    void run() noexcept override {
        value_.emplace(function_());
        done_.set(); // this may be gone afterwards
    }

    Queue& queue_;
    Function function_;
    std::optional<Value> value_{};
    Event done_;
};

template <class Function> Offload<Function> Ring::offload(Function function) const noexcept {
    return {*queue_, *this, std::move(function)};
}

} // namespace ublk

#endif
