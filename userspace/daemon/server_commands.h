// SPDX-License-Identifier: GPL-2.0-or-later
// What a running server can be asked for: server_commands.cpp asks, answers.cpp is the server.
#ifndef UBLKD_SERVER_COMMANDS_H
#define UBLKD_SERVER_COMMANDS_H

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <ublk/control.h>
#include <ublk/server.h>

#include "device.h"
#include "process.h"
#include "state.h"

namespace ublk::daemon {

// All of them ask the server of this device, and of no other that has got its number.
struct Asked {
    const StateDirectory& state;
    const DeviceInfo& device;
    Deadline deadline;
};

Result<Resized> ask_to_resize(const Asked& asked, const SizeRequest& request);

// The settings of a layer, named as targets::find_layer() takes it, after the words have changed
// them.
Result<Reply> ask_for_settings(const Asked& asked, const std::string& layer,
                               const std::vector<std::string>& words);

// Target::command() of a layer, or if none is named of the outermost that knows it.
Result<Reply> ask_command(const Asked& asked, const std::string& layer, const std::string& name,
                          const std::vector<std::string>& words);

struct LayerCount {
    std::string layer; // its label, as targets::find_layer() takes it
    std::string name;
    std::uint64_t value;
};
struct Counts {
    Statistics statistics{};
    std::vector<LayerCount> layers{};
};
Result<Counts> ask_for_counts(const Asked& asked);

// What only the server knows, as it is by now.
struct ServerStatus {
    std::optional<bool> direct{}; // Target::is_direct()
    std::vector<std::string> remarks{};
    std::uint64_t short_for_seconds = 0; // Statistics::short_for_seconds
};
// EBADMSG from a server that is older than this.
Result<ServerStatus> ask_for_status(const Asked& asked);

// Before a command: whether a server of ours is there to be asked. `what` is the verb.
Result<void> check_answerable(const Paths& paths, const DeviceInfo& info, std::string_view what);
// After it: an error that says why a server does not answer, as far as can be seen.
Error explain_silence(const Paths& paths, const DeviceInfo& info, std::string_view what,
                      Error error);

// Both, and `ask` in between, which gets an Asked and returns a Result.
template <class Ask>
auto ask_server_of(const Paths& paths, const DeviceInfo& info, std::string_view what,
                   std::chrono::seconds limit, Ask&& ask)
    -> std::invoke_result_t<Ask, const Asked&> {
    if (auto can = check_answerable(paths, info, what); !can)
        return can.error();
    const StateDirectory state(paths);
    auto answer = ask(Asked{state, info, Clock::now() + limit});
    if (!answer)
        return explain_silence(paths, info, what, answer.error());
    return answer;
}

// The same for the device of that number.
template <class Ask>
auto ask_server_of(const Paths& paths, int number, std::string_view what,
                   std::chrono::seconds limit, Ask&& ask)
    -> std::invoke_result_t<Ask, const Asked&> {
    auto control = Control::open();
    if (!control)
        return control.error();
    auto info = find_device(*control, number);
    if (!info)
        return info.error();
    return ask_server_of(paths, *info, what, limit, std::forward<Ask>(ask));
}

// What a server of ours serves.
struct Served {
    Server& server;
    const StateDirectory& state;
    ServerRecord& record; // as it is written
    // Those of record.stack(), in the order of targets::layers_of(); nullptr: one that is not
    // there.
    std::vector<Target*> layers;
};

// The server's side of all of them. By the thread that runs the server.
Result<nlohmann::json> execute_command(const Served& served, const nlohmann::json& command);

} // namespace ublk::daemon

#endif
