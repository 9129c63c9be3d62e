// SPDX-License-Identifier: GPL-2.0-or-later
// Has the child traced by this process.
#include "support/system_calls.h"

#include <csignal>

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ublk::test {

namespace {

constexpr unsigned longest_work = 60; // seconds
constexpr int system_call_stop = SIGTRAP | 0x80;

[[noreturn]] void do_in_child(const std::function<void()>& work) {
    ::alarm(longest_work);
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) < 0)
        ::_exit(1);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
}

// Not those of the allocator, whose number says how the sanitizers keep memory.
bool is_counted(pid_t child) {
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return false;
    switch (info.entry.nr) {
    case SYS_brk:
    case SYS_madvise:
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_mremap:
    case SYS_munmap:
        return false;
    default:
        return true;
    }
}

} // namespace

std::int64_t count_system_calls(const std::function<void()>& work) {
    const pid_t child = ::fork();
    if (child == 0)
        do_in_child(work);
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return -1;
    ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
    std::int64_t calls = 0;
    int signal = 0;
    for (;;) {
        ::ptrace(PTRACE_SYSCALL, child, nullptr, signal);
        if (::waitpid(child, &status, 0) != child)
            return -1;
        if (!WIFSTOPPED(status))
            return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? calls : -1;
        const bool is_call = WSTOPSIG(status) == system_call_stop;
        calls += is_call && is_counted(child) ? 1 : 0;
        signal = is_call ? 0 : WSTOPSIG(status);
    }
}

} // namespace ublk::test
