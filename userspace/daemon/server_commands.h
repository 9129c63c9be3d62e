// SPDX-License-Identifier: GPL-2.0-or-later
// What a running server can be asked for, as those who ask and as the server sees it.
#ifndef UBLKD_SERVER_COMMANDS_H
#define UBLKD_SERVER_COMMANDS_H

#include <nlohmann/json_fwd.hpp>
#include <ublk/server.h>

#include "process.h"
#include "state.h"

namespace ublk::daemon {

// The server of this device, and of no other that has got its number.
Result<Resized> ask_to_resize(const StateDirectory& state, const DeviceInfo& device,
                              const SizeRequest& request, Deadline deadline);

// The server's side of all of them.
Result<nlohmann::json> run_command(Server& server, const nlohmann::json& command);

} // namespace ublk::daemon

#endif
