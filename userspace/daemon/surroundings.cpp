// SPDX-License-Identifier: GPL-2.0-or-later
// Sets what a process inherits, item by item.
#include "surroundings.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "file.h"
#include "number.h"

// Where the linker has put the program's own code.
extern "C" char __executable_start; // NOLINT(bugprone-reserved-identifier)
extern "C" char etext;

namespace ublk::daemon {

namespace {

struct Limit {
    decltype(RLIMIT_FSIZE) resource;
    const char* of;     // what must not be limited
    const char* option; // of ulimit
};

// A backing may be of any size; time, memory and threads are needed for as long as there is a disk.
constexpr std::array unlimited{
    Limit{RLIMIT_FSIZE, "the size of files", "-f"},
    Limit{RLIMIT_CPU, "CPU time", "-t"},
    Limit{RLIMIT_AS, "address space", "-v"},
    Limit{RLIMIT_DATA, "data", "-d"},
    Limit{RLIMIT_MEMLOCK, "locked memory", "-l"},
    Limit{RLIMIT_RTTIME, "real-time CPU time", "-R"},
};

// Of linux/ioprio.h, which is not C++ everywhere.
constexpr int ioprio_who_process = 1;
constexpr int ioprio_none = 0;

constexpr rlim_t usual_stack = 8U << 20; // of threads, too
constexpr rlim_t many_files = 65536;     // a queue has a few
constexpr rlim_t enough_files = 4096;
constexpr rlim_t enough_processes = 4096;

bool set_limit(const Limit& limit, rlim_t soft, rlim_t hard) {
    const rlimit both{soft, hard};
    return ::setrlimit(limit.resource, &both) == 0;
}

// As much as is wanted, or else as the hard limit lets us, which may be enough.
void lift(const Limit& limit, rlim_t wanted, rlim_t enough, std::vector<Error>& missing) {
    rlimit now{};
    if (::getrlimit(limit.resource, &now) < 0)
        return;
    if (now.rlim_cur >= wanted || set_limit(limit, wanted, std::max(wanted, now.rlim_max)))
        return;
    const int error = errno;
    set_limit(limit, now.rlim_max, now.rlim_max);
    if (now.rlim_max >= enough)
        return;
    missing.push_back(
        {error, fmt::format("lift the limit of {} above {}", limit.of, now.rlim_max),
         fmt::format("raise it where the server is started (ulimit {}), or give CAP_SYS_RESOURCE",
                     limit.option)});
}

void lift_limits(std::vector<Error>& missing) {
    for (const Limit& limit : unlimited)
        lift(limit, RLIM_INFINITY, RLIM_INFINITY, missing);
    lift({RLIMIT_NPROC, "processes", "-u"}, RLIM_INFINITY, enough_processes, missing);
    lift({RLIMIT_NOFILE, "open files", "-n"}, many_files, enough_files, missing);
    lift({RLIMIT_STACK, "stacks", "-s"}, usual_stack, usual_stack, missing);
}

// Somebody who asks for a disk with low priority does not ask that its users wait. Who wants this
// of a server tells the server, by renice, chrt or ionice.
void become_as_important_as_others(std::vector<Error>& missing) {
    const int policy = ::sched_getscheduler(0);
    const sched_param none{};
    if ((policy == SCHED_IDLE || policy == SCHED_BATCH) &&
        ::sched_setscheduler(0, SCHED_OTHER, &none) < 0)
        missing.push_back({errno, "leave the scheduling policy of the caller",
                           "start the server without chrt, or give CAP_SYS_NICE"});
    if (::getpriority(PRIO_PROCESS, 0) > 0 && ::setpriority(PRIO_PROCESS, 0, 0) < 0)
        missing.push_back({errno, "leave the priority of the caller",
                           "start the server without nice, or give CAP_SYS_NICE"});
    // With none of its own it follows from the CPU's.
    if (::syscall(SYS_ioprio_set, ioprio_who_process, 0, ioprio_none) < 0)
        missing.push_back(
            {errno, "leave the I/O priority of the caller", "start the server without ionice"});
}

// Ignored ones would not come, blocked ones neither; a timer of the caller's would kill. A write
// beyond a limit that stays is an error of that write.
void forget_signals_of_the_caller() {
    const itimerval none{};
    for (const auto timer : {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF})
        ::setitimer(timer, &none, nullptr);
    for (int signal = 1; signal < NSIG; ++signal)
        std::signal(signal, SIG_DFL); // fails for those that cannot be anything else
    for (const int signal : {SIGPIPE, SIGXFSZ})
        std::signal(signal, SIG_IGN);
    sigset_t nothing;
    ::sigemptyset(&nothing);
    ::sigprocmask(SIG_SETMASK, &nothing, nullptr);
}

// Ours, before the first request needs it. All of the C library's would cost more than a server.
void bring_code_into_memory() {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const auto size = static_cast<std::size_t>(&etext - &__executable_start);
    ::madvise(&__executable_start, (size + page - 1) / page * page, MADV_POPULATE_READ);
}

} // namespace

std::vector<Error> shed_inheritance() {
    std::vector<Error> missing;
    forget_signals_of_the_caller();
    lift_limits(missing);
    become_as_important_as_others(missing);
    return missing;
}

void shed_file_mode() { ::umask(S_IWGRP | S_IWOTH); }

std::vector<Error> keep_memory(const Paths& paths) {
    std::vector<Error> missing;
    // What is in memory stays, and so does what comes later, from its first use on. With a limit
    // left, later memory could not be had at all.
    rlimit limit{};
    ::getrlimit(RLIMIT_MEMLOCK, &limit);
    errno = EPERM;
    if (limit.rlim_cur != RLIM_INFINITY || ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        missing.push_back({errno, "keep the server's memory from being swapped out",
                           "raise ulimit -l, or give CAP_IPC_LOCK; do not swap to this disk"});
    bring_code_into_memory();
    const std::string never = "-1000";
    if (auto written = write_value(paths.proc + "/self/oom_score_adj", never); !written)
        missing.push_back({written.error().code, "keep the server from being killed for memory",
                           "give CAP_SYS_RESOURCE, or set OOMScoreAdjust=-1000 in its unit"});
    return missing;
}

} // namespace ublk::daemon
