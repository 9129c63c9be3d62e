// SPDX-License-Identifier: GPL-2.0-or-later
// Questions and answers as JSON.
#include "questions.h"

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

} // namespace

Result<Resized> ask_to_resize(const StateDirectory& state, const DeviceInfo& device,
                              const SizeRequest& request, Deadline deadline) {
    const json question{{"mark", device.mark}, {"resize", encode(request)}};
    auto answer = ask_server(state, device.number, question, deadline);
    if (!answer)
        return answer.error();
    try {
        return Resized{answer->at("before").get<std::uint64_t>(),
                       answer->at("after").get<std::uint64_t>()};
    } catch (const json::exception&) {
        return Error{EBADMSG, "understand the server's answer"};
    }
}

Result<json> answer_question(Server& server, const json& question) {
    try {
        if (question.at("mark") != server.info().mark)
            return Error{ENODEV, "resize " + server.path(),
                         "its number is another device's by now; see ublkd list"};
        auto resized = server.resize(decode_size(question.at("resize")));
        if (!resized)
            return resized.error();
        return json{{"before", resized->before}, {"after", resized->after}};
    } catch (const json::exception&) {
        return Error{EBADMSG, "understand the question", "is the server of another version?"};
    }
}

} // namespace ublk::daemon
