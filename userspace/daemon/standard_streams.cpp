// SPDX-License-Identifier: GPL-2.0-or-later
// Opens /dev/null in the place of standard streams that are closed.
#include "standard_streams.h"

#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

namespace ublk::daemon {

Result<void> fill_standard_streams() {
    for (int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(stream, F_GETFD) >= 0)
            continue;
        // The lowest number that is free, so this one's. Reading it would be the end of the input;
        // for output that nobody sees to succeed would be a lie.
        const int opened = ::open("/dev/null", O_RDONLY);
        if (opened == stream)
            continue;
        return Error{opened < 0 ? errno : EBADF, "open /dev/null"};
    }
    return {};
}

} // namespace ublk::daemon
