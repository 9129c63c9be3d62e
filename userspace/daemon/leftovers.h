// SPDX-License-Identifier: GPL-2.0-or-later
// What programs have left behind that nobody will come back for: devices whose server has died and
// that cannot get another, and records of devices that there are no more.
#ifndef UBLKD_LEFTOVERS_H
#define UBLKD_LEFTOVERS_H

#include <chrono>
#include <string>
#include <vector>

#include <ublk/control.h>
#include <ublk/result.h>

#include "paths.h"

namespace ublk::daemon {

struct Leftover {
    enum class Kind { device, record };
    Kind kind = Kind::device;
    int number = 0;
    std::string what; // "its server 71 has died"
};

// A device that was made, but never served, may be about to be: only after this is it left over.
constexpr std::chrono::seconds about_to_be_served{60};

// Of all programs, in ascending order. A disk that waits for a server is none, however long it
// waits: I/O is in it.
Result<std::vector<Leftover>> find_leftovers(const Paths& paths, Control& control);

// Does nothing if it is none any more. A device in use is not removed, but EBUSY.
Result<void> remove_leftover(const Paths& paths, Control& control, const Leftover& leftover);

} // namespace ublk::daemon

#endif
