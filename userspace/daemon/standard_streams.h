// SPDX-License-Identifier: GPL-2.0-or-later
// Whoever calls the program may have closed standard streams; what it opens first would get their
// numbers, and what it says would be written to that.
#ifndef UBLKD_STANDARD_STREAMS_H
#define UBLKD_STANDARD_STREAMS_H

#include <ublk/result.h>

namespace ublk::daemon {

// To be called before anything else is opened. Streams that were closed become /dev/null; what is
// written to them is an error, as it was.
Result<void> fill_standard_streams();

} // namespace ublk::daemon

#endif
