// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/task.h>

#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

#include "frame_pool.h"

namespace ublk {
namespace {

using Log = std::vector<std::string>;

// Suspends whoever awaits it until resume().
class Gate {
public:
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { waiter_ = waiter; }
    void await_resume() const noexcept {}
    void resume() { waiter_.resume(); }

private:
    std::coroutine_handle<> waiter_;
};

struct Traced {
    explicit Traced(Log& log) : log_(&log) {}
    Traced(Traced&& other) noexcept : log_(std::exchange(other.log_, nullptr)) {}
    Traced& operator=(Traced&&) = delete;
    ~Traced() {
        if (log_)
            log_->push_back("dropped");
    }
    Log* log_;
};

Async<void> note(Log* log, Traced) {
    log->push_back("ran");
    co_return;
}

TEST(Task, RunsOnlyWhenStarted) {
    Log log;
    Async<void> task = note(&log, Traced{log});
    EXPECT_EQ(log, Log{});
    std::move(task).start();
    EXPECT_EQ(log, (Log{"ran", "dropped"}));
}

TEST(Task, DestroyedUnstartedDropsItsArguments) {
    Log log;
    { const Async<void> task = note(&log, Traced{log}); }
    EXPECT_EQ(log, Log{"dropped"});
}

Async<void> pass(Gate* gate, Log* log, Traced) {
    co_await *gate;
    log->push_back("passed");
}

TEST(Task, StartedFreesItselfAfterASuspension) {
    Log log;
    Gate gate;
    pass(&gate, &log, Traced{log}).start();
    EXPECT_EQ(log, Log{});
    gate.resume();
    EXPECT_EQ(log, (Log{"passed", "dropped"}));
}

Async<std::unique_ptr<int>> make_number(Gate* gate, int number) {
    co_await *gate;
    co_return std::make_unique<int>(number);
}

Async<void> add(Gate* first, Gate* second, int* sum) {
    *sum += *co_await make_number(first, 3);
    *sum += *co_await make_number(second, 4);
}

TEST(Async, ReturnsAMoveOnlyValueToItsWaiter) {
    Gate first;
    Gate second;
    int sum = 0;
    add(&first, &second, &sum).start();
    first.resume();
    EXPECT_EQ(sum, 3);
    second.resume();
    EXPECT_EQ(sum, 7);
}

Async<std::unique_ptr<int>> number_at_once(int number) { return std::make_unique<int>(number); }

Async<void> add_at_once(int* sum) {
    *sum += *co_await number_at_once(3);
    *sum += *co_await number_at_once(4);
}

TEST(Async, ValueThatIsThereNeedsNoCoroutine) {
    FramePool pool = *FramePool::create(1);
    const FramePool::Use frames{pool}; // of add_at_once() alone
    int sum = 0;
    add_at_once(&sum).start();
    EXPECT_EQ(sum, 7);
    EXPECT_EQ(pool.heap_allocations(), 0U);
}

TEST(Async, ValueThatIsThereMayBeDropped) {
    number_at_once(3).start();
    { const Async<std::unique_ptr<int>> number = number_at_once(4); }
}

Async<void> outer(Log* log) {
    co_await note(log, Traced{*log});
    log->push_back("outer");
}

TEST(Task, AwaitedTaskEndsBeforeItsWaiterGoesOn) {
    Log log;
    outer(&log).start();
    EXPECT_EQ(log, (Log{"ran", "dropped", "outer"}));
}

} // namespace
} // namespace ublk
