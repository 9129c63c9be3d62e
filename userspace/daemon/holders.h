// SPDX-License-Identifier: GPL-2.0-or-later
// Who uses a block device: mounts, swap, stacked devices and processes that have it open.
#ifndef UBLKD_HOLDERS_H
#define UBLKD_HOLDERS_H

#include <string>
#include <vector>

#include "paths.h"

namespace ublk::daemon {

// One phrase per user of /dev/ublkbN or of one of its partitions, such as "mounted on /mnt",
// "used as swap", "held by dm-0", "open in process 71 (fio)"; those hardest to get rid of first.
// Probes of udev are left out: they come and go by themselves.
std::vector<std::string> find_holders(const Paths& paths, int number);

} // namespace ublk::daemon

#endif
