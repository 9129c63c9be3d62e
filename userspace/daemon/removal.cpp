// SPDX-License-Identifier: GPL-2.0-or-later
// Stops and deletes a device. The driver is asked to take the disk away, which is the end of its
// server: one of ours then deletes the device, while it still owns the number. What other and dead
// servers leave is deleted here, unless the number is another device's by then.
#include "removal.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <ublk/retry.h>
#include <ublk/unique_fd.h>

#include "device.h"
#include "holders.h"
#include "process.h"
#include "state.h"
#include "stuck.h"
#include "throttle.h"

namespace ublk::daemon {

namespace {

constexpr std::chrono::seconds server_limit{20};
constexpr std::chrono::seconds forced_server_limit{12}; // above what a server waits for by itself
constexpr std::chrono::seconds kill_limit{5};
constexpr std::chrono::seconds probe_limit{15}; // for what udev runs on a busy machine
// What udev runs is mostly done by then, and to look for users at all processes takes the longer
// the more servers there are.
constexpr std::chrono::milliseconds look_after{100};

// Keeps the device from being mounted, swapped to or stacked upon from now on; fails if it is.
Result<UniqueFd> open_exclusively(const Paths& paths, int number) {
    UniqueFd fd{
        ::open(paths.block_node(number).c_str(), O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC)};
    if (!fd && errno == EBUSY)
        return busy(number, {{"in exclusive use"}}, "use --force");
    // A device that cannot be opened for another reason is not in use either.
    return fd;
}

Result<UniqueFd> claim_unused(const Paths& paths, const DeviceInfo& info) {
    const Deadline limit = Clock::now() + probe_limit;
    std::vector<Holder> holders;
    // Whom udev sends may want it for himself, too, and come at any time.
    auto claim = retry_until(
        limit,
        [&]() -> Result<UniqueFd> {
            holders = find_lasting_holders(paths, info.number, limit);
            // Opening a device whose server has died may wait for that server.
            if (!holders.empty() || info.state != DeviceState::live ||
                !server_is_alive(paths, info))
                return UniqueFd{};
            return open_exclusively(paths, info.number);
        },
        [](const Result<UniqueFd>& result) { return !result && result.error().code == EBUSY; });
    if (!holders.empty())
        return busy(info.number, holders, "use --force");
    return claim;
}

// The process that a record names, unless that has ended.
std::optional<ProcessHandle> running_server(const Paths& paths,
                                            const std::optional<ServerRecord>& record) {
    if (!record)
        return std::nullopt;
    ProcessHandle server(record->server.pid);
    // Looked at after the handle was taken, so a reused pid cannot pass for it.
    if (identify_process(paths, record->server.pid) != record->server || !server.alive())
        return std::nullopt;
    return server;
}

// Its disk was taken away, or will not go without it: then only force helps.
Result<void> wait_for_server(const Paths& paths, const ProcessHandle& server,
                             const ServerRecord& record, const Result<void>& stopped, Force force) {
    const auto limit = force == Force::yes ? forced_server_limit : server_limit;
    if (stopped && server.wait_until_gone(Clock::now() + limit))
        return {};
    if (force == Force::yes) {
        server.send(SIGKILL);
        if (server.wait_until_gone(Clock::now() + kill_limit))
            return {};
    }
    return with_what_keeps(
        Error{ETIMEDOUT,
              fmt::format("server {} of {} does not end", record.server.pid,
                          block_device_path(record.number)),
              force == Force::yes ? "see the kernel log: dmesg" : "--force kills it"},
        paths, record.server.pid);
}

Result<void> allow_missing(Result<void> result) {
    if (!result && (result.error().code == ENODEV || result.error().code == ENOENT))
        return {};
    return result;
}

// Its number may be another device's already.
bool is_gone(Control& control, const DeviceInfo& device) {
    auto now = control.info(device.number);
    return now ? now->mark != device.mark : now.error().code == ENODEV;
}

// Users of a device that is deleted by force keep its number taken until they let go; waiting for
// that would take for ever.
Result<void> remove_by_driver(Control& control, const DeviceInfo& device, Force force) {
    if (is_gone(control, device))
        return {};
    // A server that was killed while its disk was taken away has left it there.
    if (auto stopped = allow_missing(control.stop(device.number)); !stopped)
        return stopped;
    if (is_gone(control, device))
        return {};
    if (force == Force::no)
        return allow_missing(control.remove(device.number));
    auto removed = allow_missing(control.remove_without_waiting(device.number));
    return !removed && removed.error().code == EOPNOTSUPP ? control.remove(device.number) : removed;
}

// The driver knows better than any look at processes whether somebody has it open, but not who.
// Whom udev has sent, which are nobody's, are waited for.
Result<void> stop_unless_used(const Paths& paths, Control& control, int number,
                              std::string_view way_out) {
    const Deadline first_look = Clock::now() + look_after;
    const Deadline limit = Clock::now() + probe_limit;
    std::vector<Holder> holders;
    auto stopped = retry_until(
        limit, [&] { return control.stop_unless_open(number); },
        [&](const Result<void>& result) {
            if (result || result.error().code != EBUSY)
                return false;
            if (Clock::now() < first_look)
                return true;
            holders = find_lasting_holders(paths, number, limit);
            return holders.empty();
        });
    return holders.empty() ? stopped : busy(number, holders, way_out);
}

Result<void> stop_for_removal(const Paths& paths, Control& control, const DeviceInfo& info,
                              Force force) {
    if (force == Force::yes) {
        lift_limits(paths, info.number);
        return allow_missing(control.stop(info.number));
    }
    auto stopped = stop_unless_used(paths, control, info.number, "use --force");
    if (stopped || (stopped.error().code != ENODEV && stopped.error().code != EOPNOTSUPP))
        return stopped;
    // Either the driver does not know, or there is no disk: but users of one that was there, and
    // perhaps a server that waits for it.
    const auto claim = claim_unused(paths, info);
    return claim ? allow_missing(control.stop(info.number)) : claim.error();
}

} // namespace

Result<void> remove_device(const Paths& paths, Control& control, int number, Force force) {
    const StateDirectory state(paths);
    auto info = find_device(control, number);
    auto read = state.read(number);
    const auto record = read ? *read : std::nullopt;
    const auto owner = running_server(paths, record);
    const bool is_of_device = info && record && record->mark == info->mark;
    if (record && !is_of_device && !owner)
        state.remove(number, record->server);
    if (!info)
        return info.error();

    auto stopped = stop_for_removal(paths, control, *info, force);
    if (!stopped && (force == Force::no || !is_of_device || !owner))
        return stopped;
    if (is_of_device && owner)
        if (auto ended = wait_for_server(paths, *owner, *record, stopped, force); !ended)
            return ended;
    if (auto removed = remove_by_driver(control, *info, force); !removed)
        return removed;
    // A damaged record belongs to no server and goes, too.
    if (is_of_device || !read)
        state.remove(number, record ? record->server : ProcessIdentity{});
    return {};
}

Result<void> stop_device(const Paths& paths, Control& control, int number, Stop how) {
    auto info = find_device(control, number);
    if (!info)
        return info.error();
    const auto record = record_of(paths, *info);
    const auto server = running_server(paths, record);
    if (how == Stop::always)
        lift_limits(paths, number);
    auto stopped = allow_missing(how == Stop::safely
                                     ? stop_unless_used(paths, control, number, "leave --safe out")
                                     : control.stop(number));
    if (!stopped || !record)
        return stopped;
    if (!server) {
        auto removed = is_gone(control, *info)
                           ? Result<void>{}
                           : allow_missing(control.remove_without_waiting(number));
        if (removed)
            StateDirectory(paths).remove(number, record->server);
        return removed;
    }
    if (server->wait_until_gone(Clock::now() + server_limit))
        return {};
    return with_what_keeps(Error{ETIMEDOUT,
                                 fmt::format("server {} of {} does not end", record->server.pid,
                                             block_device_path(number)),
                                 "ublkd del --force kills it"},
                           paths, record->server.pid);
}

} // namespace ublk::daemon
