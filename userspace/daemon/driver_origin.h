// SPDX-License-Identifier: GPL-2.0-or-later
// Which driver the kernel has.
#ifndef UBLKD_DRIVER_ORIGIN_H
#define UBLKD_DRIVER_ORIGIN_H

#include <string>

#include "paths.h"

namespace ublk::daemon {

// "built in", "in-tree module" or "out-of-tree module" of a driver that is there.
std::string origin_of_driver(const Paths& paths);

// As `uname -r` tells it.
std::string kernel_release();

} // namespace ublk::daemon

#endif
