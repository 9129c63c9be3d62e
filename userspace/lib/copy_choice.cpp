// SPDX-License-Identifier: MIT
// The modes, what they need, and which is preferred.
#include "copy_choice.h"

#include <array>
#include <cerrno>

#include <ublk/control.h>

#include "uapi.h"

namespace ublk {

namespace {

constexpr std::array modes{CopyMode::automatic, CopyMode::driver, CopyMode::user, CopyMode::zero};

// The first feature that the mode needs and the driver lacks; empty: none.
std::string missing_feature(CopyMode mode, std::uint64_t available) {
    const std::uint64_t missing = features_of(mode) & ~available;
    for (const FeatureName& feature : feature_names())
        if (missing & feature.bit)
            return std::string{feature.name};
    return {};
}

bool hands_data_on(const Target& target) { return target.data_access() == DataAccess::ring; }

Result<CopyChoice> grant(CopyMode wanted, std::uint64_t available, const Target& target) {
    const std::string step = "copy mode '" + std::string{name_of(wanted)} + "'";
    if (const std::string missing = missing_feature(wanted, available); !missing.empty())
        return Error{EOPNOTSUPP, step,
                     "the driver lacks " + missing + "; --copy=auto takes what it has",
                     ErrorKind::driver};
    if (wanted == CopyMode::zero && !hands_data_on(target))
        return Error{EINVAL, step, "this target needs the data in its own memory; use --copy=auto",
                     ErrorKind::usage};
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
    case CopyMode::zero:
        return "zero";
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
    if (features & (UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG))
        return CopyMode::zero;
    return features & UBLK_F_USER_COPY ? CopyMode::user : CopyMode::driver;
}

std::uint64_t features_of(CopyMode mode) {
    switch (mode) {
    case CopyMode::user:
        return UBLK_F_USER_COPY;
    case CopyMode::zero:
        return UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG;
    case CopyMode::automatic:
    case CopyMode::driver:
        break;
    }
    return 0;
}

// Zero copy saves most where it can be had. User copy is not preferred to the driver's: for a
// request that the server keeps in a buffer it costs a submission more and saves no copy.
Result<CopyChoice> choose_copy_mode(CopyMode wanted, std::uint64_t available,
                                    const Target& target) {
    if (wanted != CopyMode::automatic)
        return grant(wanted, available, target);
    if (!hands_data_on(target))
        return CopyChoice{CopyMode::driver, "the target needs the data in its own memory"};
    if (const std::string missing = missing_feature(CopyMode::zero, available); !missing.empty())
        return CopyChoice{CopyMode::driver, "the driver lacks " + missing};
    return CopyChoice{CopyMode::zero, "the best that driver and target have"};
}

} // namespace ublk
