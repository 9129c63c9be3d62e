// SPDX-License-Identifier: GPL-2.0-or-later
// One existing device: what the driver says, and what our records add to it.
#ifndef UBLKD_DEVICE_H
#define UBLKD_DEVICE_H

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>
#include <ublk/control.h>

#include "paths.h"
#include "state.h"

namespace ublk::daemon {

struct Device {
    DeviceInfo info{};
    std::optional<Geometry> geometry{};   // none before its server has set it
    std::optional<ServerRecord> record{}; // none for a device that another program serves
    bool server_alive = false;
};

// The driver's answer, with a hint for a device that does not exist.
Result<DeviceInfo> find_device(Control& control, int number);

// Nothing for a device that another program made, or if the record cannot be read. One left by a
// server that was killed says nothing about a later device of the same number.
std::optional<ServerRecord> record_of(const Paths& paths, const DeviceInfo& info);

// Whether the process that the driver names still is the one that came to serve. Where we have a
// record of that it is not taken for a later process of the same number.
bool server_is_alive(const Paths& paths, const DeviceInfo& info);

// Of a server that did not do something in time, the error says why, as far as its process shows.
Error blame_server(const Paths& paths, const DeviceInfo& info, Error error);

Device describe_device(const Paths& paths, Control& control, const DeviceInfo& info);

// The driver's state, or "orphaned" for a device whose server has died.
std::string device_state(const Device& device);

nlohmann::ordered_json summary_json(const Device& device);

} // namespace ublk::daemon

#endif
