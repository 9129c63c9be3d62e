// SPDX-License-Identifier: GPL-2.0-or-later
// Other processes: who they are and waiting for their end, safe against reuse of their pid.
#ifndef UBLKD_PROCESS_H
#define UBLKD_PROCESS_H

#include <chrono>
#include <cstdint>
#include <string>

#include <sys/types.h>

#include <ublk/unique_fd.h>

#include "paths.h"

namespace ublk::daemon {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

// Milliseconds until the deadline for poll(2), rounded up; 0 once it has passed.
int poll_timeout(Deadline deadline);

std::string process_name(const Paths& paths, pid_t pid);

// 0 when there is no such process, or its parent is not in this PID namespace.
pid_t parent_of(const Paths& paths, pid_t pid);

struct ProcessIdentity {
    pid_t pid = 0;
    std::uint64_t start = 0; // clock ticks since boot: tells a reused pid from the process meant

    bool operator==(const ProcessIdentity&) const = default;
};

// With start 0 when there is no such process.
ProcessIdentity identify_process(const Paths& paths, pid_t pid);

// One process, held by a pidfd: signals and waits never hit a later process of the same number.
class ProcessHandle {
public:
    explicit ProcessHandle(pid_t pid);

    bool alive() const;
    bool wait_until_gone(Deadline deadline) const;
    void send(int signal) const;
    // For poll(2): readable once the process is gone; -1 if there was none.
    int descriptor() const { return fd_.get(); }

private:
    UniqueFd fd_; // empty: there was no such process
};

} // namespace ublk::daemon

#endif
