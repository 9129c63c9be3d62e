// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/holders.h"

#include <filesystem>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/stacked.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using namespace std::chrono_literals;

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

    std::vector<std::string> users() const { return what(find_holders(paths_, 0)); }

    static std::vector<std::string> what(const std::vector<Holder>& holders) {
        std::vector<std::string> phrases;
        for (const Holder& holder : holders)
            phrases.push_back(holder.what);
        return phrases;
    }

    // The rest of the line is of no interest here.
    void add_child(int pid, const std::string& name, int parent) {
        add_process(pid, name);
        root_.write("proc/" + std::to_string(pid) + "/stat",
                    std::to_string(pid) + " (" + name + ") S " + std::to_string(parent) + " 1 1\n");
    }

    void open_in(int pid, const std::string& path) {
        root_.link("proc/" + std::to_string(pid) + "/fd/3", path);
    }
};

TEST_F(HoldersTest, UnusedDeviceHasNone) {
    add_process(7, "cat");
    open_in(7, "/dev/ublkb1");
    root_.write("proc/100/mountinfo", "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n");
    EXPECT_THAT(users(), IsEmpty());
}

TEST_F(HoldersTest, MountOfTheDiskOrOfAPartition) {
    root_.write("proc/100/mountinfo", "1 0 259:0 / /a\\040b rw - ext4 /dev/root rw\n"
                                      "2 1 259:1 / /c rw - ext4 /dev/ublkb0p1 rw\n");
    EXPECT_THAT(users(), ElementsAre("mounted on /a b", "mounted on /c"));
}

TEST_F(HoldersTest, MountWithAnAnonymousNumberIsKnownByItsSource) {
    root_.write("proc/100/mountinfo", "1 0 0:52 / /data rw - btrfs /dev/ublkb0 rw\n");
    EXPECT_THAT(users(), ElementsAre("mounted on /data"));
}

TEST_F(HoldersTest, MountInAnotherNamespaceIsReportedOnce) {
    for (int pid : {200, 201}) {
        add_process(pid, "container", "mnt:[2]");
        root_.write("proc/" + std::to_string(pid) + "/mountinfo",
                    "1 0 259:0 / /data rw - ext4 /dev/ublkb0 rw\n");
    }
    EXPECT_THAT(users(),
                ElementsAre("mounted on /data in the mount namespace of process 200 (container)"));
}

TEST_F(HoldersTest, Swap) {
    root_.write("proc/swaps", "Filename Type Size Used Priority\n/dev/ublkb0p1 partition 1 0 -2\n");
    EXPECT_THAT(users(), ElementsAre("used as swap"));
}

TEST_F(HoldersTest, StackedDevice) {
    root_.write("sys/dev/block/259:1/holders/dm-0", "");
    EXPECT_THAT(users(), ElementsAre("held by dm-0"));
}

TEST_F(HoldersTest, KernelLoopDevice) {
    root_.write("sys/block/loop3/loop/backing_file", "/dev/ublkb0\n");
    EXPECT_THAT(users(), ElementsAre("backs loop3"));
}

TEST_F(HoldersTest, ProcessThatHasItOpen) {
    add_process(7, "fio");
    open_in(7, "/dev/ublkb0p1");
    EXPECT_THAT(users(), ElementsAre("open in process 7 (fio)"));
}

TEST_F(HoldersTest, ProcessThatHasAStoppedDiskOpen) {
    add_process(7, "fio");
    open_in(7, "/dev/ublkb0 (deleted)");
    EXPECT_THAT(users(), ElementsAre("open in process 7 (fio)"));
}

TEST_F(HoldersTest, ProbesOfUdevDoNotCount) {
    add_process(7, "(udev-worker)");
    open_in(7, "/dev/ublkb0");
    EXPECT_THAT(users(), IsEmpty());
}

TEST_F(HoldersTest, WhatAWorkerOfUdevHasStartedDoesNotCount) {
    add_child(7, "(udev-worker)", 5);
    add_child(8, "sh", 7);
    add_child(9, "probe-bcache", 8);
    open_in(9, "/dev/ublkb0");
    EXPECT_THAT(users(), IsEmpty());
}

TEST_F(HoldersTest, ProgramOfThatNameIsAUserIfAUserHasStartedIt) {
    add_child(6, "bash", 1);
    add_child(9, "probe-bcache", 6);
    open_in(9, "/dev/ublkb0");
    EXPECT_THAT(users(), ElementsAre("open in process 9 (probe-bcache)"));
}

TEST_F(HoldersTest, ChainOfParentsThatIsACircleEnds) {
    add_child(8, "a", 9);
    add_child(9, "b", 8);
    open_in(9, "/dev/ublkb0");
    EXPECT_THAT(users(), ElementsAre("open in process 9 (b)"));
}

TEST_F(HoldersTest, WhomUdevHasSentIsWaitedForAndThenNamed) {
    add_child(7, "(udev-worker)", 5);
    add_child(9, "multipath", 7);
    open_in(9, "/dev/ublkb0");
    const auto start = Clock::now();
    const auto holders = find_lasting_holders(paths_, 0, start + 60ms);
    EXPECT_GE(Clock::now() - start, 60ms);
    EXPECT_THAT(what(holders), ElementsAre("open in process 9 (multipath) of udev"));
}

TEST_F(HoldersTest, WaitEndsWithTheProbe) {
    add_child(7, "(udev-worker)", 5);
    open_in(7, "/dev/ublkb0");
    std::thread closer([&] { std::filesystem::remove(root_.path("proc/7/fd/3")); });
    EXPECT_THAT(find_lasting_holders(paths_, 0, Clock::now() + 30s), IsEmpty());
    closer.join();
}

TEST_F(HoldersTest, UserIsNotKeptWaitingForAProbe) {
    add_child(7, "(udev-worker)", 5);
    open_in(7, "/dev/ublkb0");
    add_child(8, "fio", 1);
    open_in(8, "/dev/ublkb0");
    const auto start = Clock::now();
    EXPECT_THAT(what(find_lasting_holders(paths_, 0, start + 30s)),
                ElementsAre("open in process 8 (fio)"));
    EXPECT_LT(Clock::now() - start, 20s);
}

TEST_F(HoldersTest, LogicalVolumeIsNamedWithItsWayOut) {
    root_.write("sys/dev/block/259:1/holders/dm-0", "");
    root_.write("sys/block/dm-0/dev", "253:0\n");
    root_.write("sys/block/dm-0/dm/name", "guest--vg-root\n");
    root_.write("sys/block/dm-0/dm/uuid", "LVM-abcdef\n");
    EXPECT_THAT(find_holders(paths_, 0),
                ElementsAre(Holder{"held by dm-0 (logical volume guest-vg/root)",
                                   "vgchange -an guest-vg"}));
    root_.write("proc/100/mountinfo", "1 0 253:0 / /srv rw - ext4 /dev/mapper/x rw\n");
    EXPECT_THAT(find_holders(paths_, 0),
                ElementsAre(Holder{"held by dm-0 (logical volume guest-vg/root, mounted on /srv)",
                                   "umount /srv; vgchange -an guest-vg"}));
}

TEST_F(HoldersTest, OtherStackedDevicesHaveTheirWaysOut) {
    root_.write("sys/dev/block/259:0/holders/dm-1", "");
    root_.write("sys/block/dm-1/dm/name", "secret\n");
    root_.write("sys/block/dm-1/dm/uuid", "CRYPT-LUKS2-0123-secret\n");
    root_.write("sys/dev/block/259:0/holders/dm-2", "");
    root_.write("sys/block/dm-2/dm/name", "by-hand\n");
    root_.write("sys/dev/block/259:0/holders/md127", "");
    root_.write("sys/block/md127/md/level", "raid1\n");
    EXPECT_THAT(
        find_holders(paths_, 0),
        ElementsAre(Holder{"held by dm-1 (encrypted disk secret)", "cryptsetup close secret"},
                    Holder{"held by dm-2 (mapping by-hand)", "dmsetup remove by-hand"},
                    Holder{"held by md127 (raid1 array)", "mdadm --stop /dev/md127"}));
}

TEST(VolumeName, UndoesTheDoubledHyphens) {
    EXPECT_EQ(volume_name("vg-lv"), "vg/lv");
    EXPECT_EQ(volume_name("a--b--c-d--e"), "a-b-c/d-e");
    EXPECT_EQ(volume_name("vg-lv-real"), "vg/lv-real");
}

TEST(Busy, NamesEachWayOutOnce) {
    const Error error = busy(0,
                             {{"held by dm-0", "vgchange -an vg"},
                              {"held by dm-1", "vgchange -an vg"},
                              {"open in process 7 (fio)"}},
                             "use --force");
    EXPECT_EQ(error.step, "/dev/ublkb0 is held by dm-0, held by dm-1, open in process 7 (fio)");
    EXPECT_EQ(error.hint, "let go of it first: vgchange -an vg, or use --force");
}

TEST_F(HoldersTest, OwnProcessDoesNotCount) {
    open_in(100, "/dev/ublkb0");
    EXPECT_THAT(users(), IsEmpty());
}

} // namespace
} // namespace ublk::daemon
