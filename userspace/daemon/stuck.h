// SPDX-License-Identifier: GPL-2.0-or-later
// What a process that does not answer waits for, so that an error can say more than that time is
// over.
#ifndef UBLKD_STUCK_H
#define UBLKD_STUCK_H

#include <string>

#include <ublk/result.h>

#include "paths.h"

namespace ublk::daemon {

// "process 71 (ublkd) is stopped (T): kill -CONT 71", "process 71 (ublkd) waits in the kernel
// (io_schedule)", "... for a file system that is frozen: fsfreeze -u /mnt". Empty if nothing keeps
// it.
std::string what_keeps(const Paths& paths, pid_t pid);

// The error with that as its hint, if there is anything.
Error with_what_keeps(Error error, const Paths& paths, pid_t pid);

} // namespace ublk::daemon

#endif
