// SPDX-License-Identifier: GPL-2.0-or-later
// Where the system's trees are, so that tests can point the daemon at a made-up machine.
#ifndef UBLKD_PATHS_H
#define UBLKD_PATHS_H

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace ublk::daemon {

struct Paths {
    std::string dev = "/dev";
    std::string sys = "/sys";
    std::string proc = "/proc";
    std::string state = "/run/ublkd";

    static Paths from_environment() {
        Paths paths;
        // Servers change their directory, and compare this path with those of mounts.
        if (const char* state = std::getenv("UBLKD_STATE_DIR"); state && *state) {
            std::error_code error;
            const auto absolute = std::filesystem::absolute(state, error);
            const auto canonical = std::filesystem::weakly_canonical(absolute, error);
            paths.state = error ? state : canonical.string();
        }
        return paths;
    }

    std::string block_node(int number) const { return dev + "/ublkb" + std::to_string(number); }
    std::string block_sysfs(int number) const {
        return sys + "/block/ublkb" + std::to_string(number);
    }
};

} // namespace ublk::daemon

#endif
