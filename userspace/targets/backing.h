// SPDX-License-Identifier: GPL-2.0-or-later
// A file or block device opened to serve as the backing of a device, with nobody else writing to
// it, and what it can do.
#ifndef UBLK_TARGETS_BACKING_H
#define UBLK_TARGETS_BACKING_H

#include <cstdint>
#include <string>

#include <ublk/result.h>
#include <ublk/unique_fd.h>

namespace ublk::targets {

struct BackingRequest {
    std::string path;
    bool direct = true; // O_DIRECT; buffered if the file system has none
    bool read_only = false;
};

struct Backing {
    UniqueFd fd{};
    std::uint64_t size = 0;
    bool direct = false;
    bool block_device = false;
    bool read_only = false;
    bool rotational = false;
    std::uint32_t offset_alignment = 512; // of file offsets and lengths of I/O
    std::uint32_t memory_alignment = 0;   // of I/O buffers; 0: unknown
    std::uint32_t physical_block_size = 0;
    std::uint32_t io_min = 0;
    std::uint32_t io_opt = 0;
    int discard_mode = 0; // for fallocate; 0: cannot discard
    std::uint32_t discard_granularity = 0;
    std::uint32_t max_discard_bytes = 0;
};

// Locks a file against other servers, and a block device against mounting and other exclusive use.
Result<Backing> open_backing(const BackingRequest& request);

// What it has by now: somebody may have made it larger or smaller.
Result<std::uint64_t> current_size(const Backing& backing);
// Makes a file larger, without taking space for it.
Result<void> extend(const Backing& backing, std::uint64_t size);

} // namespace ublk::targets

#endif
