// SPDX-License-Identifier: GPL-2.0-or-later
#include "disk_discard.h"

#include <atomic>
#include <cerrno>
#include <vector>

#include <gtest/gtest.h>

#include "support/target_bench.h"

namespace ublk::targets {
namespace {

// A disk that can discard and nothing else.
class Discards final : public Target {
public:
    explicit Discards(DiskDiscard::Discard discard) : discard_(std::move(discard)) {}

    Geometry geometry() const override {
        Geometry geometry;
        geometry.size_bytes = 1 << 20;
        geometry.discard = {.max_bytes = 1 << 20, .granularity = 512};
        return geometry;
    }
    Async<Answer> serve(Ring ring, Request request) override {
        co_return co_await discard_.run(ring, request.offset, request.length);
    }

private:
    DiskDiscard discard_;
};

TEST(DiskDiscard, AnswersWhatTheDiskAnswers) {
    int answer = 0;
    Discards target{[&](std::uint64_t, std::uint64_t) { return answer; }};
    test::TargetBench bench{target};
    EXPECT_EQ(bench.discard(0, 4096), 0);
    answer = -EIO;
    EXPECT_EQ(bench.discard(0, 4096), -EIO);
}

TEST(DiskDiscard, LeavesTheThreadOfTheQueueAlone) {
    std::thread::id where;
    Discards target{[&](std::uint64_t offset, std::uint64_t length) {
        where = std::this_thread::get_id();
        EXPECT_EQ(offset, 8192U);
        EXPECT_EQ(length, 4096U);
        return 0;
    }};
    test::TargetBench bench{target};
    EXPECT_EQ(bench.discard(8192, 4096), 0);
    EXPECT_NE(where, std::this_thread::get_id());
}

TEST(DiskDiscard, DoesOneAfterTheOther) {
    std::vector<std::uint64_t> order;
    std::atomic<int> running{0};
    Discards target{[&](std::uint64_t offset, std::uint64_t) {
        EXPECT_EQ(running.fetch_add(1), 0);
        order.push_back(offset);
        running.fetch_sub(1);
        return 0;
    }};
    {
        test::TargetBench bench{target};
        for (unsigned tag = 0; tag < 4; ++tag)
            bench.submit(tag, {.op = UBLK_IO_OP_DISCARD, .sector = tag * 8U, .sectors = 8});
        bench.finish_all();
        for (unsigned tag = 0; tag < 4; ++tag)
            EXPECT_EQ(bench.result(tag), 0);
    }
    EXPECT_EQ(order, (std::vector<std::uint64_t>{0, 4096, 8192, 12288}));
}

} // namespace
} // namespace ublk::targets
