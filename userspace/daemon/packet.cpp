// SPDX-License-Identifier: GPL-2.0-or-later
// Packets of a SOCK_SEQPACKET socket, which keeps their limits.
#include "packet.h"

#include <cerrno>

#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>

#include "json.h"
#include "text.h"

namespace ublk::daemon {

using nlohmann::json;

bool send_packet(const UniqueFd& socket, std::string_view text) {
    return ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
}

Result<std::string> receive_packet(const UniqueFd& socket, Deadline deadline) {
    pollfd event{socket.get(), POLLIN, 0};
    int ready = 0;
    do {
        ready = ::poll(&event, 1, poll_timeout(deadline));
    } while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return Error{ETIMEDOUT, "wait for the other process"};

    // Its length first: the kernel has taken in the whole of it.
    const ssize_t length = ready < 0 ? -1 : ::recv(socket.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC);
    std::string packet(length > 0 ? static_cast<std::size_t>(length) : 0, '\0');
    const ssize_t got =
        length <= 0 ? length : ::recv(socket.get(), packet.data(), packet.size(), 0);
    if (got <= 0)
        return Error{got < 0 ? errno : EPIPE, "hear from the other process"};
    return packet;
}

json pack_error(const Error& error) {
    return {{"code", error.code},
            {"step", error.step},
            {"hint", error.hint},
            {"kind", static_cast<int>(error.kind)}};
}

Error unpack_error(const json& packed) {
    return Error{packed.at("code"), packed.at("step"), packed.at("hint"),
                 static_cast<ErrorKind>(packed.at("kind").get<int>())};
}

std::string encode_packet(json document) {
    return write_json(document_to_text(std::move(document)));
}

json decode_packet(const std::string& packet) { return document_to_bytes(parse_json(packet)); }

} // namespace ublk::daemon
