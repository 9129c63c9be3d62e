// SPDX-License-Identifier: GPL-2.0-or-later
// Commands as JSON, and what the answers mean.
#include "server_commands.h"

#include <cerrno>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "device.h"
#include "serve.h"
#include "server_socket.h"

namespace ublk::daemon {

using nlohmann::json;

namespace {

json encode(const SizeRequest& request) {
    return {{"bytes", request.bytes ? json(*request.bytes) : json{}},
            {"may_shrink", request.may_shrink}};
}

Reply decode_reply(const json& packed) {
    Reply reply;
    for (const json& line : packed)
        reply.emplace_back(line.at(0).get<std::string>(), line.at(1).get<std::string>());
    return reply;
}

Counts decode_counts(const json& packed) {
    Counts counts;
    Statistics& statistics = counts.statistics;
    statistics.rejected = packed.at("rejected").get<std::uint64_t>();
    statistics.contract_violations = packed.at("contract_violations").get<std::uint64_t>();
    statistics.refused_answers = packed.at("refused_answers").get<std::uint64_t>();
    statistics.frame_heap_allocations = packed.at("frame_heap_allocations").get<std::uint64_t>();
    const json& operations = packed.at("operations");
    for (std::size_t op = 0; op < statistics.operations.size(); ++op) {
        const json& one = operations.at(op);
        statistics.operations.at(op) = {.requests = one.at(0).get<std::uint64_t>(),
                                        .bytes = one.at(1).get<std::uint64_t>(),
                                        .errors = one.at(2).get<std::uint64_t>()};
        statistics.requests += statistics.operations.at(op).requests;
    }
    for (const json& count : packed.at("layers"))
        counts.layers.push_back({count.at(0).get<std::string>(), count.at(1).get<std::string>(),
                                 count.at(2).get<std::uint64_t>()});
    return counts;
}

ServerStatus decode_status(const json& packed) {
    ServerStatus status;
    if (!packed.at("direct").is_null())
        status.direct = packed.at("direct").get<bool>();
    status.remarks = packed.at("remarks").get<std::vector<std::string>>();
    status.short_for_seconds = packed.at("short_for_seconds").get<std::uint64_t>();
    return status;
}

template <class Value>
Result<Value> ask(const Asked& asked, const char* what, const json& request,
                  Value (*decode)(const json&)) {
    const json command{{"mark", asked.device.mark}, {what, request}};
    auto answer = send_command(asked.state, asked.device.number, command, asked.deadline);
    if (!answer)
        return answer.error();
    try {
        return decode(*answer);
    } catch (const json::exception&) {
        return Error{EBADMSG, "understand the server's answer",
                     "it is of another version; ublkd quiesce and ublkd recover replace it"};
    }
}

Resized decode_resized(const json& packed) {
    return {packed.at("before").get<std::uint64_t>(), packed.at("after").get<std::uint64_t>()};
}

} // namespace

Result<Resized> ask_to_resize(const Asked& asked, const SizeRequest& request) {
    return ask(asked, "resize", encode(request), decode_resized);
}

Result<Reply> ask_for_settings(const Asked& asked, const std::string& layer,
                               const std::vector<std::string>& words) {
    return ask(asked, "settings", {{"layer", layer}, {"words", words}}, decode_reply);
}

Result<Reply> ask_command(const Asked& asked, const std::string& layer, const std::string& name,
                          const std::vector<std::string>& words) {
    return ask(asked, "command", {{"layer", layer}, {"name", name}, {"words", words}},
               decode_reply);
}

Result<Counts> ask_for_counts(const Asked& asked) {
    return ask(asked, "counts", json::object(), decode_counts);
}

Result<ServerStatus> ask_for_status(const Asked& asked) {
    return ask(asked, "status", json::object(), decode_status);
}

Result<void> check_answerable(const Paths& paths, const DeviceInfo& info, std::string_view what) {
    const std::string step = fmt::format("{} {}", what, block_device_path(info.number));
    if (info.state == DeviceState::quiesced || info.state == DeviceState::fail_io)
        return Error{EAGAIN, step, "it has no server now; ublkd recover brings one"};
    if (!record_of(paths, info))
        return Error{EOPNOTSUPP, step,
                     fmt::format("it is served by {}; do that with that program",
                                 describe_server(paths, info))};
    return {};
}

Error explain_silence(const Paths& paths, const DeviceInfo& info, std::string_view what,
                      Error error) {
    const bool deaf = (error.code == ECONNREFUSED || error.code == ENOENT) &&
                      error.kind == ErrorKind::system && error.step.starts_with("connect to ");
    if (deaf)
        error = Error{EAGAIN, fmt::format("{} {}", what, block_device_path(info.number)),
                      "its server does not answer; is it still alive? see ublkd list"};
    return blame_server(paths, info, std::move(error));
}

} // namespace ublk::daemon
