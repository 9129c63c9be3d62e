// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/mounts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/mountinfo.h"

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

TEST(ParseMountinfo, FindsDevicePointAndSource) {
    const auto mounts =
        parse_mountinfo("36 35 259:0 /sub /mnt rw,noatime master:1 shared:2 - ext4 /dev/ublkb0 "
                        "rw,errors=continue\n");
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_EQ(mounts[0].device, "259:0");
    EXPECT_EQ(mounts[0].point, "/mnt");
    EXPECT_EQ(mounts[0].source, "/dev/ublkb0");
}

TEST(ParseMountinfo, ResolvesEscapes) {
    const auto mounts = parse_mountinfo("36 35 0:1 / /a\\040b\\134c rw - tmpfs x\\011y rw\n");
    ASSERT_EQ(mounts.size(), 1U);
    EXPECT_EQ(mounts[0].point, "/a b\\c");
    EXPECT_EQ(mounts[0].source, "x\ty");
}

TEST(ParseMountinfo, KeepsBytesThatAreNoText) {
    const auto mounts =
        parse_mountinfo("36 35 0:1 / /a\xff\\012\xc3 rw - tmpfs \xe4\xf6 rw\n"
                        "37 35 0:2 / /\xf0\x9f\x98\x80\\043 rw - tmpfs \\134040 rw\n");
    ASSERT_EQ(mounts.size(), 2U);
    EXPECT_EQ(mounts[0].point, "/a\xff\n\xc3");
    EXPECT_EQ(mounts[0].source, "\xe4\xf6");
    EXPECT_EQ(mounts[1].point, "/\xf0\x9f\x98\x80#");
    EXPECT_EQ(mounts[1].source, "\\040");
}

TEST(ParseMountinfo, SkipsWhatIsNoMount) {
    EXPECT_TRUE(parse_mountinfo("").empty());
    EXPECT_TRUE(parse_mountinfo("\n36 35\n36 35 0:1 / /x rw -\n").empty());
}

TEST(MountsToDrop, AreAllThatAServerDoesNotNeedInnermostFirst) {
    const std::string mountinfo = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                                  "2 1 0:2 / /dev rw - devtmpfs dev rw\n"
                                  "3 2 0:3 / /dev/shm rw - tmpfs shm rw\n"
                                  "4 1 0:4 / /proc rw - proc proc rw\n"
                                  "5 1 0:5 / /sys rw - sysfs sys rw\n"
                                  "6 1 0:6 / /run rw - tmpfs run rw\n"
                                  "7 1 8:2 / /mnt rw - ext4 /dev/sdb rw\n"
                                  "8 7 259:0 / /mnt/ublk rw - ext4 /dev/ublkb0 rw\n";
    EXPECT_THAT(mounts_to_drop(mountinfo, Paths{}),
                testing::ElementsAre("/mnt/ublk", "/mnt", "/dev/shm"));
}

TEST(MountsToDrop, SpareTheHomeOfTheStateDirectory) {
    const std::string mountinfo = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                                  "2 1 8:2 / /srv rw - ext4 /dev/sdb rw\n"
                                  "3 1 8:3 / /srvx rw - ext4 /dev/sdc rw\n";
    EXPECT_THAT(mounts_to_drop(mountinfo, Paths{.state = "/srv/state"}),
                testing::ElementsAre("/srvx"));
}

// A target says what it opens later on.
TEST(MountsToDrop, SpareWhereTheTargetOpensFiles) {
    const test::TemporaryDirectory root;
    const std::string mountinfo = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
                                  "2 1 8:2 / /mnt rw - ext4 /dev/sdb rw\n"
                                  "3 2 8:3 / /mnt/keys rw - ext4 /dev/sdc rw\n"
                                  "4 1 8:4 / /srv rw - ext4 /dev/sdd rw\n";
    EXPECT_THAT(mounts_to_drop(mountinfo, Paths{}, {"/mnt/keys/new/key"}),
                testing::ElementsAre("/srv"));
    EXPECT_THAT(mounts_to_drop(mountinfo, Paths{}, {"/mnt/others"}),
                testing::ElementsAre("/srv", "/mnt/keys"));
    root.link("link", "/srv");
    EXPECT_THAT(mounts_to_drop(mountinfo, Paths{}, {root.path("link/file")}),
                testing::ElementsAre("/mnt/keys", "/mnt"))
        << "it leads there by another name";
}

} // namespace
} // namespace ublk::daemon
