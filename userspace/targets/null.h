// SPDX-License-Identifier: GPL-2.0-or-later
// The `null` target: reads leave the buffer as it is, writes are forgotten.
#ifndef UBLK_TARGETS_NULL_H
#define UBLK_TARGETS_NULL_H

#include <ublk/target.h>

namespace ublk::targets {

extern const TargetInfo null_info;

} // namespace ublk::targets

#endif
