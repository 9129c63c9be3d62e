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

} // namespace
} // namespace ublk::daemon
