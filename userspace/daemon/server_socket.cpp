// SPDX-License-Identifier: GPL-2.0-or-later
// One command and one answer per connection.
#include "server_socket.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "packet.h"

namespace ublk::daemon {

using nlohmann::json;

namespace {

// Whoever connects asks at once; a server has other things to do than to wait for him.
constexpr std::chrono::seconds patience{2};

// A state directory of any length: an address has room for 107 characters.
struct Address {
    UniqueFd directory; // while it is open the address is good
    sockaddr_un name{};

    const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
};

Result<Address> address_of(const StateDirectory& state, int number) {
    Address address;
    address.directory = UniqueFd{::open(state.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!address.directory)
        return Error{errno, "open " + state.path()};
    address.name.sun_family = AF_UNIX;
    const std::string path =
        fmt::format("/proc/self/fd/{}/{}.sock", address.directory.get(), number);
    std::memcpy(address.name.sun_path, path.c_str(), path.size() + 1);
    return address;
}

Result<UniqueFd> create_socket() {
    UniqueFd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!socket)
        return Error{errno, "create a socket"};
    return socket;
}

bool may_ask(const UniqueFd& peer) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    return ::getsockopt(peer.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
           (credentials.uid == 0 || credentials.uid == ::geteuid());
}

// What is no JSON is no command either, and answered like others that make no sense.
json decode_command(const std::string& command) {
    try {
        return decode_packet(command);
    } catch (const json::exception&) {
        return {};
    }
}

// Whoever has told a user that his verb failed must not be obeyed afterwards: a server may have
// been stopped, or waited for its backing, when it was asked.
bool has_gone(const UniqueFd& peer) {
    pollfd event{peer.get(), POLLRDHUP, 0};
    return ::poll(&event, 1, 0) > 0;
}

std::string reply_to(const std::string& command, const ServerSocket::Answer& answer) {
    auto answered = answer(decode_command(command));
    return encode_packet(answered ? json{{"answer", *answered}}
                                  : json{{"error", pack_error(answered.error())}});
}

} // namespace

Result<ServerSocket> ServerSocket::open(const StateDirectory& state, int number) {
    auto address = address_of(state, number);
    if (!address)
        return address.error();
    auto listener = create_socket();
    if (!listener)
        return listener.error();
    ::unlink(address->name.sun_path);
    if (::bind(listener->get(), address->get(), sizeof address->name) < 0 ||
        ::listen(listener->get(), SOMAXCONN) < 0)
        return Error{errno, "listen on " + state.socket(number)};
    return ServerSocket{*std::move(listener)};
}

void ServerSocket::answer_one(const Answer& answer) const {
    const UniqueFd peer{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!peer || !may_ask(peer))
        return;
    auto command = receive_packet(peer, Clock::now() + patience);
    if (command && !has_gone(peer))
        send_packet(peer, reply_to(*command, answer));
}

Result<json> send_command(const StateDirectory& state, int number, const json& command,
                          Deadline deadline) {
    auto address = address_of(state, number);
    if (!address)
        return address.error();
    auto socket = create_socket();
    if (!socket)
        return socket.error();
    if (::connect(socket->get(), address->get(), sizeof address->name) < 0)
        return Error{errno, "connect to " + state.socket(number)};
    if (!send_packet(*socket, encode_packet(command)))
        return Error{EPIPE, "ask the server", "it has just ended: see ublkd list"};
    auto reply = receive_packet(*socket, deadline);
    if (!reply)
        return Error{reply.error().code, "wait for the server's answer",
                     "what it has to say is in " + state.log(number)};
    try {
        const json document = decode_packet(*reply);
        if (document.contains("error"))
            return unpack_error(document.at("error"));
        return document.at("answer");
    } catch (const json::exception&) {
        return Error{EBADMSG, "understand the server's answer"};
    }
}

} // namespace ublk::daemon
