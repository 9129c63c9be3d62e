// SPDX-License-Identifier: GPL-2.0-or-later
// The lines of /proc/PID/mountinfo.
#ifndef UBLKD_MOUNTINFO_H
#define UBLKD_MOUNTINFO_H

#include <string>
#include <string_view>
#include <vector>

namespace ublk::daemon {

struct Mount {
    std::string device; // MAJOR:MINOR, anonymous for btrfs and overlays
    std::string point;
    std::string source;
};

// In the order of mounting. Escapes such as \040 are resolved.
std::vector<Mount> parse_mountinfo(std::string_view text);

} // namespace ublk::daemon

#endif
