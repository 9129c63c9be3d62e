// SPDX-License-Identifier: GPL-2.0-or-later
// The checksum of what targets write down about themselves.
#ifndef UBLK_TARGETS_CRC32C_H
#define UBLK_TARGETS_CRC32C_H

#include <cstddef>
#include <cstdint>
#include <span>

namespace ublk::targets {

// CRC-32C (Castagnoli; RFC 3720, appendix B.4). `before` is that of what stands in front of `data`.
std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t before = 0);

} // namespace ublk::targets

#endif
