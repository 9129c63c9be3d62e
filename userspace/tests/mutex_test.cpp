// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/mutex.h>

#include <gtest/gtest.h>
#include <string>
#include <thread>

#include <ublk/semaphore.h>

#include "server_with_driver.h"
#include "support/allocation_counter.h"
#include "support/target_bench.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::TargetBench;
using namespace std::chrono_literals;

constexpr test::BlockRequest any{.op = UBLK_IO_OP_FLUSH};

// Each request waits for the event of its tag.
class Waiting final : public Target {
public:
    Geometry geometry() const override { return test::everything_allowed(); }
    Async<Answer> serve(Ring ring, Request request) override {
        Event event{ring};
        events_[request.tag] = &event;
        if (set_before_)
            event.set();
        co_await event;
        events_[request.tag] = nullptr;
        co_return request.done();
    }

    std::array<Event*, 4> events_{};
    bool set_before_ = false;
};

TEST(Event, ThatWasSetIsNotWaitedFor) {
    Waiting target;
    target.set_before_ = true;
    TargetBench bench{target};
    EXPECT_EQ(bench.flush(), 0);
}

TEST(Event, SetByTheQueuesOwnThreadEndsTheWait) {
    Waiting target;
    TargetBench bench{target};
    bench.submit(1, any);
    for (int round = 0; round < 3; ++round)
        bench.queue().step(0);
    ASSERT_NE(target.events_[1], nullptr);
    EXPECT_FALSE(bench.result(1));
    target.events_[1]->set();
    bench.finish_all();
    EXPECT_EQ(bench.result(1), 0);
}

TEST(Event, SetByAnotherThreadEndsTheWait) {
    Waiting target;
    TargetBench bench{target};
    for (int round = 0; round < 100; ++round) {
        bench.submit(0, any);
        bench.submit(1, any);
        while (!target.events_[0] || !target.events_[1])
            bench.queue().step(0);
        std::thread other{[&target] {
            for (unsigned tag : {1U, 0U})
                target.events_[tag]->set();
        }};
        // Not until there are results: those cause no completion, for which a step would wait.
        while (target.events_[0] || target.events_[1])
            bench.queue().step(1);
        other.join();
        bench.finish_all();
        EXPECT_EQ(bench.result(0), 0);
        EXPECT_EQ(bench.result(1), 0);
    }
}

TEST(Event, QueueDoesNotEndWhileOneIsWaitedFor) {
    Waiting target;
    TargetBench bench{target};
    bench.submit(0, any);
    bench.queue().step(0);
    bench.driver().take_back_tags();
    bench.queue().step(0);
    EXPECT_TRUE(bench.queue().step(0));
    target.events_[0]->set();
    bench.queue().run();
    EXPECT_EQ(bench.result(0), 0);
}

// One request at a time may be in the middle of it.
class Guarded final : public Target {
public:
    Geometry geometry() const override { return test::everything_allowed(); }
    Async<Answer> serve(Ring ring, Request request) override {
        const Mutex::Guard guard = co_await mutex_.lock(ring);
        const int before = inside_.fetch_add(1);
        most_ = std::max(most_, before + 1);
        order_ += static_cast<char>('0' + request.tag % 10);
        co_await ring.yield();
        inside_.fetch_sub(1);
        co_return request.done();
    }

    // Guarded by the mutex, and for other eyes when all is over.
    int most_ = 0;
    std::string order_;

private:
    Mutex mutex_;
    std::atomic<int> inside_{0};
};

TEST(Mutex, LetsOneInAfterTheOtherInTheOrderOfArrival) {
    Guarded target;
    TargetBench bench{target, 4};
    for (unsigned tag : {2U, 0U, 3U, 1U}) {
        bench.submit(tag, any);
        bench.queue().step(0);
    }
    bench.finish_all();
    EXPECT_EQ(target.order_, "2031");
    EXPECT_EQ(target.most_, 1);
    for (unsigned tag = 0; tag < 4; ++tag)
        EXPECT_EQ(bench.result(tag), 0);
}

TEST(Mutex, AllocatesNothing) {
    Guarded target;
    target.order_.reserve(8192);
    TargetBench bench{target, 4};
    const auto serve_all = [&bench] {
        for (unsigned tag = 0; tag < 4; ++tag)
            bench.submit(tag, any);
        while (!bench.driver().armed(0, 3))
            bench.queue().step(0);
    };
    serve_all();
    const std::uint64_t before = test::heap_allocations();
    for (int i = 0; i < 100; ++i)
        serve_all();
    EXPECT_EQ(test::heap_allocations() - before, 0U);
    EXPECT_EQ(bench.queue().statistics().frame_heap_allocations, 0U);
}

TEST(Mutex, IsOneForAllQueues) {
    constexpr unsigned queues = 3;
    constexpr unsigned depth = 8;
    constexpr unsigned rounds = 50;
    auto driver = std::make_shared<test::FakeDriver>();
    auto owned = std::make_unique<Guarded>();
    const Guarded& target = *owned;
    auto server = start_with_driver(driver, std::move(owned), {.queues = queues, .depth = depth});
    ASSERT_TRUE(server) << server.error().message();
    for (unsigned round = 0; round < rounds; ++round) {
        for (unsigned queue = 0; queue < queues; ++queue)
            for (unsigned tag = 0; tag < depth; ++tag)
                driver->issue(queue, tag, any);
        for (unsigned queue = 0; queue < queues; ++queue)
            for (unsigned tag = 0; tag < depth; ++tag)
                EXPECT_EQ(driver->wait_for_result(queue, tag), 0);
    }
    ASSERT_TRUE(server->stop());
    EXPECT_EQ(target.most_, 1);
    EXPECT_EQ(target.order_.size(), std::size_t{queues} * depth * rounds);
}

// Looks are let in together, a change alone; who came first goes first.
class Shelf final : public Target {
public:
    Geometry geometry() const override { return test::everything_allowed(); }
    Async<Answer> serve(Ring ring, Request request) override {
        if (request.op == Op::flush) {
            const auto guard = co_await mutex_.share(ring);
            most_looking_ = std::max(most_looking_, ++looking_);
            co_await ring.yield();
            --looking_;
        } else {
            const auto guard = co_await mutex_.lock(ring);
            EXPECT_EQ(looking_, 0);
            co_await ring.yield();
            EXPECT_EQ(looking_, 0);
        }
        order_ += static_cast<char>('0' + request.tag % 10);
        co_return request.done();
    }

    int looking_ = 0;
    int most_looking_ = 0;
    std::string order_;

private:
    SharedMutex mutex_;
};

TEST(SharedMutex, LetsLooksInTogetherAndChangesAlone) {
    constexpr test::BlockRequest change{.op = UBLK_IO_OP_DISCARD, .sector = 0, .sectors = 8};
    Shelf target;
    TargetBench bench{target, 4};
    bench.submit(0, any);
    bench.submit(1, any);
    bench.submit(2, change);
    bench.submit(3, any); // must not overtake the change
    bench.finish_all();
    EXPECT_EQ(target.most_looking_, 2);
    EXPECT_EQ(target.order_, "0123");
}

class Pool final : public Target {
public:
    Geometry geometry() const override { return test::everything_allowed(); }
    Async<Answer> serve(Ring ring, Request request) override {
        const auto guard = co_await semaphore_.take(ring);
        most_ = std::max(most_, ++inside_);
        co_await ring.yield();
        --inside_;
        co_return request.done();
    }
    int inside_ = 0;
    int most_ = 0;

private:
    Semaphore semaphore_{2};
};

TEST(Semaphore, LetsSoManyInAtATime) {
    Pool target;
    TargetBench bench{target, 8};
    for (unsigned tag = 0; tag < 8; ++tag)
        bench.submit(tag, any);
    bench.finish_all();
    EXPECT_EQ(target.most_, 2);
}

} // namespace
} // namespace ublk
