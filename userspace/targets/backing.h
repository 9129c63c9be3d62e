// SPDX-License-Identifier: GPL-2.0-or-later
// A file or block device opened to serve as the backing of a device, with nobody else writing to
// it, and what it can do.
#ifndef UBLK_TARGETS_BACKING_H
#define UBLK_TARGETS_BACKING_H

#include <cstdint>
#include <string>

#include <ublk/identity.h>
#include <ublk/result.h>
#include <ublk/unique_fd.h>

#include "backing_properties.h"

namespace ublk::targets {

struct Backing {
    UniqueFd fd{};
    std::uint64_t size = 0;
    bool direct = false; // as it was opened
    bool block_device = false;
    bool read_only = false;
    Properties properties{};
    BackingUse use{}; // what it is

    // For an I/O that failed: whether to try it again, as it may have been for being direct, which
    // it is no more. By any thread.
    bool may_try_buffered(int result) const noexcept;
    // By any thread: false once that has been done.
    bool is_direct() const noexcept;
};

// Locks a file against other servers, and a block device against mounting and other exclusive use.
Result<Backing> open_backing(const BackingRequest& request);

// What it has by now: somebody may have made it larger or smaller.
Result<std::uint64_t> current_size(const Backing& backing);
// Makes a file larger, without taking space for it.
Result<void> extend(const Backing& backing, std::uint64_t size);

} // namespace ublk::targets

#endif
