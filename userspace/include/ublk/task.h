// SPDX-License-Identifier: MIT
// Async<T> is a T that may still have to come: from a coroutine, which returns it to who awaits it,
// or it is there at once. A coroutine's frame comes from a pool of the queue, so that serving a
// request allocates nothing.
#ifndef UBLK_TASK_H
#define UBLK_TASK_H

#include <cassert>
#include <cerrno>
#include <concepts>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

#include <ublk/answer.h>

namespace ublk {

namespace detail {

struct Tag;

// The only way a request leaves the targets; checks the answer against the request.
void complete(Tag& tag, const Answer& answer) noexcept;

void* allocate_frame(std::size_t size);
void free_frame(void* frame) noexcept;

struct PromiseBase {
    // Goes on with who waits for this coroutine. One that nobody waits for runs over its end, and
    // so is gone.
    struct FinalAwaiter {
        bool await_ready() const noexcept { return !waiter; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept {
            return waiter;
        }
        void await_resume() const noexcept {}

        std::coroutine_handle<> waiter;
    };

    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* frame) noexcept { free_frame(frame); }

    std::suspend_always initial_suspend() const noexcept { return {}; }
    FinalAwaiter final_suspend() const noexcept { return {waiter}; }
    [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

    std::coroutine_handle<> waiter{};
};

template <class T> struct Promise : PromiseBase {
    void return_value(T result) { value.emplace(std::move(result)); }
    T take() { return std::move(*value); }
    std::optional<T> value{};
};

template <> struct Promise<void> : PromiseBase {
    void return_void() const noexcept {}
    void take() const noexcept {}
};

// A coroutine that flows off its end has not served its request.
template <> struct Promise<Answer> : PromiseBase {
    void return_value(Answer result) noexcept { value = result; }
    Answer take() const noexcept { return value; }
    FinalAwaiter final_suspend() const noexcept {
        if (tag)
            complete(*tag, value);
        return PromiseBase::final_suspend();
    }
    Answer value = Answer::failed(EIO);
    Tag* tag = nullptr; // that the answer is for
};

} // namespace detail

// A coroutine starts when awaited or started.
template <class T> class [[nodiscard]] Async {
public:
    struct promise_type : detail::Promise<T> {
        Async get_return_object() {
            return Async{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
    };

    // There at once, without a coroutine: `return request.done();` in a function that need not wait
    // and so has no co_return.
    template <std::convertible_to<T> Value>
    // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): no Async is convertible to a T
    Async(Value&& value) : value_(std::in_place, std::forward<Value>(value)) {}

    Async(Async&& other) noexcept
        : coroutine_(std::exchange(other.coroutine_, nullptr)), value_(std::move(other.value_)) {}
    Async& operator=(Async&&) = delete;
    ~Async() {
        if (coroutine_)
            coroutine_.destroy();
    }

    // Runs until the first wait; the coroutine frees itself at its end and its result is dropped.
    void start() && {
        assert((coroutine_ || value_) && "started twice");
        if (coroutine_)
            std::exchange(coroutine_, nullptr).resume();
    }

    // The same for the library, with the tag that the answer is for.
    void start_for(detail::Tag& tag) && {
        if (!coroutine_) {
            detail::complete(tag, *value_);
            return;
        }
        coroutine_.promise().tag = &tag;
        std::exchange(coroutine_, nullptr).resume();
    }

    bool await_ready() const noexcept { return !coroutine_; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
        coroutine_.promise().waiter = waiter;
        return coroutine_;
    }
    T await_resume() {
        if constexpr (!std::is_void_v<T>)
            if (!coroutine_)
                return std::move(*value_);
        return coroutine_.promise().take();
    }

private:
    struct Nothing {};

    explicit Async(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}

    std::coroutine_handle<promise_type> coroutine_{};
    std::optional<std::conditional_t<std::is_void_v<T>, Nothing, T>> value_{};
};

} // namespace ublk

#endif
