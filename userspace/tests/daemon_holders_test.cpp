// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/holders.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// A machine made of files, with /dev/ublkb0 and its first partition.
class HoldersTest : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    Paths paths_{.sys = root_.path("sys"), .proc = root_.path("proc")};

    void SetUp() override {
        root_.write("sys/block/ublkb0/dev", "259:0\n");
        root_.write("sys/block/ublkb0/ublkb0p1/dev", "259:1\n");
        root_.link("proc/self", "100");
        add_process(100, "ublkd");
    }

    void add_process(int pid, const std::string& name,
                     const std::string& mount_namespace = "mnt:[1]") {
        const std::string process = "proc/" + std::to_string(pid);
        root_.write(process + "/comm", name + "\n");
        root_.link(process + "/ns/mnt", mount_namespace);
    }

    void open_in(int pid, const std::string& path) {
        root_.link("proc/" + std::to_string(pid) + "/fd/3", path);
    }
};

TEST_F(HoldersTest, UnusedDeviceHasNone) {
    add_process(7, "cat");
    open_in(7, "/dev/ublkb1");
    root_.write("proc/100/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
    EXPECT_THAT(find_holders(paths_, 0), IsEmpty());
}

TEST_F(HoldersTest, MountOfTheDiskOrOfAPartition) {
    root_.write("proc/100/mountinfo", "1 0 259:0 / /a\\040b rw - ext4 /dev/root rw\n"
                                      "2 1 259:1 / /c rw - ext4 /dev/ublkb0p1 rw\n");
    EXPECT_THAT(find_holders(paths_, 0), ElementsAre("mounted on /a b", "mounted on /c"));
}

TEST_F(HoldersTest, MountWithAnAnonymousNumberIsKnownByItsSource) {
    root_.write("proc/100/mountinfo", "1 0 0:52 / /data rw - btrfs /dev/ublkb0 rw\n");
    EXPECT_THAT(find_holders(paths_, 0), ElementsAre("mounted on /data"));
}

TEST_F(HoldersTest, MountInAnotherNamespaceIsReportedOnce) {
    for (int pid : {200, 201}) {
        add_process(pid, "container", "mnt:[2]");
        root_.write("proc/" + std::to_string(pid) + "/mountinfo",
                    "1 0 259:0 / /data rw - ext4 /dev/ublkb0 rw\n");
    }
    EXPECT_THAT(find_holders(paths_, 0),
                ElementsAre("mounted on /data in the mount namespace of process 200 (container)"));
}

TEST_F(HoldersTest, Swap) {
    root_.write("proc/swaps", "Filename Type Size Used Priority\n/dev/ublkb0p1 partition 1 0 -2\n");
    EXPECT_THAT(find_holders(paths_, 0), ElementsAre("used as swap"));
}

TEST_F(HoldersTest, StackedDevice) {
    root_.write("sys/dev/block/259:1/holders/dm-0", "");
    EXPECT_THAT(find_holders(paths_, 0), ElementsAre("held by dm-0"));
}

TEST_F(HoldersTest, KernelLoopDevice) {
    root_.write("sys/block/loop3/loop/backing_file", "/dev/ublkb0\n");
    EXPECT_THAT(find_holders(paths_, 0), ElementsAre("backs loop3"));
}

TEST_F(HoldersTest, ProcessThatHasItOpen) {
    add_process(7, "fio");
    open_in(7, "/dev/ublkb0p1");
    EXPECT_THAT(find_holders(paths_, 0), ElementsAre("open in process 7 (fio)"));
}

TEST_F(HoldersTest, ProcessThatHasAStoppedDiskOpen) {
    add_process(7, "fio");
    open_in(7, "/dev/ublkb0 (deleted)");
    EXPECT_THAT(find_holders(paths_, 0), ElementsAre("open in process 7 (fio)"));
}

TEST_F(HoldersTest, ProbesOfUdevDoNotCount) {
    add_process(7, "(udev-worker)");
    open_in(7, "/dev/ublkb0");
    EXPECT_THAT(find_holders(paths_, 0), IsEmpty());
}

TEST_F(HoldersTest, OwnProcessDoesNotCount) {
    open_in(100, "/dev/ublkb0");
    EXPECT_THAT(find_holders(paths_, 0), IsEmpty());
}

} // namespace
} // namespace ublk::daemon
