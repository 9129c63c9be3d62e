// SPDX-License-Identifier: GPL-2.0-or-later
// Puts the driver's and our own knowledge of a device together.
#include "device.h"

#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ublk/recovery.h>

#include "process.h"
#include "stuck.h"

namespace ublk::daemon {

std::optional<ServerRecord> record_of(const Paths& paths, const DeviceInfo& info) {
    auto record = StateDirectory(paths).read(info.number);
    if (!record || !*record || (*record)->mark != info.mark)
        return std::nullopt;
    return **record;
}

Result<DeviceInfo> find_device(Control& control, int number) {
    auto info = control.info(number);
    if (info || info.error().code != ENODEV)
        return info;
    Error error = info.error();
    error.hint = "see ublkd list";
    return error;
}

bool server_is_alive(const Paths& paths, const DeviceInfo& info) {
    // Taken before the look at the process, so that it cannot be replaced in between.
    const ProcessHandle server(info.server);
    if (info.server <= 0 || !server.alive())
        return false;
    const auto record = record_of(paths, info);
    return !record || record->server.pid != info.server ||
           identify_process(paths, info.server) == record->server;
}

Error blame_server(const Paths& paths, const DeviceInfo& info, Error error) {
    if (error.code != ETIMEDOUT || info.server <= 0)
        return error;
    if (!server_is_alive(paths, info))
        error.hint = fmt::format("server {} has died; see ublkd list", info.server);
    else if (const std::string reason = what_keeps(paths, info.server); !reason.empty())
        error.hint = reason;
    else if (error.hint.empty())
        error.hint = fmt::format("server {} runs and does not answer; its log is {}, and ublkd del "
                                 "--force {} ends it",
                                 info.server, StateDirectory(paths).log(info.number), info.number);
    return error;
}

Device describe_device(const Paths& paths, Control& control, const DeviceInfo& info) {
    Device device;
    device.info = info;
    if (auto geometry = control.geometry(info.number); geometry && geometry->size_bytes)
        device.geometry = *geometry;
    device.record = record_of(paths, info);
    device.server_alive = server_is_alive(paths, info);
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
                                {"name", nullptr},
                                {"target", nullptr},
                                {"size", nullptr},
                                {"state", device_state(device)},
                                {"recovery", name_of(recovery_of(device.info.features))},
                                {"pid", nullptr}};
    if (device.record)
        json["target"] = device.record->target;
    if (device.record && !device.record->name.empty())
        json["name"] = device.record->name;
    if (device.geometry)
        json["size"] = device.geometry->size_bytes;
    if (device.info.server > 0)
        json["pid"] = device.info.server;
    return json;
}

} // namespace ublk::daemon
