// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/stuck.h"

#include <cerrno>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using testing::HasSubstr;

class StuckTest : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    Paths paths_{.sys = root_.path("sys"), .proc = root_.path("proc")};

    void SetUp() override { root_.write("proc/7/comm", "ublkd\n"); }

    void add_thread(int id, const std::string& name, char state, const std::string& where) {
        const std::string thread = fmt::format("proc/7/task/{}", id);
        root_.write(thread + "/comm", name + "\n");
        root_.write(thread + "/stat", fmt::format("{} ({}) {} 1 1\n", id, name, state));
        root_.write(thread + "/wchan", where);
    }
};

TEST_F(StuckTest, ProcessThatNothingKeeps) {
    add_thread(7, "ublkd", 'S', "do_poll");
    add_thread(8, "ublk0q0", 'R', "0");
    EXPECT_EQ(what_keeps(paths_, 7), "");
    EXPECT_EQ(what_keeps(paths_, 9), "") << "that does not exist";
    EXPECT_EQ(with_what_keeps(Error{ETIMEDOUT, "wait", "see its log"}, paths_, 7).hint,
              "see its log");
}

TEST_F(StuckTest, StoppedProcess) {
    add_thread(7, "ublkd", 'T', "do_signal_stop");
    EXPECT_EQ(what_keeps(paths_, 7), "process 7 (ublkd) is stopped (T): kill -CONT 7");
    EXPECT_THAT(with_what_keeps(Error{ETIMEDOUT, "wait", "see its log"}, paths_, 7).hint,
                HasSubstr("kill -CONT 7"));
}

TEST_F(StuckTest, ThreadInTheKernel) {
    add_thread(7, "ublkd", 'S', "do_poll");
    add_thread(8, "a b) c", 'D', "rpc_wait_bit_killable");
    EXPECT_EQ(what_keeps(paths_, 7),
              "process 7 (ublkd), thread 8 (a b) c), waits in the kernel (D) in "
              "rpc_wait_bit_killable");
}

TEST_F(StuckTest, FrozenFileSystemIsNamed) {
    const std::string file = root_.write("backing", "");
    root_.link("proc/7/fd/3", file);
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0);
    root_.write(
        "proc/self/mountinfo",
        fmt::format("1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 {}:{} / /cold rw - ext4 x rw\n",
                    major(status.st_dev), minor(status.st_dev)));
    add_thread(8, "iou-wrk-7", 'D', "percpu_rwsem_wait");
    EXPECT_THAT(what_keeps(paths_, 7), HasSubstr("is frozen: fsfreeze -u /cold"));
}

TEST_F(StuckTest, NamesTheDebugger) {
    add_thread(7, "ublkd", 't', "0");
    root_.write("proc/7/task/7/status", "Name:\tublkd\nState:\tt (tracing stop)\nTracerPid:\t9\n");
    EXPECT_EQ(what_keeps(paths_, 7), "process 7 (ublkd) is stopped by a debugger (t), process 9");
}

TEST_F(StuckTest, NamesTheCgroupThatFreezes) {
    add_thread(7, "ublkd", 'S', "0");
    root_.write("proc/7/cgroup", "4:pids:/x\n0::/machine/guest\n");
    root_.write("sys/fs/cgroup/machine/guest/cgroup.freeze", "0\n");
    root_.write("sys/fs/cgroup/machine/cgroup.freeze", "0\n");
    EXPECT_EQ(what_keeps(paths_, 7), "");
    root_.write("sys/fs/cgroup/machine/cgroup.freeze", "1\n");
    EXPECT_EQ(what_keeps(paths_, 7), "process 7 (ublkd) is frozen by its cgroup: echo 0 > " +
                                         paths_.sys + "/fs/cgroup/machine/cgroup.freeze");
}

} // namespace
} // namespace ublk::daemon
