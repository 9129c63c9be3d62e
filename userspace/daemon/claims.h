// SPDX-License-Identifier: GPL-2.0-or-later
// A backing belongs to one disk for as long as that may write to it, also while its server is dead:
// no lock lasts that long, but the disks' records do.
#ifndef UBLKD_CLAIMS_H
#define UBLKD_CLAIMS_H

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <ublk/control.h>
#include <ublk/identity.h>
#include <ublk/result.h>

#include "paths.h"
#include "state.h"

namespace ublk::daemon {

// The device that a record is about, if that still exists and may write again, or is being made.
using FindDevice = std::function<std::optional<DeviceInfo>(const ServerRecord& record)>;
// Asks the driver, once there is something to ask.
FindDevice find_in_driver(const Paths& paths);

inline constexpr int no_device = -1;

// EBUSY if another disk than `except` has one of these, or a part of it. That it is free now says
// nothing about later: see claim().
Result<void> check_claims(const Paths& paths, const std::vector<BackingUse>& wanted, int except,
                          const FindDevice& find);

// Writes the record, and with it its device has the backings and the name in it. EBUSY, and nothing
// is written, if another disk has one of the backings, or a part, and EEXIST if it has the name: of
// several that come at a time one gets it.
Result<void> claim(const Paths& paths, const ServerRecord& record, const FindDevice& find);

// An error that says that a backing is busy, with the disk that has it if there is one.
Error explain_busy(Error error, const Paths& paths, const std::vector<std::string>& names,
                   int except, const FindDevice& find);

// EBUSY if two of one disk's own are the same, or have a part in common, and one of them is
// written.
Result<void> check_apart(const std::vector<BackingUse>& uses);

// ESTALE if a name means something else by now. Those of `before` that are unknown may be anything,
// and so may what is only appended to.
Result<void> check_same(const std::vector<BackingUse>& before, const std::vector<BackingUse>& now);

// ELOOP for a device that would be its own backing, or have it in a file on itself.
Result<void> check_not_itself(const Paths& paths, const std::vector<BackingUse>& uses, int number);

} // namespace ublk::daemon

#endif
