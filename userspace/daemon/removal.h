// SPDX-License-Identifier: GPL-2.0-or-later
// Stopping and deleting a device, whatever condition it and its server are in.
#ifndef UBLKD_REMOVAL_H
#define UBLKD_REMOVAL_H

#include <ublk/control.h>
#include <ublk/result.h>

#include "paths.h"

namespace ublk::daemon {

enum class Force {
    no,  // a device in use stays, and so does a server that does not end
    yes, // users get I/O errors, and a server that does not end is killed
};

// Returns when a server of ours has gone, no record is left and the number is free again; with
// force, that lasts until the users of the device have let go. Takes bounded time.
Result<void> remove_device(const Paths& paths, Control& control, int number, Force force);

enum class Stop {
    always, // users get I/O errors
    safely, // a device in use stays
};

// Takes the disk away. A server of ours then deletes the device, and is waited for; without one it
// is deleted here. A device of another program is left to that. Nothing to do if it has no disk.
Result<void> stop_device(const Paths& paths, Control& control, int number, Stop how);

} // namespace ublk::daemon

#endif
