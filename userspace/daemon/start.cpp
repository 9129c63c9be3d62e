// SPDX-License-Identifier: GPL-2.0-or-later
// What the process that the user has called and the server have to tell each other at the start.
#include "start.h"

#include <cerrno>
#include <chrono>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "device_node.h"
#include "file.h"
#include "launch.h"
#include "output.h"
#include "process.h"
#include "report.h"
#include "state.h"

namespace ublk::daemon {

namespace {

// All of it together; each step of the library has a shorter limit of its own.
constexpr std::chrono::seconds start_limit{45};
constexpr std::chrono::seconds node_limit{10};

// What a server does to the device that it gets.
enum class Start { adds, takes_over };

// The server's messages go to a file beside its record once it has no terminal any more. What the
// device's last server has said stays there.
Result<void> redirect_log(const Paths& paths, int number, Start start) {
    const std::string path = StateDirectory(paths).log(number);
    const int fresh = start == Start::adds ? O_TRUNC : 0;
    UniqueFd log{
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | fresh, 0644)};
    if (!log || ::dup2(log.get(), STDERR_FILENO) < 0)
        return Error{errno, "log to " + path, "remove what lies in its place"};
    return {};
}

// A device that waits for its server is worth more than what that has to say. The caller is told,
// whose standard error must not be kept open.
void serve_without_log(const Error& error) {
    print_error_line(error_line("recover", error));
    const UniqueFd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    ::dup2(null.get(), STDERR_FILENO);
}

// The log goes with the device, and who deletes that does not see it: the kernel's log stays.
void tell_survivors(const Error& error) {
    const std::string line = error_line("serve", error) + "\n";
    print_error_line(line.substr(0, line.size() - 1));
    static_cast<void>(write_value("/dev/kmsg", "<3>" + line));
}

// Fails when the reader has gone or the disk is full.
Result<void> print_ready(const Ready& ready, const Context& context) {
    const std::string path = context.paths.block_node(ready.number);
    if (context.json)
        print_json({{"device", path},
                    {"id", ready.number},
                    {"target", ready.target},
                    {"size", ready.size_bytes},
                    {"pid", ready.server}});
    else
        print(path + "\n");
    return flush_output();
}

Result<void> wait_until_usable(const Ready& ready, const Context& context) {
    return wait_for_device_node(context.paths, ready, Clock::now() + node_limit);
}

Result<Launched> launch_service(const Service& service, const Context& context, Start start) {
    const Deadline deadline = Clock::now() + start_limit;
    const auto serve_in_child = [&](const Launcher& launcher) {
        bool has_log = false;
        const auto announce = [&](const Ready& ready) -> Result<void> {
            auto redirected = redirect_log(context.paths, ready.number, start);
            has_log = redirected.ok();
            if (!redirected && start == Start::adds)
                return redirected;
            if (!redirected)
                serve_without_log(redirected.error());
            return launcher.report_ready(ready, deadline);
        };
        auto served = without_exceptions([&] { return service(announce); });
        if (!served && has_log)
            tell_survivors(served.error());
        else if (!served)
            launcher.report_error(served.error());
    };
    return launch(serve_in_child, deadline, start == Start::adds ? Late::ends : Late::killed);
}

} // namespace

Result<void> start_here(const Service& service, const Context& context) {
    return service([&](const Ready& ready) -> Result<void> {
        auto usable = wait_until_usable(ready, context);
        return usable ? print_ready(ready, context) : usable;
    });
}

Result<void> start_behind(const Service& service, const Context& context) {
    auto server = launch_service(service, context, Start::adds);
    if (!server)
        return server.error();
    if (auto usable = wait_until_usable(server->ready(), context); !usable)
        return usable;
    // Opening a disk whose partitions are read lasts as long as its server takes, or lives.
    if (auto alive = server->confirm(); !alive)
        return alive;
    if (auto printed = print_ready(server->ready(), context); !printed)
        return printed;
    server->accept();
    return {};
}

Result<void> take_over_behind(const Service& service, const Context& context) {
    auto server = launch_service(service, context, Start::takes_over);
    if (!server)
        return server.error();
    server->accept();
    return print_ready(server->ready(), context);
}

} // namespace ublk::daemon
