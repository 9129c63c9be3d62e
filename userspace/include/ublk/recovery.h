// SPDX-License-Identifier: MIT
// Recovery is what becomes of a disk, and of the I/O on it, when its server goes away.
#ifndef UBLK_RECOVERY_H
#define UBLK_RECOVERY_H

#include <cstdint>
#include <string_view>

#include <ublk/result.h>

namespace ublk {

enum class Recovery {
    off,     // the disk goes, too
    queue,   // it stays: requests that the server had fail, others wait for the next server
    reissue, // it stays: all wait; one that was done but not answered yet is done twice
    fail,    // it stays: all fail until the next server comes
};

// "off", "queue", "reissue", "fail".
std::string_view name_of(Recovery recovery);
Result<Recovery> parse_recovery(std::string_view text);
// That of a device which has these UBLK_F_*.
Recovery recovery_of(std::uint64_t features);

} // namespace ublk

#endif
