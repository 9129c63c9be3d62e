// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/surroundings.h"

#include <csignal>
#include <functional>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/file.h"

namespace ublk::daemon {
namespace {

// Of linux/ioprio.h, which is not C++ everywhere.
constexpr int ioprio_who_process = 1;
constexpr int ioprio_class_idle = 3;
constexpr int ioprio_class_shift = 13;

// Whether `check` holds in a child that has inherited something and shed it.
bool holds_after(const std::function<void()>& inherit, const std::function<bool()>& check) {
    const pid_t child = ::fork();
    if (child == 0) {
        inherit();
        shed_inheritance();
        ::_exit(check() ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void limit(decltype(RLIMIT_FSIZE) resource, rlim_t soft) {
    rlimit now{};
    ::getrlimit(resource, &now);
    now.rlim_cur = soft;
    ::setrlimit(resource, &now);
}

rlim_t soft_limit(decltype(RLIMIT_FSIZE) resource) {
    rlimit now{};
    ::getrlimit(resource, &now);
    return now.rlim_cur;
}

rlim_t hard_limit(decltype(RLIMIT_FSIZE) resource) {
    rlimit now{};
    ::getrlimit(resource, &now);
    return now.rlim_max;
}

TEST(Surroundings, LimitsOfTheCallerEndAtTheHardOnes) {
    for (const auto resource : {RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_DATA, RLIMIT_MEMLOCK})
        EXPECT_TRUE(holds_after([&] { limit(resource, 1U << 20); },
                                [&] { return soft_limit(resource) >= hard_limit(resource); }))
            << resource;
    EXPECT_TRUE(holds_after([] { limit(RLIMIT_NOFILE, 20); },
                            [] { return soft_limit(RLIMIT_NOFILE) > 20; }));
}

TEST(Surroundings, LimitThatCannotBeLiftedIsTold) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root, to stop being it";
    const auto inherit = [] {
        const rlimit small{1U << 20, 1U << 20};
        ::setrlimit(RLIMIT_FSIZE, &small);
        if (::setuid(65534) < 0)
            ::_exit(2);
    };
    const auto tells = [] {
        for (const Error& missing : shed_inheritance())
            if (missing.step == "lift the limit of the size of files above 1048576")
                return !missing.hint.empty();
        return false;
    };
    EXPECT_TRUE(holds_after(inherit, tells));
}

TEST(Surroundings, LowPriorityOfTheCallerEnds) {
    if (::geteuid() != 0)
        GTEST_SKIP() << "needs root";
    EXPECT_TRUE(holds_after([] { ::setpriority(PRIO_PROCESS, 0, 15); },
                            [] { return ::getpriority(PRIO_PROCESS, 0) == 0; }));
    EXPECT_TRUE(holds_after(
        [] {
            const sched_param none{};
            ::sched_setscheduler(0, SCHED_IDLE, &none);
        },
        [] { return ::sched_getscheduler(0) == SCHED_OTHER; }));
    EXPECT_TRUE(holds_after(
        [] {
            ::syscall(SYS_ioprio_set, ioprio_who_process, 0,
                      ioprio_class_idle << ioprio_class_shift);
        },
        [] {
            const auto now = ::syscall(SYS_ioprio_get, ioprio_who_process, 0);
            return now >> ioprio_class_shift != ioprio_class_idle;
        }));
}

TEST(Surroundings, SignalsComeAgain) {
    EXPECT_TRUE(holds_after(
        [] {
            std::signal(SIGTERM, SIG_IGN);
            std::signal(SIGCHLD, SIG_IGN);
            sigset_t all;
            ::sigfillset(&all);
            ::sigprocmask(SIG_SETMASK, &all, nullptr);
        },
        [] {
            sigset_t blocked;
            ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
            return ::sigismember(&blocked, SIGTERM) == 0 &&
                   std::signal(SIGTERM, SIG_DFL) == SIG_DFL &&
                   std::signal(SIGCHLD, SIG_DFL) == SIG_DFL &&
                   std::signal(SIGPIPE, SIG_DFL) == SIG_IGN &&
                   std::signal(SIGXFSZ, SIG_DFL) == SIG_IGN;
        }));
}

TEST(Surroundings, TimerOfTheCallerDoesNotKill) {
    EXPECT_TRUE(holds_after([] { ::alarm(1); },
                            [] {
                                itimerval left{};
                                ::getitimer(ITIMER_REAL, &left);
                                return left.it_value.tv_sec == 0 && left.it_value.tv_usec == 0;
                            }));
}

} // namespace
} // namespace ublk::daemon
