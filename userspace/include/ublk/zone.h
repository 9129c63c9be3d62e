// SPDX-License-Identifier: MIT
// Zone is what a zoned device says about one of its zones: parts of the device, all of the same
// size, most of which can be written only from their beginning to their end. All places and
// quantities are bytes.
#ifndef UBLK_ZONE_H
#define UBLK_ZONE_H

#include <cstdint>

namespace ublk {

enum class ZoneType : std::uint8_t {
    conventional = 1, // written anywhere, like other devices
    sequential = 2,   // written at its write pointer only
};

enum class ZoneCondition : std::uint8_t {
    no_write_pointer = 0, // of a conventional zone
    empty = 1,
    implicitly_open = 2, // by a write
    explicitly_open = 3, // by Op::zone_open
    closed = 4,          // written in part, and not open
    read_only = 0xd,
    full = 0xe,
    offline = 0xf,
};

struct Zone {
    std::uint64_t start = 0;
    std::uint64_t length = 0;        // ZoneLimits::size_bytes
    std::uint64_t capacity = 0;      // how much of that can be used, from the start on; not 0
    std::uint64_t write_pointer = 0; // of a zone that is empty, open or closed
    ZoneType type = ZoneType::sequential;
    ZoneCondition condition = ZoneCondition::empty;
};

} // namespace ublk

#endif
