// SPDX-License-Identifier: GPL-2.0-or-later
// Runs a target as a device in this process.
#include "serve.h"

#include <cerrno>
#include <ctime>

#include <fmt/format.h>
#include <ublk/control.h>
#include <unistd.h>

#include "mounts.h"
#include "process.h"
#include "state.h"

namespace ublk::daemon {

std::string describe_server(const Paths& paths, const DeviceInfo& info) {
    std::string text = info.server > 0 ? fmt::format("process {} ({})", info.server,
                                                     process_name(paths, info.server))
                                       : "no process";
    auto record = StateDirectory(paths).read(info.number);
    if (record && *record)
        text += fmt::format(", target {}", (*record)->target);
    return text;
}

static Result<void> check_number_is_free(const Paths& paths, int number) {
    auto control = Control::open();
    if (!control)
        return control.error();
    auto info = control->info(number);
    if (info)
        return Error{EEXIST,
                     fmt::format("{}: served by {}", block_device_path(number),
                                 describe_server(paths, *info)),
                     "leave --number out to get a free one"};
    // Whatever else is wrong shows when the device is added.
    return {};
}

static ServerRecord make_record(const ServeRequest& request, const Paths& paths,
                                const Server& server) {
    return {server.info().number, std::string(request.target->name),
            request.options,      identify_process(paths, ::getpid()),
            std::time(nullptr),   server.copy()};
}

static Result<void> bring_up_and_run(const ServeRequest& request, const Paths& paths,
                                     std::unique_ptr<Target> target, const Announce& announce) {
    const std::uint64_t size = target->geometry().size_bytes;
    auto server = Server::start(std::move(target), request.server);
    if (!server)
        return server.error();

    const StateDirectory state(paths);
    const int number = server->info().number;
    const ServerRecord record = make_record(request, paths, *server);
    auto result = state.write(record);
    if (result)
        result = announce({number, size, record.server.pid});
    if (!result)
        static_cast<void>(server->stop()); // the first error is the one to tell
    else if (auto end = server->run(); !end)
        result = end.error();
    state.remove(number, record.server);
    return result;
}

Result<void> serve(const ServeRequest& request, const Paths& paths, const Announce& announce) {
    auto target = request.target->create(request.values, request.geometry);
    if (!target)
        return target.error();
    if (auto created = StateDirectory(paths).create(); !created)
        return created;
    if (request.server.number >= 0)
        if (auto available = check_number_is_free(paths, request.server.number); !available)
            return available;

    // The target has opened its files by their names; from here on only system paths are needed.
    if (auto left = leave_mount_namespace(paths); !left)
        return left;
    if (::chdir("/") < 0)
        return Error{errno, "chdir to /"};
    return bring_up_and_run(request, paths, *std::move(target), announce);
}

} // namespace ublk::daemon
