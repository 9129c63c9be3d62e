// SPDX-License-Identifier: GPL-2.0-or-later
#include "checked_target.h"

#include <gtest/gtest.h>

#include "support/test_target.h"

namespace ublk {
namespace {

using test::everything_allowed;
using test::TestTarget;

detail::Request request(Op op, std::uint64_t offset = 0, std::uint64_t length = 0) {
    detail::Request r;
    r.op = op;
    r.offset = offset;
    r.length = length;
    return r;
}

int check(const Geometry& geometry, const detail::Request& r) {
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

TEST(CheckedTarget, TransfersAreAllOrNothing) {
    for (Op op : {Op::read, Op::write}) {
        const detail::Request r = request(op, 0, 4096);
        EXPECT_TRUE(CheckedTarget::allowed(r, 4096));
        EXPECT_TRUE(CheckedTarget::allowed(r, -ENOSPC));
        EXPECT_FALSE(CheckedTarget::allowed(r, 0));
        EXPECT_FALSE(CheckedTarget::allowed(r, 2048));
        EXPECT_FALSE(CheckedTarget::allowed(r, 8192));
    }
}

TEST(CheckedTarget, OtherOperationsMayReturnAnythingButAreNotTransfers) {
    for (Op op : {Op::flush, Op::discard, Op::write_zeroes}) {
        EXPECT_TRUE(CheckedTarget::allowed(request(op, 0, 4096), 0));
        EXPECT_TRUE(CheckedTarget::allowed(request(op, 0, 4096), -EIO));
    }
}

} // namespace
} // namespace ublk
