// SPDX-License-Identifier: GPL-2.0-or-later
// ServerSocket is where a running server can be asked for things by other processes of ours: a
// socket beside the record of its device.
#ifndef UBLKD_SERVER_SOCKET_H
#define UBLKD_SERVER_SOCKET_H

#include <functional>

#include <nlohmann/json_fwd.hpp>
#include <ublk/result.h>
#include <ublk/unique_fd.h>

#include "process.h"
#include "state.h"

namespace ublk::daemon {

class ServerSocket {
public:
    // Replaces the socket that a server which was killed has left.
    static Result<ServerSocket> open(const StateDirectory& state, int number);

    int descriptor() const { return listener_.get(); } // readable when somebody asks

    // Takes one command and sends the answer. Only root and the user of this process are heard.
    using Answer = std::function<Result<nlohmann::json>(const nlohmann::json& command)>;
    void answer_one(const Answer& answer) const;

private:
    explicit ServerSocket(UniqueFd listener) : listener_(std::move(listener)) {}

    UniqueFd listener_;
};

// The server's answer, or its error. Fails with ECONNREFUSED or ENOENT if no server listens.
Result<nlohmann::json> send_command(const StateDirectory& state, int number,
                                    const nlohmann::json& command, Deadline deadline);

} // namespace ublk::daemon

#endif
