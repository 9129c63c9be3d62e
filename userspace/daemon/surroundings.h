// SPDX-License-Identifier: GPL-2.0-or-later
// A server outlives whoever called it, and serves everybody: what it has inherited from the caller
// must not rule it. Nor may the memory that it needs to serve be taken from it.
#ifndef UBLKD_SURROUNDINGS_H
#define UBLKD_SURROUNDINGS_H

#include <vector>

#include <ublk/result.h>

#include "paths.h"

namespace ublk::daemon {

// Limits, priority, signals and timers become those of a service. To be called by the process that
// becomes the server, before it has threads. What could not be had is returned: a server without it
// is better than none.
std::vector<Error> shed_inheritance();

// Files that the server itself makes are made with its own mode: after the target's have been,
// whose mode is up to the caller.
void shed_file_mode();

// All memory that is there, and what is used from now on, stays in memory, and the process is the
// last that is killed for want of it. Otherwise serving a swap, or what is written back to make
// room, could wait for itself.
std::vector<Error> keep_memory(const Paths& paths);

} // namespace ublk::daemon

#endif
