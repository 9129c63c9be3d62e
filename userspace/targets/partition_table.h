// SPDX-License-Identifier: GPL-2.0-or-later
// For which sectors the partition table of a backing was made: on a disk with others the kernel
// does not find it, and says nothing.
#ifndef UBLK_TARGETS_PARTITION_TABLE_H
#define UBLK_TARGETS_PARTITION_TABLE_H

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace ublk::targets {

// Fills the buffer from that offset of the disk; false if it cannot.
using ReadDisk = std::function<bool(std::uint64_t offset, std::span<std::byte> buffer)>;

// Nothing if there is no table, or if it fits a disk with sectors of that size.
std::optional<std::uint32_t> other_sector_size(const ReadDisk& read, std::uint64_t size,
                                               std::uint32_t sector_size);

} // namespace ublk::targets

#endif
