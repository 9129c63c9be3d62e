// SPDX-License-Identifier: MIT
// Decides which way the data of a device's requests take. The only place that knows what each way
// asks of driver and target.
#ifndef UBLK_LIB_COPY_CHOICE_H
#define UBLK_LIB_COPY_CHOICE_H

#include <cstdint>

#include <ublk/copy_mode.h>
#include <ublk/shared_memory.h>
#include <ublk/target.h>

namespace ublk {

// What there is to choose from.
struct CopyMeans {
    std::uint64_t available; // UBLK_F_* of the driver
    const Target& target;
    const SharedMemory* shared = nullptr; // with users of the disk
};

// A mode that was asked for is granted or refused, never replaced.
Result<CopyChoice> choose_copy_mode(CopyMode wanted, const CopyMeans& means);

// What the driver has to be asked for.
std::uint64_t features_of(CopyMode mode);

// What a disk with this mode says about itself, given what its target says.
Geometry geometry_for(CopyMode mode, Geometry geometry);

} // namespace ublk

#endif
