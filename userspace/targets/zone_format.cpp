// SPDX-License-Identifier: GPL-2.0-or-later
// Encodes and decodes. Whatever a file holds is checked before it is believed.
#include "zone_format.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "crc32c.h"

namespace ublk::targets::zone_format {

namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian");

constexpr std::array<char, 8> superblock_magic{'u', 'b', 'l', 'k', 'z', 'o', 'n', 'e'};
constexpr std::uint32_t table_magic = 0x4c42545a; // "ZTBL"
constexpr std::uint32_t version = 1;
constexpr std::uint64_t data_alignment = 1U << 20;

struct Superblock {
    std::array<char, 8> magic;
    std::uint32_t version;
    std::uint32_t checksum; // of the block, with this field 0
    std::uint64_t zone_size;
    std::uint64_t zone_capacity;
    std::uint64_t data_offset;
    std::uint32_t zones;
    std::uint32_t conventional;
    std::uint32_t max_open;
    std::uint32_t max_active;
    std::uint32_t disk_block_size; // logical
    std::array<std::uint8_t, block_size - 60> zero;
};
static_assert(sizeof(Superblock) == block_size &&
              std::has_unique_object_representations_v<Superblock>);

struct RawRecord {
    std::uint64_t written;
    std::uint8_t full;
    std::array<std::uint8_t, 7> zero;
};

struct RawTableBlock {
    std::uint32_t magic;
    std::uint32_t checksum; // of the block, with this field 0
    std::uint64_t sequence;
    std::uint32_t number; // of the block
    std::array<std::uint8_t, 12> zero;
    std::array<RawRecord, records_per_block> records;
};
static_assert(sizeof(RawTableBlock) == block_size &&
              std::has_unique_object_representations_v<RawTableBlock>);

template <class Raw> Block sealed(Raw raw) {
    raw.checksum = 0;
    raw.checksum = crc32c(std::as_bytes(std::span{&raw, 1}));
    Block block;
    std::memcpy(block.data(), &raw, block.size());
    return block;
}

template <class Raw> bool seal_is_good(Raw raw) {
    const std::uint32_t found = std::exchange(raw.checksum, 0);
    return found == crc32c(std::as_bytes(std::span{&raw, 1}));
}

Error damaged(const char* what) {
    return Error{EUCLEAN, what, "restore the file from a copy", ErrorKind::backend};
}

bool power_of_two_within(std::uint64_t value, std::uint64_t low, std::uint64_t high) {
    return std::has_single_bit(value) && value >= low && value <= high;
}

bool is_possible(const ZoneLayout& layout) {
    return power_of_two_within(layout.block_size, 512, 4096) &&
           power_of_two_within(layout.zone_size, smallest_zone, largest_zone) &&
           layout.zone_capacity > 0 && layout.zone_capacity <= layout.zone_size &&
           layout.zone_capacity % layout.block_size == 0 && layout.zones > 0 &&
           layout.zones <= most_zones && layout.conventional < layout.zones &&
           layout.max_open <= layout.zones && layout.max_active <= layout.zones &&
           (!layout.max_active || layout.max_open <= layout.max_active);
}

} // namespace

std::uint32_t table_blocks(std::uint32_t zones) {
    return (zones + records_per_block - 1) / records_per_block;
}

// The superblock is in front of all.
std::uint64_t place_of(std::uint32_t block, std::uint64_t sequence) {
    return block_size * (1 + 2 * std::uint64_t{block} + sequence % 2);
}

std::uint64_t data_offset(std::uint32_t zones) {
    const std::uint64_t end_of_table = place_of(table_blocks(zones), 0);
    return (end_of_table + data_alignment - 1) / data_alignment * data_alignment;
}

std::uint64_t file_size(const ZoneLayout& layout) {
    return data_offset(layout.zones) + layout.size();
}

Block encode_superblock(const ZoneLayout& layout) {
    Superblock raw{};
    raw.magic = superblock_magic;
    raw.version = version;
    raw.zone_size = layout.zone_size;
    raw.zone_capacity = layout.zone_capacity;
    raw.data_offset = data_offset(layout.zones);
    raw.zones = layout.zones;
    raw.conventional = layout.conventional;
    raw.max_open = layout.max_open;
    raw.max_active = layout.max_active;
    raw.disk_block_size = layout.block_size;
    return sealed(raw);
}

Result<ZoneLayout> decode_superblock(const Block& block) {
    const auto raw = std::bit_cast<Superblock>(block);
    if (raw.magic != superblock_magic)
        return Error{EMEDIUMTYPE, "look for zones", "give a new file, or one that has zones",
                     ErrorKind::backend};
    if (!seal_is_good(raw))
        return damaged("check the superblock");
    if (raw.version != version)
        return Error{EPROTONOSUPPORT, "read version " + std::to_string(raw.version),
                     "this ublkd knows version " + std::to_string(version), ErrorKind::backend};
    const ZoneLayout layout{.zone_size = raw.zone_size,
                            .zone_capacity = raw.zone_capacity,
                            .zones = raw.zones,
                            .conventional = raw.conventional,
                            .max_open = raw.max_open,
                            .max_active = raw.max_active,
                            .block_size = raw.disk_block_size};
    if (!is_possible(layout) || raw.data_offset != data_offset(layout.zones))
        return damaged("check the superblock");
    return layout;
}

Block encode_table_block(std::uint32_t block, std::uint64_t sequence,
                         std::span<const ZoneRecord> records) {
    RawTableBlock raw{};
    raw.magic = table_magic;
    raw.sequence = sequence;
    raw.number = block;
    std::transform(records.begin(), records.end(), raw.records.begin(), [](const ZoneRecord& r) {
        return RawRecord{.written = r.written, .full = r.full, .zero = {}};
    });
    return sealed(raw);
}

Result<TableBlock> decode_table_block(std::uint32_t block, const Block& raw_block) {
    const auto raw = std::bit_cast<RawTableBlock>(raw_block);
    TableBlock table;
    if (std::all_of(raw_block.begin(), raw_block.end(),
                    [](std::byte b) { return b == std::byte{}; }))
        return table;
    if (raw.magic != table_magic || raw.number != block || raw.sequence == 0 || !seal_is_good(raw))
        return damaged("check the table of zones");
    table.sequence = raw.sequence;
    std::transform(raw.records.begin(), raw.records.end(), table.records.begin(),
                   [](const RawRecord& r) {
                       return ZoneRecord{r.written, r.full != 0};
                   });
    return table;
}

bool is_possible(const ZoneLayout& layout, std::uint32_t zone, const ZoneRecord& record) {
    if (layout.is_conventional(zone))
        return record == ZoneRecord{};
    return record.written <= layout.zone_capacity && record.written % layout.block_size == 0 &&
           (record.full || record.written < layout.zone_capacity);
}

} // namespace ublk::targets::zone_format
