// SPDX-License-Identifier: GPL-2.0-or-later
// Limits that cgroups set to the I/O of a disk.
#ifndef UBLKD_THROTTLE_H
#define UBLKD_THROTTLE_H

#include "paths.h"

namespace ublk::daemon {

// Lifts them for a disk that is taken away from its users: Linux 6.1 locks up when a disk goes
// while requests wait for their turn, and they would fail anyway. What cannot be written stays.
void lift_limits(const Paths& paths, int number);

} // namespace ublk::daemon

#endif
