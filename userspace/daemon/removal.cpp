// SPDX-License-Identifier: GPL-2.0-or-later
// Stops and deletes a device. A server of ours is asked to do it, since it deletes the device while
// it still owns the number; the driver is asked for other and for dead servers.
#include "removal.h"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <ublk/unique_fd.h>

#include "device.h"
#include "holders.h"
#include "node.h"
#include "process.h"
#include "state.h"
#include "stuck.h"
#include "throttle.h"

namespace ublk::daemon {

namespace {

constexpr std::chrono::seconds server_limit{20};
constexpr std::chrono::seconds forced_server_limit{12}; // above what a server waits for by itself
constexpr std::chrono::seconds kill_limit{5};
constexpr std::chrono::seconds claim_limit{2};
constexpr std::chrono::seconds probe_limit{15}; // for what udev runs on a busy machine

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
    for (;;) {
        if (auto holders = find_lasting_holders(paths, info.number, limit); !holders.empty())
            return busy(info.number, holders, "use --force");
        // Opening a device whose server has died may wait for that server.
        if (info.state != DeviceState::live || !ProcessHandle(info.server).alive())
            return UniqueFd{};
        auto claim = open_exclusively(paths, info.number);
        // Whom udev sends may want it for himself, too, and come at any time.
        if (claim || claim.error().code != EBUSY || Clock::now() > limit)
            return claim;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
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

// Asks the server to stop its device. A claim on that delays its end, so it is given up as soon as
// nobody can open the device any more.
Result<void> end_server(const Paths& paths, const ProcessHandle& server, const ServerRecord& record,
                        UniqueFd claim, Force force) {
    server.send(SIGTERM);
    if (claim)
        static_cast<void>(wait_for_node_removal(paths, record.number, Clock::now() + claim_limit));
    claim = UniqueFd{};
    const auto limit = force == Force::yes ? forced_server_limit : server_limit;
    if (server.wait_until_gone(Clock::now() + limit))
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

// Users of a device that is deleted by force keep its number taken until they let go; waiting for
// that would take for ever.
Result<void> remove_by_driver(Control& control, int number, UniqueFd claim, Force force) {
    auto stopped = allow_missing(control.stop(number));
    claim = UniqueFd{};
    if (!stopped)
        return stopped;
    if (force == Force::no)
        return allow_missing(control.remove(number));
    auto removed = allow_missing(control.remove_without_waiting(number));
    return !removed && removed.error().code == EOPNOTSUPP ? control.remove(number) : removed;
}

// The driver knows better than any look at processes whether somebody has it open, but not who.
// Whom udev has sent, which are nobody's, are waited for.
Result<void> stop_unless_used(const Paths& paths, Control& control, int number) {
    const Deadline limit = Clock::now() + probe_limit;
    for (;;) {
        auto stopped = control.stop_unless_open(number);
        if (stopped || stopped.error().code != EBUSY)
            return stopped;
        if (auto holders = find_lasting_holders(paths, number, limit); !holders.empty())
            return busy(number, holders, "leave --safe out");
        if (Clock::now() > limit)
            return stopped;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

} // namespace

Result<void> remove_device(const Paths& paths, Control& control, int number, Force force) {
    const StateDirectory state(paths);
    auto read = state.read(number);
    const auto record = read ? *read : std::nullopt;
    auto server = running_server(paths, record);

    auto info = find_device(control, number);
    if (!info) {
        if (record && !server)
            state.remove(number, record->server);
        return info.error();
    }

    if (force == Force::yes)
        lift_limits(paths, number);
    UniqueFd claim;
    if (force == Force::no) {
        auto unused = claim_unused(paths, *info);
        if (!unused)
            return unused.error();
        claim = *std::move(unused);
    }
    if (server) {
        if (auto ended = end_server(paths, *server, *record, std::exchange(claim, {}), force);
            !ended)
            return ended;
        info = control.info(number);
    }
    // A server that was asked has deleted its device; the number may be another's already. One that
    // was killed while it stopped its device left a live one without a server.
    const bool still_there = info && (!server || info->server == record->server.pid ||
                                      info->server <= 0 || info->state == DeviceState::dead);
    if (still_there)
        if (auto removed = remove_by_driver(control, number, std::exchange(claim, {}), force);
            !removed)
            return removed;
    // A damaged record belongs to no server and goes, too.
    if (record || !read)
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
    auto stopped = allow_missing(how == Stop::safely ? stop_unless_used(paths, control, number)
                                                     : control.stop(number));
    if (!stopped || !record)
        return stopped;
    if (!server) {
        auto removed = allow_missing(control.remove_without_waiting(number));
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
