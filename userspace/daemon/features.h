// SPDX-License-Identifier: GPL-2.0-or-later
// Feature bits by name.
#ifndef UBLKD_FEATURES_H
#define UBLKD_FEATURES_H

#include <cstdint>
#include <string>
#include <vector>

namespace ublk::daemon {

// In ascending order; a bit that this build has no name for is called "bit 40".
std::vector<std::string> names_of_features(std::uint64_t mask);

} // namespace ublk::daemon

#endif
