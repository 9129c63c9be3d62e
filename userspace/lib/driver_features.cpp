// SPDX-License-Identifier: MIT
// Compares feature words.
#include "driver_features.h"

#include <cerrno>

#include <ublk/control.h>

namespace ublk {

std::string missing_feature(std::uint64_t wanted, std::uint64_t available) {
    const std::uint64_t missing = wanted & ~available;
    for (const FeatureName& feature : feature_names())
        if (missing & feature.bit)
            return std::string{feature.name};
    return {};
}

Result<void> check_features(std::string_view step, std::uint64_t wanted, std::uint64_t available,
                            std::string_view way_out) {
    const std::string missing = missing_feature(wanted, available);
    if (missing.empty())
        return {};
    std::string hint = "the driver lacks " + missing;
    if (!way_out.empty())
        hint.append("; ").append(way_out);
    return Error{EOPNOTSUPP, std::string{step}, hint, ErrorKind::driver};
}

} // namespace ublk
