// SPDX-License-Identifier: GPL-2.0-or-later
// How a zoned disk lies in a file: a superblock, a table of the zones' records, and the zones. The
// one place that knows; Documentation/zoned.rst describes it. Does no I/O.
#ifndef UBLK_TARGETS_ZONE_FORMAT_H
#define UBLK_TARGETS_ZONE_FORMAT_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ublk/result.h>

#include "zones.h"

namespace ublk::targets::zone_format {

inline constexpr std::size_t block_size = 4096;
inline constexpr std::uint32_t records_per_block = 254;
inline constexpr std::uint64_t smallest_zone = 64U << 10;
inline constexpr std::uint64_t largest_zone = std::uint64_t{1} << 40;
inline constexpr std::uint32_t most_zones = 1U << 24;

using Block = std::array<std::byte, block_size>;

// A block of the table has two places in the file, of which the one that was written last counts.
// So one that is torn by a crash has cost nothing but itself.
std::uint32_t table_blocks(std::uint32_t zones);
std::uint64_t place_of(std::uint32_t block, std::uint64_t sequence);
std::uint64_t data_offset(std::uint32_t zones);
std::uint64_t file_size(const ZoneLayout& layout);

Block encode_superblock(const ZoneLayout& layout);
// EMEDIUMTYPE: it is not one. EPROTONOSUPPORT: of a later version. EUCLEAN: damaged.
Result<ZoneLayout> decode_superblock(const Block& block);

// `records` are those of the block's zones.
Block encode_table_block(std::uint32_t block, std::uint64_t sequence,
                         std::span<const ZoneRecord> records);

struct TableBlock {
    std::uint64_t sequence = 0; // 0: never written, and every zone empty
    std::array<ZoneRecord, records_per_block> records{};
};
// EUCLEAN: damaged, or none of this block.
Result<TableBlock> decode_table_block(std::uint32_t block, const Block& raw);

// Whether a zone of this layout can be so.
bool is_possible(const ZoneLayout& layout, std::uint32_t zone, const ZoneRecord& record);

} // namespace ublk::targets::zone_format

#endif
