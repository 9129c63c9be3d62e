// SPDX-License-Identifier: GPL-2.0-or-later
// How filters make requests wait: in pauses that are short enough for a change of settings, and the
// end of the server, to reach those who wait already.
#ifndef UBLK_TARGETS_PAUSE_H
#define UBLK_TARGETS_PAUSE_H

#include <algorithm>
#include <chrono>

namespace ublk::targets {

inline constexpr std::chrono::milliseconds longest_pause{250};

// Of a wait that is to take that long yet; 0 or less: it is over.
inline std::chrono::nanoseconds next_pause(std::chrono::nanoseconds left) {
    return std::min<std::chrono::nanoseconds>(left, longest_pause);
}

} // namespace ublk::targets

#endif
