// SPDX-License-Identifier: GPL-2.0-or-later
// Names for the bits of a feature word.
#include "features.h"

#include <fmt/format.h>
#include <ublk/control.h>

namespace ublk::daemon {

static std::string name_of_feature(std::uint64_t bit, int position) {
    for (const FeatureName& feature : feature_names())
        if (feature.bit == bit)
            return std::string(feature.name);
    return fmt::format("bit {}", position);
}

std::vector<std::string> names_of_features(std::uint64_t mask) {
    std::vector<std::string> names;
    for (int position = 0; position < 64; ++position)
        if (const std::uint64_t bit = std::uint64_t{1} << position; mask & bit)
            names.push_back(name_of_feature(bit, position));
    return names;
}

} // namespace ublk::daemon
