// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/io.h>

#include <gtest/gtest.h>
#include <optional>
#include <type_traits>

#include "support/target_bench.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::TargetBench;
using test::TestTarget;

static_assert(!std::is_copy_constructible_v<Io>);
static_assert(std::is_nothrow_move_constructible_v<Io>);
static_assert(!std::is_move_assignable_v<Io>);

constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 8, .sectors = 8};

TEST(Io, SucceedReportsTheLengthOfATransfer) {
    TestTarget target{test::succeed};
    TargetBench bench{target};
    EXPECT_EQ(bench.request(read_4k), 4096);
}

TEST(Io, SucceedReportsZeroForOtherOperations) {
    TestTarget target{test::succeed};
    TargetBench bench{target};
    EXPECT_EQ(bench.flush(), 0);
    EXPECT_EQ(bench.discard(0, 4096), 0);
    EXPECT_EQ(bench.write_zeroes(0, 4096), 0);
}

TEST(Io, AppendTellsWhereItWent) {
    TestTarget target{[](Io io) -> Task {
                          EXPECT_EQ(io.op(), Op::zone_append);
                          EXPECT_EQ(io.offset(), 65536U);
                          EXPECT_EQ(io.buffer()[0], std::byte{7});
                          io.succeed_at(io.offset() + 8192);
                          co_return;
                      },
                      test::zoned()};
    TargetBench bench{target, 4, CopyMode::user};
    EXPECT_EQ(bench.append(65536, std::vector<std::byte>(4096, std::byte{7})), 4096);
    EXPECT_EQ(bench.appended_at(), 65536U + 8192U);
}

TEST(Io, AppendThatDoesNotTellIsAnError) {
    TestTarget target{test::succeed, test::zoned()};
    TargetBench bench{target, 4, CopyMode::user};
    EXPECT_EQ(bench.append(65536, std::vector<std::byte>(4096)), -EIO);
    EXPECT_EQ(bench.queue().statistics().contract_violations, 1U);
}

TEST(Io, ReportDescribesZonesAndEndsWhereTheTargetDid) {
    TestTarget target{[](Io io) -> Task {
                          EXPECT_EQ(io.zones_wanted(), 14U);
                          EXPECT_EQ(io.length(), 0U);
                          EXPECT_TRUE(io.buffer().empty());
                          for (unsigned i = 0; i < 2; ++i)
                              io.report(i, {.start = io.offset() + i * 65536U,
                                            .length = 65536,
                                            .capacity = 32768,
                                            .write_pointer = io.offset() + i * 65536U + 512,
                                            .condition = ZoneCondition::implicitly_open});
                          io.succeed();
                          co_return;
                      },
                      test::zoned()};
    TargetBench bench{target, 4, CopyMode::user};
    for (int round = 0; round < 2; ++round) { // in memory that is used again
        const std::vector<blk_zone> zones = bench.report(131072, 14);
        ASSERT_EQ(zones.size(), 2U);
        EXPECT_EQ(zones[1].start, (131072U + 65536U) / 512);
        EXPECT_EQ(zones[1].len, 128U);
        EXPECT_EQ(zones[1].capacity, 64U);
        EXPECT_EQ(zones[1].wp, zones[1].start + 1);
        EXPECT_EQ(zones[1].type, BLK_ZONE_TYPE_SEQWRITE_REQ);
        EXPECT_EQ(zones[1].cond, BLK_ZONE_COND_IMP_OPEN);
    }
}

TEST(Io, OperationsOnZonesHaveAPlaceAndNoLength) {
    TestTarget target{[](Io io) -> Task {
                          EXPECT_EQ(io.offset(), 65536U);
                          EXPECT_EQ(io.length(), 0U);
                          EXPECT_TRUE(io.buffer().empty());
                          io.succeed();
                          co_return;
                      },
                      test::zoned()};
    TargetBench bench{target, 4, CopyMode::user};
    for (unsigned op : {UBLK_IO_OP_ZONE_OPEN, UBLK_IO_OP_ZONE_CLOSE, UBLK_IO_OP_ZONE_FINISH,
                        UBLK_IO_OP_ZONE_RESET})
        EXPECT_EQ(bench.zone(op, 65536), 0);
}

TEST(Io, FailTakesAPositiveErrno) {
    TestTarget target{[](Io io) -> Task {
        io.fail(ENOSPC);
        co_return;
    }};
    TargetBench bench{target};
    EXPECT_EQ(bench.request(read_4k), -ENOSPC);
}

TEST(Io, DroppedByTheCoroutineCompletesWithAnError) {
    TestTarget target{[](Io) -> Task { co_return; }};
    TargetBench bench{target};
    EXPECT_EQ(bench.request(read_4k), -EIO);
}

TEST(Io, DroppedByATaskThatNobodyStartsCompletesWithAnError) {
    TestTarget target{[](Io io) -> Task {
        { const Task never_started = test::succeed(std::move(io)); }
        co_return;
    }};
    TargetBench bench{target};
    EXPECT_EQ(bench.request(read_4k), -EIO);
}

TEST(Io, MovedIsCompletedOnceByItsLastOwner) {
    TestTarget target{[](Io io) -> Task {
        Io last = std::move(io);
        last.succeed();
        co_return;
    }};
    TargetBench bench{target};
    EXPECT_EQ(bench.request(read_4k), 4096);
    EXPECT_EQ(bench.queue().statistics().contract_violations, 0U);
}

struct Seen {
    Op op;
    std::uint64_t offset;
    std::uint64_t length;
    std::size_t buffer_size;
    bool fua;
    bool no_unmap;
};

struct Recorder {
    std::optional<Seen>* seen;
    Task operator()(Io io) const { return record(seen, std::move(io)); }
    static Task record(std::optional<Seen>* seen, Io io) {
        *seen =
            Seen{io.op(), io.offset(), io.length(), io.buffer().size(), io.fua(), io.no_unmap()};
        io.succeed();
        co_return;
    }
};

TEST(Io, DescribesTheRequestInBytes) {
    std::optional<Seen> seen;
    TestTarget target{Recorder{&seen}};
    TargetBench bench{target};
    bench.request(read_4k);
    EXPECT_EQ(seen->op, Op::read);
    EXPECT_EQ(seen->offset, 4096U);
    EXPECT_EQ(seen->length, 4096U);
    EXPECT_EQ(seen->buffer_size, 4096U);
    EXPECT_FALSE(seen->fua);
}

TEST(Io, CarriesFuaAndNoUnmap) {
    std::optional<Seen> seen;
    TestTarget target{Recorder{&seen}};
    TargetBench bench{target};
    const std::vector<std::byte> data(512);
    bench.write(0, data, UBLK_IO_F_FUA);
    EXPECT_TRUE(seen->fua);
    bench.write_zeroes(0, 4096, UBLK_IO_F_NOUNMAP);
    EXPECT_TRUE(seen->no_unmap);
    EXPECT_EQ(seen->buffer_size, 0U);
}

TEST(Io, FlushHasNoExtent) {
    std::optional<Seen> seen;
    TestTarget target{Recorder{&seen}};
    TargetBench bench{target};
    bench.flush();
    EXPECT_EQ(seen->op, Op::flush);
    EXPECT_EQ(seen->length, 0U);
    EXPECT_EQ(seen->buffer_size, 0U);
}

#ifndef NDEBUG
TEST(IoDeathTest, CompletingTwiceIsABug) {
    TestTarget target{[](Io io) -> Task {
        io.succeed();
        io.succeed();
        co_return;
    }};
    EXPECT_DEATH(
        {
            TargetBench bench{target};
            bench.request(read_4k);
        },
        "after completion");
}
#endif

} // namespace
} // namespace ublk
