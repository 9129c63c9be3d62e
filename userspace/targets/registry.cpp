// SPDX-License-Identifier: GPL-2.0-or-later
// Looks targets up in the lists that CMake wrote.
#include "registry.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <string>
#include <vector>

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

namespace {

std::vector<const TargetInfo*> those(bool are_filters) {
    std::vector<const TargetInfo*> found;
    std::copy_if(built.begin(), built.end(), std::back_inserter(found),
                 [&](const TargetInfo* info) { return info->is_filter() == are_filters; });
    return found;
}

Result<const TargetInfo*> find_in(std::span<const TargetInfo* const> list, std::string_view kind,
                                  std::string_view name) {
    std::string names;
    for (const TargetInfo* info : list) {
        if (info->name == name)
            return info;
        names.append(names.empty() ? "" : ", ").append(info->name);
    }
    const std::string step = std::string(kind) + " '" + std::string(name) + "'";
    for (const MissingTarget& target : missing())
        if (target.name == name)
            return Error{ENOENT, step, "left out of this build: " + std::string(target.reason)};
    return Error{ENOENT, step, std::string(kind) + "s: " + names};
}

} // namespace

std::span<const TargetInfo* const> all() {
    static const auto list = those(false);
    return list;
}

std::span<const TargetInfo* const> filters() {
    static const auto list = those(true);
    return list;
}

std::span<const MissingTarget> missing() { return std::span(left_out).first(left_out.size() - 1); }

Result<const TargetInfo*> find(std::string_view name) { return find_in(all(), "target", name); }

Result<const TargetInfo*> find_filter(std::string_view name) {
    return find_in(filters(), "filter", name);
}

} // namespace ublk::targets
