// SPDX-License-Identifier: GPL-2.0-or-later
// Starts a server for a verb: in this process, or in one behind it that stays. Prints the device
// once it is usable.
#ifndef UBLKD_START_H
#define UBLKD_START_H

#include <functional>

#include <ublk/result.h>

#include "serve.h"
#include "verb.h"

namespace ublk::daemon {

// serve() or take_over() with all but the announcement.
using Service = std::function<Result<void>(const Announce&)>;

// Until the server ends.
Result<void> start_here(const Service& service, const Context& context);

// A device that cannot be used or told of is taken down again.
Result<void> start_behind(const Service& service, const Context& context);

// As start_behind(), but a device that is served once stays so.
Result<void> take_over_behind(const Service& service, const Context& context);

} // namespace ublk::daemon

#endif
