// SPDX-License-Identifier: MIT
// The kinds of recovery in the driver's terms.
#include "recovery_choice.h"

#include <array>
#include <cerrno>
#include <string>

#include "driver_features.h"
#include "uapi.h"

namespace ublk {

namespace {

constexpr std::array kinds{Recovery::off, Recovery::queue, Recovery::reissue, Recovery::fail};

std::uint64_t features_of(Recovery recovery) {
    switch (recovery) {
    case Recovery::off:
        break;
    case Recovery::queue:
        return UBLK_F_USER_RECOVERY;
    case Recovery::reissue:
        return UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE;
    case Recovery::fail:
        return UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_FAIL_IO;
    }
    return 0;
}

// Why no server can take over from one of this target's; nullptr: one can.
const char* obstacle_to(Recovery wanted, const Target& target) {
    switch (target.persistence()) {
    case Persistence::process:
        return "what this target stores goes with its server, so no other can take over";
    case Persistence::flushed:
        return "what is not flushed goes with its server, so no other can take over";
    case Persistence::backing:
        break;
    }
    // What was done moved a write pointer: doing it again fails, or leaves it there twice.
    if (wanted == Recovery::reissue && target.geometry().is_zoned())
        return "zones are not written twice; use queue or fail";
    return nullptr;
}

} // namespace

std::string_view name_of(Recovery recovery) {
    switch (recovery) {
    case Recovery::off:
        return "off";
    case Recovery::queue:
        return "queue";
    case Recovery::reissue:
        return "reissue";
    case Recovery::fail:
        return "fail";
    }
    return "unknown";
}

Result<Recovery> parse_recovery(std::string_view text) {
    std::string names;
    for (Recovery kind : kinds) {
        if (name_of(kind) == text)
            return kind;
        names.append(names.empty() ? "" : ", ").append(name_of(kind));
    }
    return Error{EINVAL, "recovery '" + std::string{text} + "'", "use one of: " + names,
                 ErrorKind::usage};
}

Recovery recovery_of(std::uint64_t features) {
    if (!(features & UBLK_F_USER_RECOVERY))
        return Recovery::off;
    if (features & UBLK_F_USER_RECOVERY_FAIL_IO)
        return Recovery::fail;
    return features & UBLK_F_USER_RECOVERY_REISSUE ? Recovery::reissue : Recovery::queue;
}

Result<std::uint64_t> choose_recovery(Recovery wanted, std::uint64_t available,
                                      const Target& target) {
    if (wanted == Recovery::off)
        return std::uint64_t{0};
    const std::string step = "recovery '" + std::string{name_of(wanted)} + "'";
    if (const char* obstacle = obstacle_to(wanted, target))
        return Error{EINVAL, step, obstacle, ErrorKind::usage};
    if (Result<void> can = check_features(step, features_of(wanted), available, ours_has_it); !can)
        return can.error();
    return features_of(wanted) | (available & UBLK_F_QUIESCE);
}

} // namespace ublk
