// SPDX-License-Identifier: GPL-2.0-or-later
// Keeps a server out of the mount namespace of those who use its device.
#ifndef UBLKD_MOUNTS_H
#define UBLKD_MOUNTS_H

#include <string>
#include <vector>

#include <ublk/result.h>

#include "paths.h"

namespace ublk::daemon {

// Moves this process to a mount namespace of its own that has only the root file system, /dev,
// /proc, /sys, and what holds the state directory and the paths in `also`, where the server is to
// open files later on. A copy of a mount of its own device would make
// the exit of the server wait for itself; copies of other mounts would keep file systems busy that
// users have unmounted. Files opened before stay open, and keep their file system busy in the
// namespace of the users, where that can be seen. Needs to run before threads are started.
Result<void> leave_mount_namespace(const Paths& paths, const std::vector<std::string>& also);

// Mount points of `mountinfo` that leave_mount_namespace() drops, innermost first.
std::vector<std::string> mounts_to_drop(const std::string& mountinfo, const Paths& paths,
                                        const std::vector<std::string>& also = {});

} // namespace ublk::daemon

#endif
