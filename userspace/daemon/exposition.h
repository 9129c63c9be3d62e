// SPDX-License-Identifier: GPL-2.0-or-later
// What servers have counted, as JSON, as a table, and as Prometheus reads it: in version 0.0.4 of
// its text-based exposition format.
#ifndef UBLKD_EXPOSITION_H
#define UBLKD_EXPOSITION_H

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "server_commands.h"

namespace ublk::daemon {

struct CountedDevice {
    int number = -1; // N of /dev/ublkbN
    std::string target{};
    std::optional<Counts> counts{}; // none: its server did not answer
};

// One family of samples after the other, each with its help and type, labels `dev`, `op`, `layer`.
std::string prometheus_text(const std::vector<CountedDevice>& devices);

// Of a device with counts.
nlohmann::ordered_json counts_json(const CountedDevice& device);
std::string counts_table(const std::vector<CountedDevice>& devices);

} // namespace ublk::daemon

#endif
