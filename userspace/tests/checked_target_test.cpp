// SPDX-License-Identifier: GPL-2.0-or-later
#include "checked_target.h"

#include <functional>
#include <gtest/gtest.h>
#include <vector>

#include "support/test_target.h"
#include "zone_report.h"

namespace ublk {
namespace {

using test::everything_allowed;
using test::TestTarget;

detail::Tag request(Op op, std::uint64_t offset = 0, std::uint64_t length = 0) {
    detail::Tag r;
    r.op = op;
    r.offset = offset;
    r.length = length;
    return r;
}

int check(const Geometry& geometry, const detail::Tag& r) {
    TestTarget target{test::succeed, geometry};
    return CheckedTarget{target}.check(r);
}

TEST(CheckedTarget, AllowsWhatTheGeometryAnnounces) {
    const Geometry g = everything_allowed();
    for (Op op : {Op::read, Op::write, Op::discard, Op::write_zeroes})
        EXPECT_EQ(check(g, request(op, 4096, 4096)), 0);
    EXPECT_EQ(check(g, request(Op::flush)), 0);
}

TEST(CheckedTarget, RejectsWhatTheGeometryDoesNotAnnounce) {
    const Geometry g{.size_bytes = 1U << 20};
    EXPECT_EQ(check(g, request(Op::flush)), -EOPNOTSUPP);
    EXPECT_EQ(check(g, request(Op::discard, 0, 512)), -EOPNOTSUPP);
    EXPECT_EQ(check(g, request(Op::write_zeroes, 0, 512)), -EOPNOTSUPP);
    EXPECT_EQ(check(g, request(static_cast<Op>(4), 0, 512)), -EOPNOTSUPP);
    EXPECT_EQ(check(g, request(static_cast<Op>(255), 0, 512)), -EOPNOTSUPP);
}

TEST(CheckedTarget, ReadOnlyRejectsEveryChange) {
    Geometry g = everything_allowed();
    g.read_only = true;
    for (Op op : {Op::write, Op::discard, Op::write_zeroes})
        EXPECT_EQ(check(g, request(op, 0, 512)), -EROFS);
    EXPECT_EQ(check(g, request(Op::read, 0, 512)), 0);
}

TEST(CheckedTarget, RejectsRangesOutsideTheDevice) {
    const Geometry g = everything_allowed();
    const std::uint64_t size = g.size_bytes;
    for (Op op : {Op::read, Op::write, Op::discard, Op::write_zeroes}) {
        EXPECT_EQ(check(g, request(op, size - 512, 512)), 0);
        EXPECT_EQ(check(g, request(op, size, 512)), -EINVAL);
        EXPECT_EQ(check(g, request(op, size - 512, 1024)), -EINVAL);
        EXPECT_EQ(check(g, request(op, UINT64_MAX - 511, 512)), -EINVAL);
        EXPECT_EQ(check(g, request(op, 0, 0)), -EINVAL);
    }
    EXPECT_EQ(check(g, request(Op::discard, 0, size + 512)), -EINVAL);
}

TEST(CheckedTarget, RejectsUnalignedRanges) {
    Geometry g = everything_allowed();
    g.logical_block_size = 4096;
    EXPECT_EQ(check(g, request(Op::read, 512, 4096)), -EINVAL);
    EXPECT_EQ(check(g, request(Op::write, 4096, 512)), -EINVAL);
    EXPECT_EQ(check(g, request(Op::write, 4096, 8192)), 0);
}

TEST(CheckedTarget, AllowsMoreOnceTheDiskHasGrownAndNeverLess) {
    TestTarget target{test::succeed};
    CheckedTarget checked{target};
    const std::uint64_t size = checked.geometry().size_bytes;
    EXPECT_EQ(checked.check(request(Op::read, size, 4096)), -EINVAL);
    checked.allow_up_to(size + 4096);
    EXPECT_EQ(checked.check(request(Op::read, size, 4096)), 0);
    EXPECT_EQ(checked.check(request(Op::read, size, 8192)), -EINVAL);
    checked.allow_up_to(4096);
    EXPECT_EQ(checked.check(request(Op::read, size, 4096)), 0);
}

TEST(CheckedTarget, RejectsTransfersLargerThanTheBuffer) {
    const Geometry g = everything_allowed();
    EXPECT_EQ(check(g, request(Op::read, 0, g.max_io_bytes)), 0);
    EXPECT_EQ(check(g, request(Op::read, 0, g.max_io_bytes + 512)), -EINVAL);
    EXPECT_EQ(check(g, request(Op::write, 0, g.max_io_bytes + 512)), -EINVAL);
}

bool allowed(const detail::Tag& r, int result, const Geometry& g = everything_allowed()) {
    TestTarget target{test::succeed, g};
    return CheckedTarget{target}.allowed(r, result);
}

TEST(CheckedTarget, TransfersAreAllOrNothing) {
    for (Op op : {Op::read, Op::write}) {
        const detail::Tag r = request(op, 0, 4096);
        EXPECT_TRUE(allowed(r, 4096));
        EXPECT_TRUE(allowed(r, -ENOSPC));
        EXPECT_FALSE(allowed(r, 0));
        EXPECT_FALSE(allowed(r, 2048));
        EXPECT_FALSE(allowed(r, 8192));
    }
}

TEST(CheckedTarget, OtherOperationsMayReturnAnythingButAreNotTransfers) {
    for (Op op : {Op::flush, Op::discard, Op::write_zeroes}) {
        EXPECT_TRUE(allowed(request(op, 0, 4096), 0));
        EXPECT_TRUE(allowed(request(op, 0, 4096), -EIO));
    }
}

constexpr std::uint64_t zone_size = 64U << 10;

detail::Tag report_request(std::uint64_t offset, unsigned zones) {
    return request(Op::report_zones, offset, report_bytes(zones));
}

TEST(CheckedTarget, AllowsOperationsOnZonesOfAZonedDevice) {
    for (Op op : {Op::zone_open, Op::zone_close, Op::zone_finish, Op::zone_reset}) {
        EXPECT_EQ(check(test::zoned(), request(op, 15 * zone_size)), 0);
        EXPECT_EQ(check(test::zoned(), request(op, 16 * zone_size)), -EINVAL);
        EXPECT_EQ(check(test::zoned(), request(op, 4096)), -EINVAL) << "not the zone's start";
        EXPECT_EQ(check(everything_allowed(), request(op, 0)), -EOPNOTSUPP);
    }
    EXPECT_EQ(check(test::zoned(), request(Op::zone_reset_all)), 0);
    EXPECT_EQ(check(everything_allowed(), request(Op::zone_reset_all)), -EOPNOTSUPP);
}

TEST(CheckedTarget, AppendsAreToTheStartOfAZoneAndNotTooLong) {
    const auto append = [](std::uint64_t offset, std::uint64_t length) {
        return check(test::zoned(), request(Op::zone_append, offset, length));
    };
    EXPECT_EQ(append(zone_size, 16384), 0);
    EXPECT_EQ(append(zone_size, 16384 + 512), -EINVAL);
    EXPECT_EQ(append(zone_size, 0), -EINVAL);
    EXPECT_EQ(append(zone_size, 100), -EINVAL);
    EXPECT_EQ(append(zone_size + 512, 512), -EINVAL);
    EXPECT_EQ(append(16 * zone_size, 512), -EINVAL);
    EXPECT_EQ(check(everything_allowed(), request(Op::zone_append, 0, 512)), -EOPNOTSUPP);
}

TEST(CheckedTarget, NoTransferCrossesTheEndOfAZone) {
    for (Op op : {Op::read, Op::write}) {
        EXPECT_EQ(check(test::zoned(), request(op, zone_size - 4096, 4096)), 0);
        EXPECT_EQ(check(test::zoned(), request(op, zone_size - 4096, 8192)), -EINVAL);
        EXPECT_EQ(check(everything_allowed(), request(op, zone_size - 4096, 8192)), 0);
    }
}

TEST(CheckedTarget, ReadOnlyZonesCanBeReportedAndNothingElse) {
    Geometry g = test::zoned();
    g.read_only = true;
    for (Op op : {Op::zone_open, Op::zone_close, Op::zone_finish, Op::zone_reset,
                  Op::zone_reset_all, Op::zone_append})
        EXPECT_EQ(check(g, request(op, 0, 512)), -EROFS);
    EXPECT_EQ(check(g, report_request(0, 16)), 0);
}

TEST(CheckedTarget, ReportsAreAboutZonesOfTheDevice) {
    EXPECT_EQ(check(test::zoned(), report_request(0, 16)), 0);
    EXPECT_EQ(check(test::zoned(), report_request(zone_size, 16)), -EINVAL);
    EXPECT_EQ(check(test::zoned(), report_request(zone_size, 0)), -EINVAL);
    EXPECT_EQ(check(test::zoned(), report_request(512, 1)), -EINVAL);
    EXPECT_EQ(check(test::zoned(), report_request(16 * zone_size, 1)), -EINVAL);
    EXPECT_EQ(check(everything_allowed(), report_request(0, 1)), -EOPNOTSUPP);
    Geometry many = test::zoned();
    many.size_bytes = 1U << 30;
    EXPECT_EQ(check(many, report_request(0, 512 * 1024 / 64)), 0);
    EXPECT_EQ(check(many, report_request(0, 512 * 1024 / 64 + 1)), -EINVAL) << "no such buffer";
}

TEST(CheckedTarget, AppendsMustHaveGoneToTheirZone) {
    detail::Tag r = request(Op::zone_append, zone_size, 8192);
    const auto said = [&r](std::uint64_t place) {
        r.appended_at = place;
        return allowed(r, 8192, test::zoned());
    };
    EXPECT_FALSE(allowed(r, 8192, test::zoned())) << "no place";
    EXPECT_TRUE(allowed(r, -ENOSPC, test::zoned()));
    EXPECT_TRUE(said(zone_size));
    EXPECT_TRUE(said(2 * zone_size - 8192));
    EXPECT_FALSE(said(2 * zone_size - 4096));
    EXPECT_FALSE(said(zone_size - 512));
    EXPECT_FALSE(said(zone_size + 100));
    EXPECT_FALSE(allowed(r, 4096, test::zoned()));
}

// A report with one zone that is not what it should be.
class Report : public testing::Test {
protected:
    Report() { describe(1, good); }

    void describe(unsigned index, const Zone& zone) { request_.request().report(index, zone); }
    bool allowed_with(const std::function<void(Zone&)>& spoil) {
        Zone zone = good;
        zone.start += zone_size;
        zone.write_pointer += zone_size;
        spoil(zone);
        describe(0, good);
        describe(1, zone);
        return allowed(request_, 0, test::zoned());
    }

    static constexpr Zone good{.start = zone_size,
                               .length = zone_size,
                               .capacity = zone_size - 4096,
                               .write_pointer = zone_size + 4096,
                               .type = ZoneType::sequential,
                               .condition = ZoneCondition::closed};
    std::vector<std::byte> buffer_ = std::vector<std::byte>(report_bytes(3));
    detail::Tag request_ = [this] {
        detail::Tag r = report_request(zone_size, 3);
        r.buffer = buffer_.data();
        return r;
    }();
};

TEST_F(Report, MayEndEarly) {
    EXPECT_TRUE(allowed_with([](Zone&) {}));
}

TEST_F(Report, MayFail) {
    describe(0, Zone{.start = 7, .length = 9});
    EXPECT_TRUE(allowed(request_, -EIO, test::zoned()));
}

TEST_F(Report, OfImpossibleZonesIsNotAllowed) {
    const std::function<void(Zone&)> lies[] = {
        [](Zone& z) { z.start += zone_size; },
        [](Zone& z) { z.length /= 2; },
        [](Zone& z) { z.capacity = 0; },
        [](Zone& z) { z.capacity = 2 * zone_size; },
        [](Zone& z) { z.write_pointer = z.start - 512; },
        [](Zone& z) { z.write_pointer = z.start + z.capacity; },
        [](Zone& z) { z.type = ZoneType::conventional; },
        [](Zone& z) { z.condition = ZoneCondition::empty; },
        [](Zone& z) { z.condition = ZoneCondition::no_write_pointer; },
        [](Zone& z) { z.condition = static_cast<ZoneCondition>(9); },
    };
    for (const auto& lie : lies)
        EXPECT_FALSE(allowed_with(lie)) << &lie - lies;
    for (ZoneCondition possible :
         {ZoneCondition::implicitly_open, ZoneCondition::explicitly_open, ZoneCondition::full,
          ZoneCondition::read_only, ZoneCondition::offline})
        EXPECT_TRUE(allowed_with([&](Zone& z) { z.condition = possible; }));
}

} // namespace
} // namespace ublk
