// SPDX-License-Identifier: GPL-2.0-or-later
// The name that a user gives a disk: the link /dev/disk/by-id/ublk-NAME and the serial number that
// lsblk shows. The driver knows of no names, so it is kept in the disk's record, and the udev rules
// ask ublkd for it.
#ifndef UBLKD_DISK_NAME_H
#define UBLKD_DISK_NAME_H

#include <string>
#include <string_view>

#include <ublk/result.h>

#include "claims.h"
#include "paths.h"

namespace ublk::daemon {

// A usage error unless it can be the end of a link's name and stand in a file of names: up to 64
// letters, digits and "+-.:=@_", the first a letter or digit. What ends like the link to a
// partition does is refused, too.
Result<std::string> parse_disk_name(std::string_view text);

// EEXIST if another disk than that of `number` has it. Only under the lock of the records is the
// answer still true when the record is written: claim().
Result<void> check_name_is_free(const Paths& paths, std::string_view name, int number,
                                const FindDevice& find);

} // namespace ublk::daemon

#endif
