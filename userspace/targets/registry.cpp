// SPDX-License-Identifier: GPL-2.0-or-later
// Looks targets up in the lists that CMake wrote.
#include "registry.h"

#include <array>
#include <cerrno>
#include <string>

namespace ublk::targets {

#define UBLK_TARGET(name) extern const TargetInfo name##_info;
#include <targets.inc>
#undef UBLK_TARGET

static const std::array built{
#define UBLK_TARGET(name) &name##_info,
#include <targets.inc>
#undef UBLK_TARGET
};

// Ends with an entry of its own, as a list of none would have no type.
static constexpr std::array left_out{
#define UBLK_MISSING_TARGET(name, reason) MissingTarget{name, reason},
#include <missing_targets.inc>
#undef UBLK_MISSING_TARGET
    MissingTarget{"", ""},
};

std::span<const TargetInfo* const> all() { return built; }

std::span<const MissingTarget> missing() { return std::span(left_out).first(left_out.size() - 1); }

Result<const TargetInfo*> find(std::string_view name) {
    std::string names;
    for (const TargetInfo* target : all()) {
        if (target->name == name)
            return target;
        names.append(names.empty() ? "" : ", ").append(target->name);
    }
    const std::string step = "target '" + std::string(name) + "'";
    for (const MissingTarget& target : missing())
        if (target.name == name)
            return Error{ENOENT, step, "left out of this build: " + std::string(target.reason)};
    return Error{ENOENT, step, "targets: " + names};
}

} // namespace ublk::targets
