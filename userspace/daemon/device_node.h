// SPDX-License-Identifier: GPL-2.0-or-later
// The device node of a device, which may appear later and vanish later than the device does.
#ifndef UBLKD_DEVICE_NODE_H
#define UBLKD_DEVICE_NODE_H

#include <ublk/result.h>

#include "launch.h"
#include "paths.h"
#include "process.h"

namespace ublk::daemon {

// Returns once the server's /dev/ublkbN exists, can be opened and has its size. The node goes with
// the server, so the wait ends when that dies.
Result<void> wait_for_device_node(const Paths& paths, const Ready& ready, Deadline deadline);

} // namespace ublk::daemon

#endif
