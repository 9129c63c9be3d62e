// SPDX-License-Identifier: GPL-2.0-or-later
// Compares what the driver has with who is alive and with our records.
#include "leftovers.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include <fmt/format.h>
#include <sys/stat.h>
#include <ublk/recovery.h>

#include "device.h"
#include "removal.h"
#include "state.h"

namespace ublk::daemon {

namespace {

// The node is made with the device.
bool is_new(const Paths& paths, int number) {
    struct stat node {};
    if (::stat(fmt::format("{}/ublkc{}", paths.dev, number).c_str(), &node) < 0)
        return false;
    return std::time(nullptr) - node.st_ctime < about_to_be_served.count();
}

bool has_died(const Paths& paths, const ProcessIdentity& server) {
    return identify_process(paths, server.pid) != server;
}

// Empty if the device is none.
std::string why_left_over(const Paths& paths, const DeviceInfo& info) {
    if (server_is_alive(paths, info))
        return {};
    const bool waits =
        info.state != DeviceState::dead && recovery_of(info.features) != Recovery::off;
    if (waits)
        return {};
    // The driver forgets the server of a device whose disk has gone with it.
    pid_t server = info.server;
    if (const auto record = record_of(paths, info); record && has_died(paths, record->server))
        server = record->server.pid;
    if (server > 0)
        return fmt::format("its server {} has died", server);
    if (is_new(paths, info.number))
        return {};
    return "it has no server, and no disk";
}

std::string why_left_over(const Paths& paths, const ServerRecord& record) {
    if (!has_died(paths, record.server))
        return {};
    return fmt::format("a record of server {}, which has died, as has the device",
                       record.server.pid);
}

Result<void> remove_record(const Paths& paths, Control& control, int number) {
    const StateDirectory state(paths);
    auto record = state.read(number);
    if (!record)
        return record.error();
    // Whoever has made a device of this number since has replaced the record, or will.
    if (*record && !control.info(number) && !why_left_over(paths, **record).empty())
        state.remove(number, (*record)->server);
    return {};
}

} // namespace

Result<std::vector<Leftover>> find_leftovers(const Paths& paths, Control& control) {
    // Before the devices: a record of one that is made meanwhile is not seen.
    const StateDirectory state(paths);
    const std::vector<int> records = state.numbers();
    auto list = control.list();
    if (!list)
        return list.error();
    std::vector<Leftover> found;
    for (const DeviceInfo& info : list->devices)
        if (std::string why = why_left_over(paths, info); !why.empty())
            found.push_back({Leftover::Kind::device, info.number, std::move(why)});
    for (const int number : records) {
        if (auto info = control.info(number); info || info.error().code != ENODEV)
            continue;
        const auto record = state.read(number);
        if (!record || !*record)
            continue;
        if (std::string why = why_left_over(paths, **record); !why.empty())
            found.push_back({Leftover::Kind::record, number, std::move(why)});
    }
    std::sort(found.begin(), found.end(),
              [](const Leftover& a, const Leftover& b) { return a.number < b.number; });
    return found;
}

Result<void> remove_leftover(const Paths& paths, Control& control, const Leftover& leftover) {
    if (leftover.kind == Leftover::Kind::record)
        return remove_record(paths, control, leftover.number);
    const auto info = control.info(leftover.number);
    if (!info)
        return info.error().code == ENODEV ? Result<void>{} : Result<void>{info.error()};
    if (why_left_over(paths, *info).empty())
        return {};
    return remove_device(paths, control, leftover.number, Force::no);
}

} // namespace ublk::daemon
