// SPDX-License-Identifier: MIT
// TaskGroup is how a coroutine does several things at a time: it starts them, and then waits until
// all have come to an end.
#ifndef UBLK_TASK_GROUP_H
#define UBLK_TASK_GROUP_H

#include <cassert>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <utility>

#include <ublk/task.h>

namespace ublk {

// Of one coroutine, which waits with `co_await group` and then may start more. All is done by the
// thread of its queue. Each member takes a frame of the queue's pool beside its own.
class [[nodiscard]] TaskGroup {
public:
    TaskGroup() = default;
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    ~TaskGroup() { assert(running_ == 0 && "nobody has waited for the group"); }

    // Runs until its first wait. What it returns is in `result`, which must last, when the wait for
    // the group is over.
    template <class T> void start(Async<T> task, T& result) {
        ++running_;
        run(this, std::move(task), &result);
    }

    bool await_ready() const noexcept { return running_ == 0; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }
    void await_resume() const noexcept {}

private:
    // Starts at once, and frees itself.
    struct Member {
        struct promise_type {
            struct FinalAwaiter {
                bool await_ready() const noexcept { return false; }
                std::coroutine_handle<>
                await_suspend(std::coroutine_handle<promise_type> self) const noexcept {
                    TaskGroup* group = self.promise().group;
                    self.destroy();
                    return group->leave();
                }
                void await_resume() const noexcept {}
            };

            template <class T>
            promise_type(TaskGroup* own, const Async<T>& /*task*/, const T* /*result*/) noexcept
                : group(own) {}

            static void* operator new(std::size_t size) { return detail::allocate_frame(size); }
            static void operator delete(void* frame) noexcept { detail::free_frame(frame); }

            Member get_return_object() const noexcept { return {}; }
            std::suspend_never initial_suspend() const noexcept { return {}; }
            FinalAwaiter final_suspend() const noexcept { return {}; }
            void return_void() const noexcept {}
            [[noreturn]] void unhandled_exception() const noexcept { std::terminate(); }

            TaskGroup* group;
        };
    };

    template <class T> static Member run(TaskGroup* group, Async<T> task, T* result) {
        static_cast<void>(group); // of the promise
        *result = co_await std::move(task);
    }

    // Who goes on.
    std::coroutine_handle<> leave() noexcept {
        if (--running_ > 0 || !waiter_)
            return std::noop_coroutine();
        return std::exchange(waiter_, nullptr);
    }

    unsigned running_ = 0;
    std::coroutine_handle<> waiter_{};
};

} // namespace ublk

#endif
