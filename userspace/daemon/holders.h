// SPDX-License-Identifier: GPL-2.0-or-later
// Who uses a block device: mounts, swap, stacked devices and processes that have it open.
#ifndef UBLKD_HOLDERS_H
#define UBLKD_HOLDERS_H

#include <string>
#include <string_view>
#include <vector>

#include <ublk/result.h>

#include "paths.h"
#include "process.h"

namespace ublk::daemon {

// One user of /dev/ublkbN or of one of its partitions.
struct Holder {
    std::string what;      // "mounted on /mnt", "used as swap", "open in process 71 (fio)",
                           // "held by dm-0 (logical volume vg/lv, mounted on /srv)"
    std::string way_out{}; // the command that ends it, if there is one: "umount /mnt"

    bool operator==(const Holder&) const = default;
};

// Those hardest to get rid of first. Whom udev has sent is left out: its workers and the programs
// that they start to look into a new disk come and go by themselves.
std::vector<Holder> find_holders(const Paths& paths, int number);

// The same once those whom udev has sent are gone, and at once if there is anybody else. Whoever of
// them is still there at the deadline counts, too.
std::vector<Holder> find_lasting_holders(const Paths& paths, int number, Deadline deadline);

// Where the disk or one of its partitions is mounted in the mount namespace of that process,
// sorted.
std::vector<std::string> find_mounts_of(const Paths& paths, int number, pid_t process);

// Whether the disk or one of its partitions is a swap.
bool is_swap(const Paths& paths, int number);

// Devices of the device mapper and others on top of the disk, which stay when it goes.
std::vector<Holder> find_stacked_devices(const Paths& paths, int number);

// The device is used by them; `way_out` is what helps besides letting go.
Error busy(int number, const std::vector<Holder>& holders, std::string_view way_out);

} // namespace ublk::daemon

#endif
