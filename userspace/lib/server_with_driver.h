// SPDX-License-Identifier: MIT
// Starts servers with a driver of the caller's choice, which is how tests do without the kernel's.
#ifndef UBLK_LIB_SERVER_WITH_DRIVER_H
#define UBLK_LIB_SERVER_WITH_DRIVER_H

#include <memory>

#include <ublk/server.h>

#include "driver_port.h"

namespace ublk {

Result<Server> start_with_driver(std::shared_ptr<DriverPort> driver, std::unique_ptr<Target> target,
                                 const ServerOptions& options);
Result<Server> recover_with_driver(std::shared_ptr<DriverPort> driver, int number,
                                   std::unique_ptr<Target> target, const RecoverOptions& options);

} // namespace ublk

#endif
