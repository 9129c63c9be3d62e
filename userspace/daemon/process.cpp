// SPDX-License-Identifier: GPL-2.0-or-later
// Process identity from procfs, life and death from pidfds.
#include "process.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file.h"
#include "number.h"

namespace ublk::daemon {

int poll_timeout(Deadline deadline) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000'000));
}

std::string process_name(const Paths& paths, pid_t pid) {
    return read_word(paths.proc + "/" + std::to_string(pid) + "/comm");
}

// A field of /proc/PID/status, such as "T (stopped)" for "State".
static std::string status_field(const Paths& paths, pid_t pid, const std::string& name) {
    const std::string status = read_word(fmt::format("{}/{}/status", paths.proc, pid));
    const auto at = status.find("\n" + name + ":\t");
    if (at == std::string::npos)
        return {};
    const auto begin = at + name.size() + 3;
    return status.substr(begin, status.find('\n', begin) - begin);
}

// The control file of the cgroup that keeps a process from running; empty: none does.
static std::string freezer_of(const Paths& paths, pid_t pid) {
    const std::string cgroups = read_word(fmt::format("{}/{}/cgroup", paths.proc, pid));
    const auto unified = cgroups.rfind("0::/");
    if (unified == std::string::npos)
        return {};
    std::string group = cgroups.substr(unified + 3);
    for (; !group.empty(); group.erase(group.rfind('/'))) {
        std::string file = fmt::format("{}/fs/cgroup{}/cgroup.freeze", paths.sys, group);
        if (read_word(file) == "1")
            return file;
    }
    return {};
}

std::string process_trouble(const Paths& paths, pid_t pid) {
    const std::string state = status_field(paths, pid, "State");
    if (const std::string freezer = freezer_of(paths, pid); !freezer.empty())
        return fmt::format("is frozen by its cgroup: echo 0 > {}", freezer);
    switch (state.empty() ? 'X' : state[0]) {
    case 'T':
        return fmt::format("is stopped (T): kill -CONT {}", pid);
    case 't':
        return fmt::format("is stopped by a debugger (t), process {}",
                           status_field(paths, pid, "TracerPid"));
    case 'D':
        return fmt::format("waits in the kernel (D): see /proc/{}/stack and dmesg", pid);
    case 'X':
    case 'Z':
        return "has died";
    default:
        return {};
    }
}

static std::uint64_t start_time(const Paths& paths, pid_t pid) {
    std::string stat = read_word(paths.proc + "/" + std::to_string(pid) + "/stat");
    // The name in field 2 may hold anything, so count from the last parenthesis: field 3 follows
    // it.
    auto at = stat.rfind(')');
    for (int field = 2; field < 22 && at != std::string::npos; ++field)
        at = stat.find(' ', at + 1);
    if (at == std::string::npos)
        return 0;
    auto end = stat.find(' ', at + 1);
    return parse_number(stat.substr(at + 1, end - at - 1)).value_or(0);
}

ProcessIdentity identify_process(const Paths& paths, pid_t pid) {
    return {pid, start_time(paths, pid)};
}

ProcessHandle::ProcessHandle(pid_t pid)
    : fd_(pid > 0 ? static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)) : -1) {}

bool ProcessHandle::alive() const { return !wait_until_gone(Clock::now()); }

bool ProcessHandle::wait_until_gone(Deadline deadline) const {
    if (!fd_)
        return true;
    pollfd event{fd_.get(), POLLIN, 0};
    int ready = 0;
    do {
        ready = ::poll(&event, 1, poll_timeout(deadline));
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}

void ProcessHandle::send(int signal) const {
    if (fd_)
        ::syscall(SYS_pidfd_send_signal, fd_.get(), signal, nullptr, 0);
}

} // namespace ublk::daemon
