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

// Field `number` of /proc/PID/stat, from 3 on; 0 when there is no such process. The name in field 2
// may hold anything, so fields are counted from the last parenthesis.
static std::uint64_t stat_field(const Paths& paths, pid_t pid, int number) {
    std::string stat = read_word(paths.proc + "/" + std::to_string(pid) + "/stat");
    auto at = stat.rfind(')');
    for (int field = 2; field < number && at != std::string::npos; ++field)
        at = stat.find(' ', at + 1);
    if (at == std::string::npos)
        return 0;
    auto end = stat.find(' ', at + 1);
    return parse_number(stat.substr(at + 1, end - at - 1)).value_or(0);
}

static std::uint64_t start_time(const Paths& paths, pid_t pid) {
    return stat_field(paths, pid, 22);
}

pid_t parent_of(const Paths& paths, pid_t pid) {
    return static_cast<pid_t>(stat_field(paths, pid, 4));
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
