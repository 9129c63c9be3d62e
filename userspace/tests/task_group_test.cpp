// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/task_group.h>

#include <array>
#include <chrono>
#include <gtest/gtest.h>

#include "support/allocation_counter.h"
#include "support/target_bench.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using namespace std::chrono_literals;
using test::TargetBench;
using test::TestTarget;
using Serve = Async<Answer> (*)(Ring, Request);

constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};

Async<Answer> at_once(Ring, int result) { co_return result; }

Async<Answer> later(Ring ring, int rounds, int result) {
    for (int i = 0; i < rounds; ++i)
        co_await ring.yield();
    co_return result;
}

// How often two coroutines were under way at the same time.
int under_way = 0;
int most_under_way = 0;

Async<Answer> counted(Ring ring, int result) {
    most_under_way = std::max(most_under_way, ++under_way);
    co_await ring.yield();
    --under_way;
    co_return result;
}

int served(Serve serve) {
    TestTarget<Serve> target{serve};
    TargetBench bench{target};
    return bench.request(read_4k);
}

TEST(TaskGroup, WaitsForAll) {
    const int result = served([](Ring ring, Request) -> Async<Answer> {
        std::array<Answer, 3> answers{0, 0, 0};
        TaskGroup group;
        group.start(later(ring, 5, 4000), answers[0]);
        group.start(at_once(ring, 90), answers[1]);
        group.start(later(ring, 2, 6), answers[2]);
        co_await group;
        co_return answers[0].result() + answers[1].result() + answers[2].result();
    });
    EXPECT_EQ(result, 4096);
}

TEST(TaskGroup, RunsItsMembersAtATime) {
    under_way = most_under_way = 0;
    served([](Ring ring, Request request) -> Async<Answer> {
        std::array<Answer, 2> answers{0, 0};
        TaskGroup group;
        group.start(counted(ring, 1), answers[0]);
        group.start(counted(ring, 1), answers[1]);
        co_await group;
        co_return request.done();
    });
    EXPECT_EQ(most_under_way, 2);
}

TEST(TaskGroup, OfNoneOrOfThoseThatEndAtOnceDoesNotWait) {
    const int result = served([](Ring ring, Request request) -> Async<Answer> {
        Answer answer{0};
        TaskGroup group;
        co_await group;
        group.start(at_once(ring, 7), answer);
        co_await group;
        co_return answer.result() == 7 ? request.done() : Answer{-EIO};
    });
    EXPECT_EQ(result, 4096);
}

TEST(TaskGroup, IsUsedAgain) {
    const int result = served([](Ring ring, Request) -> Async<Answer> {
        int sum = 0;
        TaskGroup group;
        for (int round = 0; round < 4; ++round) {
            Answer one{0};
            Answer other{0};
            group.start(later(ring, round, 1000), one);
            group.start(later(ring, 3 - round, 24), other);
            co_await group;
            sum += one.result() + other.result();
        }
        co_return sum;
    });
    EXPECT_EQ(result, 4096);
}

// What comes first goes on while the coroutine itself does something else.
TEST(TaskGroup, GoesOnBesideItsCoroutine) {
    const int result = served([](Ring ring, Request) -> Async<Answer> {
        Answer beside{0};
        TaskGroup group;
        group.start(later(ring, 1, 4000), beside);
        const Answer own = co_await later(ring, 4, 96);
        co_await group;
        co_return own.result() + beside.result();
    });
    EXPECT_EQ(result, 4096);
}

TEST(TaskGroup, AllocatesNothing) {
    TestTarget<Serve> target{[](Ring ring, Request request) -> Async<Answer> {
        Answer one{0};
        TaskGroup group;
        group.start(later(ring, 1, 1), one);
        const Answer other = co_await later(ring, 2, 1);
        co_await group;
        co_return one.result() + other.result() == 2 ? request.done() : Answer{-EIO};
    }};
    TargetBench bench{target};
    bench.request(read_4k);
    const std::uint64_t before = test::heap_allocations();
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(bench.request(read_4k), 4096);
    EXPECT_EQ(test::heap_allocations() - before, 0U);
    EXPECT_EQ(bench.queue().statistics().frame_heap_allocations, 0U);
}

} // namespace
} // namespace ublk
