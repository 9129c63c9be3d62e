// SPDX-License-Identifier: GPL-2.0-or-later
// The targets of this build by name. Which there are is decided in CMakeLists.txt alone.
#ifndef UBLK_TARGETS_REGISTRY_H
#define UBLK_TARGETS_REGISTRY_H

#include <span>
#include <string_view>

#include <ublk/target.h>

namespace ublk::targets {

// Filters are not among them.
std::span<const TargetInfo* const> all();
std::span<const TargetInfo* const> filters();

// A target that was left out of this build.
struct MissingTarget {
    std::string_view name;
    std::string_view reason; // such as "libnbd-dev was not installed"
};
std::span<const MissingTarget> missing();

// ENOENT with all the names as hint, or with the reason for a missing one.
Result<const TargetInfo*> find(std::string_view name);
Result<const TargetInfo*> find_filter(std::string_view name);

} // namespace ublk::targets

#endif
