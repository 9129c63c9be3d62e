// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/process.h"

#include <csignal>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;

// A child that waits to be killed.
class Child {
public:
    Child() : pid_(::fork()) {
        if (pid_ == 0) {
            for (;;)
                ::pause();
        }
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            reap();
        }
    }
    pid_t pid() const { return pid_; }
    void reap() {
        ::waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

private:
    pid_t pid_;
};

TEST(PollTimeout, RoundsUpAndEndsAtZero) {
    EXPECT_EQ(poll_timeout(Clock::now() - 1s), 0);
    const int timeout = poll_timeout(Clock::now() + 1500us);
    EXPECT_GE(timeout, 1);
    EXPECT_LE(timeout, 2);
}

TEST(IdentifyProcess, IsStableAndTellsProcessesApart) {
    const Paths paths;
    const Child child;
    EXPECT_NE(identify_process(paths, ::getpid()).start, 0U);
    EXPECT_EQ(identify_process(paths, ::getpid()), identify_process(paths, ::getpid()));
    EXPECT_NE(identify_process(paths, ::getpid()), identify_process(paths, child.pid()));
}

TEST(IdentifyProcess, IsNotFooledByTheName) {
    const test::TemporaryDirectory root;
    root.write("9/stat", "9 (a) R 1) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20\n");
    EXPECT_EQ(identify_process(Paths{.proc = root.path()}, 9).start, 777U);
}

TEST(IdentifyProcess, HasNoStartWithoutProcess) {
    const test::TemporaryDirectory root;
    EXPECT_EQ(identify_process(Paths{.proc = root.path()}, 9).start, 0U);
}

TEST(ProcessHandle, SeesTheEndOfAProcess) {
    Child child;
    const ProcessHandle handle(child.pid());
    EXPECT_TRUE(handle.alive());
    EXPECT_FALSE(handle.wait_until_gone(Clock::now() + 1ms));
    handle.send(SIGKILL);
    EXPECT_TRUE(handle.wait_until_gone(Clock::now() + 10s));
    EXPECT_FALSE(handle.alive());
}

TEST(ProcessHandle, OfNoProcessIsGone) {
    Child child;
    const pid_t pid = child.pid();
    ::kill(pid, SIGKILL);
    child.reap();
    EXPECT_FALSE(ProcessHandle(pid).alive());
    EXPECT_FALSE(ProcessHandle(-1).alive());
    ProcessHandle(-1).send(SIGKILL);
}

class ProcessTrouble : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    Paths paths_{.sys = directory_.path("sys"), .proc = directory_.path("proc")};

    std::string of(const std::string& state) {
        directory_.write("proc/71/status",
                         "Name:\tublkd\nState:\t" + state + "\nTgid:\t71\nTracerPid:\t9\n");
        return process_trouble(paths_, 71);
    }
};

TEST_F(ProcessTrouble, SaysWhatHelps) {
    EXPECT_EQ(of("T (stopped)"), "is stopped (T): kill -CONT 71");
    EXPECT_EQ(of("t (tracing stop)"), "is stopped by a debugger (t), process 9");
    EXPECT_EQ(of("D (disk sleep)"), "waits in the kernel (D): see /proc/71/stack and dmesg");
    EXPECT_EQ(of("Z (zombie)"), "has died");
    EXPECT_EQ(of("S (sleeping)"), "");
    EXPECT_EQ(of("R (running)"), "");
    EXPECT_EQ(process_trouble(paths_, 72), "has died");
}

TEST_F(ProcessTrouble, NamesTheCgroupThatFreezes) {
    directory_.write("proc/71/cgroup", "4:pids:/x\n0::/machine/guest\n");
    directory_.write("sys/fs/cgroup/machine/guest/cgroup.freeze", "0\n");
    directory_.write("sys/fs/cgroup/machine/cgroup.freeze", "0\n");
    EXPECT_EQ(of("S (sleeping)"), "");
    directory_.write("sys/fs/cgroup/machine/cgroup.freeze", "1\n");
    EXPECT_EQ(of("S (sleeping)"), "is frozen by its cgroup: echo 0 > " + paths_.sys +
                                      "/fs/cgroup/machine/cgroup.freeze");
}

} // namespace
} // namespace ublk::daemon
