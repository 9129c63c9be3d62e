// SPDX-License-Identifier: MIT
// CopyMode is the way that the data of requests take between the driver and the server.
#ifndef UBLK_COPY_MODE_H
#define UBLK_COPY_MODE_H

#include <cstdint>
#include <string>
#include <string_view>

#include <ublk/result.h>

namespace ublk {

enum class CopyMode {
    automatic, // the best one that driver and target have
    driver,    // the driver copies to and from a buffer of the server
    user,      // the server copies, by reading and writing the device's character node
    zero,      // nobody copies: the target's own I/O uses the pages of the request
    shmem, // nobody copies what lies in memory that users share with the server; else the driver
};

// "auto", "driver", "user", "zero", "shmem".
std::string_view name_of(CopyMode mode);
Result<CopyMode> parse_copy_mode(std::string_view text);
// That of a device which has these UBLK_F_*.
CopyMode copy_mode_of(std::uint64_t features);

// What was taken, never automatic, and in one clause why.
struct CopyChoice {
    CopyMode mode = CopyMode::driver;
    std::string reason{};
};

} // namespace ublk

#endif
