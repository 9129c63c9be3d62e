// SPDX-License-Identifier: GPL-2.0-or-later
// What a running server can be asked for, as those who ask and as the server sees it.
#ifndef UBLKD_SERVER_COMMANDS_H
#define UBLKD_SERVER_COMMANDS_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <ublk/server.h>

#include "process.h"
#include "state.h"

namespace ublk::daemon {

// The server of this device, and of no other that has got its number.
Result<Resized> ask_to_resize(const StateDirectory& state, const DeviceInfo& device,
                              const SizeRequest& request, Deadline deadline);

// What only the server knows, as it is by now.
struct ServerStatus {
    std::optional<bool> direct{}; // Target::is_direct()
    std::vector<std::string> remarks{};
    std::uint64_t short_for_seconds = 0; // Statistics::short_for_seconds
};

// The same server. EBADMSG from one that is older than this.
Result<ServerStatus> ask_for_status(const StateDirectory& state, const DeviceInfo& device,
                                    Deadline deadline);

// The server's side of all of them.
Result<nlohmann::json> execute_command(Server& server, const nlohmann::json& command);

} // namespace ublk::daemon

#endif
