// SPDX-License-Identifier: GPL-2.0-or-later
// Puts the driver's and our own knowledge of a device together.
#include "device.h"

#include <cerrno>

#include <nlohmann/json.hpp>

#include "process.h"

namespace ublk::daemon {

// A record left by a server that was killed says nothing about a later device of the same number.
static bool belongs_to(const ServerRecord& record, const Paths& paths, const DeviceInfo& info) {
    if (info.server > 0)
        return record.server.pid == info.server;
    return record.server != identify_process(paths, record.server.pid);
}

Result<DeviceInfo> find_device(Control& control, int number) {
    auto info = control.info(number);
    if (info || info.error().code != ENODEV)
        return info;
    Error error = info.error();
    error.hint = "see ublkd list";
    return error;
}

Device describe_device(const Paths& paths, Control& control, const DeviceInfo& info) {
    Device device;
    device.info = info;
    if (auto geometry = control.geometry(info.number); geometry && geometry->size_bytes)
        device.geometry = *geometry;
    auto record = StateDirectory(paths).read(info.number);
    if (record && *record && belongs_to(**record, paths, info))
        device.record = **record;
    device.server_alive = info.server > 0 && ProcessHandle(info.server).alive();
    return device;
}

std::string device_state(const Device& device) {
    if (device.info.server > 0 && !device.server_alive)
        return "orphaned";
    return std::string(name_of(device.info.state));
}

nlohmann::ordered_json summary_json(const Device& device) {
    nlohmann::ordered_json json{{"device", block_device_path(device.info.number)},
                                {"id", device.info.number},
                                {"target", nullptr},
                                {"size", nullptr},
                                {"state", device_state(device)},
                                {"pid", nullptr}};
    if (device.record)
        json["target"] = device.record->target;
    if (device.geometry)
        json["size"] = device.geometry->size_bytes;
    if (device.info.server > 0)
        json["pid"] = device.info.server;
    return json;
}

} // namespace ublk::daemon
