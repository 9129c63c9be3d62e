// SPDX-License-Identifier: MIT
// The signals that end a server: blocked when it starts, consumed when it runs.
#ifndef UBLK_LIB_STOP_SIGNALS_H
#define UBLK_LIB_STOP_SIGNALS_H

#include <csignal>

namespace ublk {

inline sigset_t stop_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGINT);
    ::sigaddset(&signals, SIGTERM);
    return signals;
}

} // namespace ublk

#endif
