// SPDX-License-Identifier: MIT
// What each kind of recovery asks of driver and target.
#ifndef UBLK_LIB_RECOVERY_CHOICE_H
#define UBLK_LIB_RECOVERY_CHOICE_H

#include <cstdint>

#include <ublk/recovery.h>
#include <ublk/target.h>

namespace ublk {

// The UBLK_F_* to ask a driver for that has `available`: those of the recovery, and beside it being
// sent away in peace where the driver knows that.
Result<std::uint64_t> choose_recovery(Recovery wanted, std::uint64_t available,
                                      const Target& target);

} // namespace ublk

#endif
