// SPDX-License-Identifier: MIT
// Decides which way the data of a device's requests take. The only place that knows what each way
// asks of driver and target.
#ifndef UBLK_LIB_COPY_CHOICE_H
#define UBLK_LIB_COPY_CHOICE_H

#include <cstdint>

#include <ublk/copy_mode.h>
#include <ublk/target.h>

namespace ublk {

// `available`: the UBLK_F_* of the driver. A mode that was asked for is granted or refused, never
// replaced.
Result<CopyChoice> choose_copy_mode(CopyMode wanted, std::uint64_t available, const Target& target);

// What the driver has to be asked for.
std::uint64_t features_of(CopyMode mode);

} // namespace ublk

#endif
