// SPDX-License-Identifier: MIT
// The modes, what they need, and which is preferred.
#include "copy_choice.h"

#include <array>
#include <cerrno>

#include <ublk/control.h>

#include "uapi.h"

namespace ublk {

namespace {

constexpr std::array modes{CopyMode::automatic, CopyMode::driver, CopyMode::user};

// The first feature that the mode needs and the driver lacks; empty: none.
std::string missing_feature(CopyMode mode, std::uint64_t available) {
    const std::uint64_t missing = features_of(mode) & ~available;
    for (const FeatureName& feature : feature_names())
        if (missing & feature.bit)
            return std::string{feature.name};
    return {};
}

Result<CopyChoice> grant(CopyMode wanted, std::uint64_t available) {
    if (const std::string missing = missing_feature(wanted, available); !missing.empty())
        return Error{EOPNOTSUPP, "copy mode '" + std::string{name_of(wanted)} + "'",
                     "the driver lacks " + missing + "; --copy=auto takes what it has",
                     ErrorKind::driver};
    return CopyChoice{wanted, "asked for"};
}

} // namespace

std::string_view name_of(CopyMode mode) {
    switch (mode) {
    case CopyMode::automatic:
        return "auto";
    case CopyMode::driver:
        return "driver";
    case CopyMode::user:
        return "user";
    }
    return "unknown";
}

Result<CopyMode> parse_copy_mode(std::string_view text) {
    std::string names;
    for (CopyMode mode : modes) {
        if (name_of(mode) == text)
            return mode;
        names.append(names.empty() ? "" : ", ").append(name_of(mode));
    }
    return Error{EINVAL, "copy mode '" + std::string{text} + "'", "use one of: " + names,
                 ErrorKind::usage};
}

CopyMode copy_mode_of(std::uint64_t features) {
    return features & UBLK_F_USER_COPY ? CopyMode::user : CopyMode::driver;
}

std::uint64_t features_of(CopyMode mode) {
    switch (mode) {
    case CopyMode::user:
        return UBLK_F_USER_COPY;
    case CopyMode::automatic:
    case CopyMode::driver:
        break;
    }
    return 0;
}

// User copy is not preferred to the driver's: for a request that the server keeps in a buffer it
// costs a submission more and saves no copy.
Result<CopyChoice> choose_copy_mode(CopyMode wanted, std::uint64_t available) {
    if (wanted != CopyMode::automatic)
        return grant(wanted, available);
    return CopyChoice{CopyMode::driver, "the best that the driver has"};
}

} // namespace ublk
