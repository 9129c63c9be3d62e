// SPDX-License-Identifier: MIT
// AllSignalsBlocked keeps signals from threads that are started while it lives: they are for the
// threads of the program.
#ifndef UBLK_LIB_SIGNALS_H
#define UBLK_LIB_SIGNALS_H

#include <csignal>

namespace ublk {

class AllSignalsBlocked {
public:
    AllSignalsBlocked() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &previous_);
    }
    AllSignalsBlocked(const AllSignalsBlocked&) = delete;
    AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;
    ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }

private:
    sigset_t previous_;
};

} // namespace ublk

#endif
