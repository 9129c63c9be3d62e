// SPDX-License-Identifier: MIT
// Says what a driver is too old for, in the same words everywhere.
#ifndef UBLK_LIB_DRIVER_FEATURES_H
#define UBLK_LIB_DRIVER_FEATURES_H

#include <cstdint>
#include <string>
#include <string_view>

#include <ublk/result.h>

namespace ublk {

// The way out where our own driver has the feature on every kernel.
inline constexpr std::string_view ours_has_it = "the ublk_drv of this project has it";

// The first of the UBLK_F_* in `wanted` that is not in `available`; empty: none.
std::string missing_feature(std::uint64_t wanted, std::uint64_t available);

// Fails with "the driver lacks X", followed by `way_out` if there is one.
Result<void> check_features(std::string_view step, std::uint64_t wanted, std::uint64_t available,
                            std::string_view way_out);

} // namespace ublk

#endif
