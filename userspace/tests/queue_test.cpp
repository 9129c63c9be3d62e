// SPDX-License-Identifier: GPL-2.0-or-later
#include "queue.h"

#include <gtest/gtest.h>
#include <numeric>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>

#include "support/allocation_counter.h"
#include "support/target_bench.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::TargetBench;
using test::TestTarget;
using namespace std::chrono_literals;

constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};

Async<Answer> sleep_then_succeed(Ring ring, Request request) {
    co_await ring.sleep(1ms);
    co_return request.done();
}

// Of two tags, without files, workers, and more frames than these.
Queue::Parts bare_parts(test::FakeDriver& driver, CheckedTarget& checked, unsigned frames) {
    constexpr unsigned depth = 2;
    return {.index = 0,
            .depth = depth,
            .uring = *driver.create_ring(8),
            .data = *make_data_path(CopyMode::driver, {0, depth, 4096}),
            .frames = *FramePool::create(frames),
            .descriptors = driver.map_descriptors(-1, 0, depth)->first,
            .target = &checked,
            .workers = nullptr};
}

TEST(Queue, FetchesEveryTagWithItsBuffer) {
    TestTarget target{test::succeed};
    TargetBench bench{target, 3};
    for (unsigned tag = 0; tag < 3; ++tag) {
        EXPECT_TRUE(bench.driver().armed(0, tag));
        EXPECT_NE(bench.driver().buffer(0, tag), nullptr);
    }
}

TEST(Queue, RefusedFetchIsReported) {
    auto driver = std::make_shared<test::FakeDriver>(1, 2);
    driver->fail_fetch(-EINVAL);
    TestTarget target{test::succeed};
    CheckedTarget checked{target};
    Queue queue{bare_parts(*driver, checked, 2)};
    EXPECT_EQ(queue.fetch_all(), -EINVAL);
    EXPECT_FALSE(queue.step(0));
}

TEST(Queue, RefusedAnswerIsToldAndCounted) {
    TestTarget target{test::succeed};
    TargetBench bench{target, 2};
    bench.driver().refuse_next_commit(-EINVAL);
    bench.submit(1, read_4k);
    testing::internal::CaptureStderr();
    while (bench.queue().statistics().refused_answers == 0)
        ASSERT_TRUE(bench.queue().step(0));
    const std::string told = testing::internal::GetCapturedStderr();
    EXPECT_NE(told.find("tag 1: Invalid argument"), std::string::npos) << told;
    EXPECT_EQ(bench.request(read_4k), 4096) << "the other tag serves on";
}

TEST(Queue, TagIsReadyForTheNextRequestOnceItIsCommitted) {
    TestTarget target{test::succeed};
    TargetBench bench{target, 1};
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(bench.request(read_4k), 4096);
    EXPECT_EQ(bench.queue().statistics().requests, 100U);
}

TEST(Queue, CountsRequestsBytesAndErrorsOfEachOperation) {
    const auto fail_writes = [](Ring, Request request) -> Async<Answer> {
        co_return request.op == Op::write ? Answer{-ENOSPC} : request.done();
    };
    TestTarget target{fail_writes};
    TargetBench bench{target, 1};
    EXPECT_EQ(bench.request(read_4k), 4096);
    EXPECT_EQ(bench.request({.op = UBLK_IO_OP_READ, .sector = 8, .sectors = 16}), 8192);
    EXPECT_EQ(bench.write(0, test::pattern(4096, 1)), -ENOSPC);
    EXPECT_EQ(bench.flush(), 0);
    EXPECT_EQ(bench.discard(0, 65536), 0);
    EXPECT_EQ(bench.request({.op = UBLK_IO_OP_READ, .sector = 1U << 30, .sectors = 8}), -EINVAL);
    const Statistics statistics = bench.queue().statistics();
    const auto is = [&](Op op, std::uint64_t requests, std::uint64_t bytes, std::uint64_t errors) {
        const OperationStatistics& one = statistics.of(op);
        return one.requests == requests && one.bytes == bytes && one.errors == errors;
    };
    EXPECT_TRUE(is(Op::read, 2, 12288, 0));
    EXPECT_TRUE(is(Op::write, 1, 0, 1));
    EXPECT_TRUE(is(Op::flush, 1, 0, 0));
    EXPECT_TRUE(is(Op::discard, 1, 65536, 0));
    EXPECT_TRUE(is(Op::write_zeroes, 0, 0, 0));
    EXPECT_EQ(statistics.requests, 5U) << "the last one never got so far";
    EXPECT_EQ(statistics.rejected, 1U);
}

TEST(Queue, RequestsInFlightTogetherAreServedByOneRoundEach) {
    TestTarget target{test::succeed};
    TargetBench bench{target, 4};
    const unsigned before = bench.driver().enters();
    for (unsigned tag = 0; tag < 4; ++tag)
        bench.submit(tag, read_4k);
    bench.finish_all();
    EXPECT_EQ(bench.driver().enters() - before, 2U);
}

TEST(Queue, RejectedRequestNeverReachesTheTarget) {
    TestTarget target{[](Ring, Request request) -> Async<Answer> {
        ADD_FAILURE() << "served";
        co_return request.done();
    }};
    TargetBench bench{target};
    EXPECT_EQ(bench.request({.op = UBLK_IO_OP_READ, .sector = 1U << 20, .sectors = 8}), -EINVAL);
    EXPECT_EQ(bench.request({.op = 77, .sector = 0, .sectors = 8}), -EOPNOTSUPP);
    EXPECT_EQ(bench.queue().statistics().rejected, 2U);
    EXPECT_EQ(bench.queue().statistics().requests, 0U);
}

TEST(Queue, ShortOrExcessiveResultsBecomeErrors) {
    for (int wrong : {0, 512, 8192}) {
        struct Complete {
            int result;
            Async<Answer> operator()(Ring ring, Request request) const {
                return go(result, ring, request);
            }
            static Async<Answer> go(int result, Ring, Request) { co_return result; }
        };
        TestTarget target{Complete{wrong}};
        TargetBench bench{target};
        EXPECT_EQ(bench.request(read_4k), -EIO);
        EXPECT_EQ(bench.queue().statistics().contract_violations, 1U);
    }
}

TEST(Queue, EndsOnceTheDriverTookBackEveryTag) {
    TestTarget target{test::succeed};
    TargetBench bench{target, 2};
    bench.driver().take_back_tags();
    EXPECT_TRUE(bench.queue().step(0));
    EXPECT_FALSE(bench.queue().step(0));
}

TEST(Queue, RequestInFlightIsFinishedBeforeTheEnd) {
    TestTarget target{sleep_then_succeed};
    TargetBench bench{target, 2};
    bench.submit(1, read_4k);
    bench.queue().step(0);
    bench.driver().take_back_tags();
    bench.queue().run();
    EXPECT_EQ(bench.result(1), 4096);
}

Async<void> go_on(Ring ring, int* rounds) {
    for (*rounds = 0; *rounds < 5; ++*rounds)
        co_await ring.yield();
}

TEST(Queue, TargetMayGoOnAfterTheLastAnswer) {
    static int rounds = 0;
    TestTarget target{[](Ring ring, Request request) -> Async<Answer> {
        go_on(ring, &rounds).start();
        co_return request.done();
    }};
    TargetBench bench{target, 1};
    bench.submit(0, read_4k);
    bench.queue().step(0);
    bench.driver().take_back_tags();
    bench.queue().run();
    EXPECT_EQ(rounds, 5);
}

TEST(Queue, SubmissionQueueSmallerThanTheLoadLosesNothing) {
    struct SmallRing {
        std::shared_ptr<test::FakeDriver> driver = std::make_shared<test::FakeDriver>(1, 16);
    } small;
    TestTarget target{sleep_then_succeed};
    CheckedTarget checked{target};
    Queue queue{{.index = 0,
                 .depth = 16,
                 .uring = std::make_unique<test::FakeUring>(*small.driver, 32),
                 .data = *make_data_path(CopyMode::driver, {0, 16, 4096}),
                 .frames = *FramePool::create(64),
                 .descriptors = small.driver->map_descriptors(-1, 0, 16)->first,
                 .target = &checked,
                 .workers = nullptr}};
    ASSERT_EQ(queue.fetch_all(), 0);
    for (unsigned tag = 0; tag < 16; ++tag)
        small.driver->issue(0, tag, read_4k);
    for (int round = 0; round < 4; ++round)
        queue.step(0);
    for (unsigned tag = 0; tag < 16; ++tag)
        EXPECT_EQ(small.driver->result(0, tag), 4096);
    small.driver->take_back_tags();
    queue.run();
}

// The kernel takes no submissions for a while: commits and operations wait in memory.
TEST(Queue, SubmissionsThatTheKernelRefusesAreRepeated) {
    auto driver = std::make_shared<test::FakeDriver>(1, 16);
    TestTarget target{sleep_then_succeed};
    CheckedTarget checked{target};
    Queue queue{{.index = 0,
                 .depth = 16,
                 .uring = std::make_unique<test::FakeUring>(*driver, 8),
                 .data = *make_data_path(CopyMode::driver, {0, 16, 4096}),
                 .frames = *FramePool::create(64),
                 .descriptors = driver->map_descriptors(-1, 0, 16)->first,
                 .target = &checked,
                 .workers = nullptr}};
    ASSERT_EQ(queue.fetch_all(), 0);
    for (unsigned tag = 0; tag < 16; ++tag)
        driver->issue(0, tag, read_4k);
    driver->refuse_submissions(-EAGAIN);
    for (int round = 0; round < 3; ++round)
        queue.step(0);
    EXPECT_EQ(driver->slept(), 0ns);
    driver->refuse_submissions(0);
    for (int round = 0; round < 8; ++round)
        queue.step(0);
    for (unsigned tag = 0; tag < 16; ++tag)
        EXPECT_EQ(driver->result(0, tag), 4096) << tag;
    driver->take_back_tags();
    queue.run();
}

Async<int> one_page(Ring ring) {
    co_await ring.yield();
    co_return 4096;
}

Async<Answer> serve_through_helpers(Ring ring, Request) {
    const int result = co_await one_page(ring);
    co_await ring.sleep(1ms);
    co_return result;
}

TEST(Queue, ServingAllocatesNothing) {
    TestTarget target{serve_through_helpers};
    TargetBench bench{target, 8};
    const auto serve_all = [&bench] {
        for (unsigned tag = 0; tag < 8; ++tag)
            bench.submit(tag, read_4k);
        for (int round = 0; round < 4; ++round)
            bench.queue().step(0);
    };
    serve_all(); // the fake driver allocates at first use
    const std::uint64_t before = test::heap_allocations();
    for (int i = 0; i < 1000; ++i)
        serve_all();
    EXPECT_EQ(test::heap_allocations() - before, 0U);
    EXPECT_EQ(bench.queue().statistics().requests, 8008U);
    EXPECT_EQ(bench.queue().statistics().frame_heap_allocations, 0U);
}

TEST(Queue, RequestWithoutAFrameWaitsUntilThereIsMemory) {
    auto driver = std::make_shared<test::FakeDriver>(1, 2);
    TestTarget target{sleep_then_succeed};
    CheckedTarget checked{target};
    Queue queue{bare_parts(*driver, checked, 1)};
    ASSERT_EQ(queue.fetch_all(), 0);
    driver->issue(0, 0, read_4k);
    driver->issue(0, 1, read_4k);
    testing::internal::CaptureStderr();
    test::fail_allocation(1);
    queue.step(0);
    EXPECT_TRUE(test::fail_allocation(0)) << "there was a frame";
    for (int round = 0; round < 5; ++round)
        queue.step(0);
    const std::string told = testing::internal::GetCapturedStderr();
    EXPECT_EQ(driver->result(0, 0), 4096);
    EXPECT_EQ(driver->result(0, 1), 4096);
    EXPECT_EQ(queue.statistics().requests, 2U);
    EXPECT_NE(told.find("no memory"), std::string::npos) << told;
    EXPECT_NE(told.find("goes on"), std::string::npos) << told;
    driver->take_back_tags();
    queue.run();
}

Async<Answer> answer_at_once(Ring, Request request) { return request.done(); }

TEST(Queue, RequestThatIsAnsweredAtOnceNeedsNoFrame) {
    TestTarget target{answer_at_once};
    auto driver = std::make_shared<test::FakeDriver>(1, 2);
    CheckedTarget checked{target};
    Queue queue{bare_parts(*driver, checked, 1)};
    ASSERT_EQ(queue.fetch_all(), 0);
    driver->issue(0, 0, read_4k);
    driver->issue(0, 1, read_4k);
    queue.step(0);
    queue.step(0);
    EXPECT_EQ(driver->result(0, 0), 4096);
    EXPECT_EQ(driver->result(0, 1), 4096);
    EXPECT_EQ(queue.statistics().frame_heap_allocations, 0U);
    driver->take_back_tags();
    queue.run();
}

TEST(Queue, AllocationsWouldBeSeen) {
    const std::uint64_t before = test::heap_allocations();
    const auto allocated = std::make_unique<int>(1);
    EXPECT_EQ(test::heap_allocations() - before, 1U);
}

// Its requests wait for somebody who says nothing.
class Remote final : public Target {
public:
    Remote() : silence_(::eventfd(0, EFD_CLOEXEC)), file_(silence_.get()) {}
    Geometry geometry() const override { return test::everything_allowed(); }
    void register_files(FileTable& files) override { file_ = files.add(silence_.get()); }
    Async<Result<void>> begin(Ring ring) override {
        begun = true;
        co_await ring.yield();
        if (fails)
            co_return Error{ECONNREFUSED, "connect"};
        co_return Result<void>{};
    }
    Async<Answer> serve(Ring ring, Request request) override {
        const int event = co_await ring.poll(file_, POLLIN);
        co_return event < 0 ? Answer::failed(EIO) : request.done();
    }
    Async<void> end(Ring ring) override {
        ended = true;
        co_await ring.cancel(file_);
    }

    bool begun = false;
    bool fails = false;
    bool ended = false;

private:
    UniqueFd silence_;
    File file_;
};

TEST(Queue, TargetBeginsBeforeItsFirstRequestAndEndsAfterItsLast) {
    Remote target;
    {
        TargetBench bench{target};
        EXPECT_TRUE(target.begun);
        EXPECT_FALSE(target.ended);
    }
    EXPECT_TRUE(target.ended);
}

TEST(Queue, RequestThatWaitsForSomebodyIsEndedWhenTheServerIsToEnd) {
    Remote target;
    TargetBench bench{target};
    bench.submit(0, read_4k);
    bench.queue().step(0);
    bench.queue().step(0);
    EXPECT_FALSE(bench.result(0));
    bench.queue().ask_to_end();
    bench.finish_all();
    EXPECT_EQ(bench.result(0), -EIO);
    EXPECT_TRUE(target.ended);
}

TEST(Queue, BeginningThatFailsIsReported) {
    auto driver = std::make_shared<test::FakeDriver>(1, 2);
    Remote target;
    target.fails = true;
    CheckedTarget checked{target};
    Queue queue{bare_parts(*driver, checked, 2)};
    const Result<void> begun = queue.begin();
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().code, ECONNREFUSED);
    EXPECT_FALSE(queue.step(0));
    EXPECT_FALSE(target.ended);
}

} // namespace
} // namespace ublk
