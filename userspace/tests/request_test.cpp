// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/request.h>

#include <gtest/gtest.h>
#include <optional>
#include <type_traits>

#include "support/target_bench.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::TargetBench;
using test::TestTarget;

constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 8, .sectors = 8};

TEST(Request, SucceedReportsTheLengthOfATransfer) {
    TestTarget target{test::succeed};
    TargetBench bench{target};
    EXPECT_EQ(bench.request(read_4k), 4096);
}

TEST(Request, SucceedReportsZeroForOtherOperations) {
    TestTarget target{test::succeed};
    TargetBench bench{target};
    EXPECT_EQ(bench.flush(), 0);
    EXPECT_EQ(bench.discard(0, 4096), 0);
    EXPECT_EQ(bench.write_zeroes(0, 4096), 0);
}

TEST(Request, AppendTellsWhereItWent) {
    TestTarget target{[](Ring, Request request) -> Async<Answer> {
                          EXPECT_EQ(request.op, Op::zone_append);
                          EXPECT_EQ(request.offset, 65536U);
                          EXPECT_EQ(request.data.memory()[0], std::byte{7});
                          co_return request.done().at(request.offset + 8192);
                      },
                      test::zoned()};
    TargetBench bench{target, 4, CopyMode::user};
    EXPECT_EQ(bench.append(65536, std::vector<std::byte>(4096, std::byte{7})), 4096);
    EXPECT_EQ(bench.appended_at(), 65536U + 8192U);
}

TEST(Request, AppendThatDoesNotTellIsAnError) {
    TestTarget target{test::succeed, test::zoned()};
    TargetBench bench{target, 4, CopyMode::user};
    EXPECT_EQ(bench.append(65536, std::vector<std::byte>(4096)), -EIO);
    EXPECT_EQ(bench.queue().statistics().contract_violations, 1U);
}

TEST(Request, ReportDescribesZonesAndEndsWhereTheTargetDid) {
    TestTarget target{[](Ring, Request request) -> Async<Answer> {
                          EXPECT_EQ(request.zones_wanted(), 14U);
                          EXPECT_EQ(request.length, 0U);
                          for (unsigned i = 0; i < 2; ++i)
                              request.report(i, {.start = request.offset + i * 65536U,
                                                 .length = 65536,
                                                 .capacity = 32768,
                                                 .write_pointer = request.offset + i * 65536U + 512,
                                                 .condition = ZoneCondition::implicitly_open});
                          co_return request.done();
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

TEST(Request, OperationsOnZonesHaveAPlaceAndNoLength) {
    TestTarget target{[](Ring, Request request) -> Async<Answer> {
                          EXPECT_EQ(request.offset, 65536U);
                          EXPECT_EQ(request.length, 0U);
                          EXPECT_TRUE(request.data.memory().empty());
                          co_return request.done();
                      },
                      test::zoned()};
    TargetBench bench{target, 4, CopyMode::user};
    for (unsigned op : {UBLK_IO_OP_ZONE_OPEN, UBLK_IO_OP_ZONE_CLOSE, UBLK_IO_OP_ZONE_FINISH,
                        UBLK_IO_OP_ZONE_RESET})
        EXPECT_EQ(bench.zone(op, 65536), 0);
}

TEST(Request, FailTakesAPositiveErrno) {
    TestTarget target{[](Ring, Request) -> Async<Answer> { co_return Answer::failed(ENOSPC); }};
    TargetBench bench{target};
    EXPECT_EQ(bench.request(read_4k), -ENOSPC);
}

TEST(Request, SliceIsAPartOfTheRange) {
    std::vector<std::byte> memory(4096);
    Request request;
    request.op = Op::write;
    request.offset = 8192;
    request.length = 4096;
    request.data = Data::of(std::span{memory});
    const Request part = request.slice(512, 1024);
    EXPECT_EQ(part.offset, 8192U + 512U);
    EXPECT_EQ(part.length, 1024U);
    EXPECT_EQ(part.data.memory().data(), memory.data() + 512);
    EXPECT_EQ(part.data.size(), 1024U);
    EXPECT_EQ(part.done().result(), 1024);
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
    Async<Answer> operator()(Ring, Request request) const { return record(seen, request); }
    static Async<Answer> record(std::optional<Seen>* seen, Request request) {
        *seen = Seen{request.op,          request.offset, request.length,
                     request.data.size(), request.fua,    request.no_unmap};
        co_return request.done();
    }
};

TEST(Request, DescribesTheRequestInBytes) {
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

TEST(Request, CarriesFuaAndNoUnmap) {
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

TEST(Request, FlushHasNoExtent) {
    std::optional<Seen> seen;
    TestTarget target{Recorder{&seen}};
    TargetBench bench{target};
    bench.flush();
    EXPECT_EQ(seen->op, Op::flush);
    EXPECT_EQ(seen->length, 0U);
    EXPECT_EQ(seen->buffer_size, 0U);
}

} // namespace
} // namespace ublk
