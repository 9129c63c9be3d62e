// SPDX-License-Identifier: GPL-2.0-or-later
// The life of a server process: create the target, bring the device up or take it over, keep its
// record, serve.
#ifndef UBLKD_SERVE_H
#define UBLKD_SERVE_H

#include <functional>
#include <string>
#include <string_view>

#include <ublk/server.h>
#include <ublk/target.h>

#include "../targets/stack.h"
#include "launch.h"
#include "paths.h"

namespace ublk::daemon {

struct ServeRequest {
    targets::Stack stack; // with options as given
    GeometryRequest geometry{};
    ServerOptions server{};
    std::string shared_file{}; // for ServerOptions::shared_memory; empty: none
    std::string name{};        // of the disk; empty: none
};

// Tells about a live device.
using Announce = std::function<Result<void>(const Ready&)>;

// Returns when the device has gone, or is left to the next server. All that can be checked without
// the driver is checked first, and an error, also of the announcement, leaves no device and no
// record.
Result<void> serve(const ServeRequest& request, const Paths& paths, const Announce& announce);

// The same for a device that has lost its server: from its record, which must be this device's. An
// error leaves it waiting, so does a name of its backing that means something else by now, unless
// the user insists. Once it is served nothing ends that, not even an announcement that nobody
// hears: I/O has waited for it.
enum class BackingWanted { same, any };
Result<void> take_over(int number, BackingWanted backing, const Paths& paths,
                       const Announce& announce);

// "process 71 (ublkd), target loop" for the server of a device, as far as known.
std::string describe_server(const Paths& paths, const DeviceInfo& info);

} // namespace ublk::daemon

#endif
