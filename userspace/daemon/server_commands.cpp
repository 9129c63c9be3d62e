// SPDX-License-Identifier: GPL-2.0-or-later
// Commands and their answers as JSON.
#include "server_commands.h"

#include <cerrno>

#include <nlohmann/json.hpp>

#include "server_socket.h"

namespace ublk::daemon {

using nlohmann::json;

namespace {

json encode(const SizeRequest& request) {
    return {{"bytes", request.bytes ? json(*request.bytes) : json{}},
            {"may_shrink", request.may_shrink}};
}

SizeRequest decode_size(const json& packed) {
    SizeRequest request;
    if (!packed.at("bytes").is_null())
        request.bytes = packed.at("bytes").get<std::uint64_t>();
    request.may_shrink = packed.at("may_shrink").get<bool>();
    return request;
}

json encode_status(const Server& server) {
    const std::optional<bool> direct = server.target().is_direct();
    return {{"direct", direct ? json(*direct) : json{}},
            {"remarks", server.target().remarks()},
            {"short_for_seconds", server.statistics().short_for_seconds}};
}

ServerStatus decode_status(const json& packed) {
    ServerStatus status;
    if (!packed.at("direct").is_null())
        status.direct = packed.at("direct").get<bool>();
    status.remarks = packed.at("remarks").get<std::vector<std::string>>();
    status.short_for_seconds = packed.at("short_for_seconds").get<std::uint64_t>();
    return status;
}

Result<json> resize(Server& server, const SizeRequest& request) {
    auto resized = server.resize(request);
    if (!resized)
        return resized.error();
    return json{{"before", resized->before}, {"after", resized->after}};
}

} // namespace

Result<Resized> ask_to_resize(const StateDirectory& state, const DeviceInfo& device,
                              const SizeRequest& request, Deadline deadline) {
    const json command{{"mark", device.mark}, {"resize", encode(request)}};
    auto answer = send_command(state, device.number, command, deadline);
    if (!answer)
        return answer.error();
    try {
        return Resized{answer->at("before").get<std::uint64_t>(),
                       answer->at("after").get<std::uint64_t>()};
    } catch (const json::exception&) {
        return Error{EBADMSG, "understand the server's answer"};
    }
}

Result<ServerStatus> ask_for_status(const StateDirectory& state, const DeviceInfo& device,
                                    Deadline deadline) {
    const json command{{"mark", device.mark}, {"status", true}};
    auto answer = send_command(state, device.number, command, deadline);
    if (!answer)
        return answer.error();
    try {
        return decode_status(*answer);
    } catch (const json::exception&) {
        return Error{EBADMSG, "understand the server's answer"};
    }
}

Result<json> execute_command(Server& server, const json& command) {
    try {
        if (command.at("mark") != server.info().mark)
            return Error{ENODEV, "ask the server of " + server.path(),
                         "its number is another device's by now; see ublkd list"};
        if (command.contains("status"))
            return encode_status(server);
        return resize(server, decode_size(command.at("resize")));
    } catch (const json::exception&) {
        return Error{EBADMSG, "understand the command", "is the server of another version?"};
    }
}

} // namespace ublk::daemon
