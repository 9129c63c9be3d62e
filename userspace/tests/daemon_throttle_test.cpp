// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/throttle.h"

#include <gtest/gtest.h>

#include "daemon/file.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

TEST(LiftLimits, OfThatDiskInEveryGroup) {
    const test::TemporaryDirectory root;
    const Paths paths{.sys = root.path("sys")};
    root.write("sys/block/ublkb0/dev", "259:1\n");
    const std::string deep = root.write("sys/fs/cgroup/a/b/io.max", "259:1 rbps=max wbps=1024 x\n");
    const std::string other = root.write("sys/fs/cgroup/a/io.max", "259:10 wbps=1024\n");
    const std::string stat = root.write("sys/fs/cgroup/a/io.stat", "259:1 rbytes=0\n");
    const std::string old =
        root.write("sys/fs/cgroup/blkio/g/blkio.throttle.write_bps_device", "259:1 1024\n");
    lift_limits(paths, 0);
    EXPECT_TRUE(read_word(deep).starts_with("259:1 rbps=max wbps=max riops=max wiops=max"));
    EXPECT_EQ(read_word(other), "259:10 wbps=1024");
    EXPECT_EQ(read_word(stat), "259:1 rbytes=0");
    EXPECT_TRUE(read_word(old).starts_with("259:1 0"));
}

TEST(LiftLimits, OfADiskThatHasNone) { lift_limits(Paths{.sys = "/nonexistent"}, 0); }

} // namespace
} // namespace ublk::daemon
