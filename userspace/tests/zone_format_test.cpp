// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets/zone_format.h"

#include <cerrno>
#include <cstring>
#include <functional>
#include <gtest/gtest.h>

#include "targets/crc32c.h"

namespace ublk::targets::zone_format {
namespace {

constexpr ZoneLayout layout{.zone_size = 1 << 20,
                            .zone_capacity = 768 << 10,
                            .zones = 600,
                            .conventional = 4,
                            .max_open = 8,
                            .max_active = 12,
                            .block_size = 4096};

// As a file of that format would say it; its checksum is right.
Block patched(Block block, std::size_t offset, std::uint32_t value) {
    std::memcpy(block.data() + offset, &value, sizeof value);
    std::memset(block.data() + 12, 0, 4);
    const std::uint32_t sum = crc32c(block);
    std::memcpy(block.data() + 12, &sum, sizeof sum);
    return block;
}

TEST(ZoneFormat, ChecksumIsCrc32c) {
    const char text[] = "123456789";
    EXPECT_EQ(crc32c(std::as_bytes(std::span{text, 9})), 0xe3069283U);
}

TEST(ZoneFormat, SuperblockIsReadBack) {
    const auto found = decode_superblock(encode_superblock(layout));
    ASSERT_TRUE(found) << found.error().message();
    EXPECT_EQ(found->zone_size, layout.zone_size);
    EXPECT_EQ(found->zone_capacity, layout.zone_capacity);
    EXPECT_EQ(found->zones, layout.zones);
    EXPECT_EQ(found->conventional, layout.conventional);
    EXPECT_EQ(found->max_open, layout.max_open);
    EXPECT_EQ(found->max_active, layout.max_active);
    EXPECT_EQ(found->block_size, layout.block_size);
}

// The places that Documentation/zoned.rst gives.
TEST(ZoneFormat, SuperblockLiesAsItIsDocumented) {
    const Block block = encode_superblock(layout);
    const auto u32 = [&block](std::size_t offset) {
        std::uint32_t value = 0;
        std::memcpy(&value, block.data() + offset, sizeof value);
        return value;
    };
    EXPECT_EQ(std::memcmp(block.data(), "ublkzone", 8), 0);
    EXPECT_EQ(u32(8), 1U);
    EXPECT_EQ(u32(16), 1U << 20);
    EXPECT_EQ(u32(24), 768U << 10);
    EXPECT_EQ(u32(32), 1U << 20) << "where the zones begin";
    EXPECT_EQ(u32(40), 600U);
    EXPECT_EQ(u32(44), 4U);
    EXPECT_EQ(u32(48), 8U);
    EXPECT_EQ(u32(52), 12U);
    EXPECT_EQ(u32(56), 4096U);
}

TEST(ZoneFormat, EveryFlippedBitOfASuperblockIsFound) {
    for (std::size_t byte = 0; byte < 64; ++byte) {
        Block block = encode_superblock(layout);
        block[byte] ^= std::byte{4};
        const auto found = decode_superblock(block);
        ASSERT_FALSE(found) << byte;
        EXPECT_EQ(found.error().kind, ErrorKind::backend);
        EXPECT_EQ(found.error().code, byte < 8 ? EMEDIUMTYPE : EUCLEAN) << byte;
    }
}

TEST(ZoneFormat, LaterVersionIsRefusedAndSaid) {
    const auto found = decode_superblock(patched(encode_superblock(layout), 8, 2));
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, EPROTONOSUPPORT);
}

TEST(ZoneFormat, ImpossibleLayoutsAreDamage) {
    struct {
        std::size_t offset;
        std::uint32_t value;
    } const wrong[] = {{16, 0},   {16, 3 << 18}, {16, 4096}, {24, 0},    {24, 2 << 20},
                       {24, 100}, {32, 0},       {40, 0},    {44, 600},  {48, 601},
                       {48, 13},  {52, 7},       {56, 0},    {56, 1000}, {56, 8192}};
    for (const auto& [offset, value] : wrong) {
        const auto found = decode_superblock(patched(encode_superblock(layout), offset, value));
        ASSERT_FALSE(found) << offset << " " << value;
        EXPECT_EQ(found.error().code, EUCLEAN);
    }
}

TEST(ZoneFormat, TableBlockIsReadBack) {
    std::array<ZoneRecord, records_per_block> records{};
    records[0] = {4096, false};
    records[253] = {8192, true};
    const auto found = decode_table_block(1, encode_table_block(1, 77, records));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->sequence, 77U);
    EXPECT_EQ(found->records, records);
}

TEST(ZoneFormat, BlockThatWasNeverWrittenIsEmptyZones) {
    const auto found = decode_table_block(3, Block{});
    ASSERT_TRUE(found);
    EXPECT_EQ(found->sequence, 0U);
    EXPECT_EQ(found->records[0], ZoneRecord{});
}

TEST(ZoneFormat, TornAndMisplacedTableBlocksAreDamage) {
    std::array<ZoneRecord, records_per_block> records{};
    const Block old = encode_table_block(2, 4, records);
    records[253] = {4096, false}; // in the last sector
    const Block young = encode_table_block(2, 6, records);
    for (std::size_t sectors = 1; sectors < 8; ++sectors) {
        Block torn = old;
        std::copy_n(young.begin(), sectors * 512, torn.begin());
        EXPECT_FALSE(decode_table_block(2, torn)) << sectors;
        Block begun{};
        std::copy_n(young.begin(), sectors * 512, begun.begin());
        EXPECT_FALSE(decode_table_block(2, begun)) << sectors;
    }
    EXPECT_FALSE(decode_table_block(1, young)) << "of another block";
}

TEST(ZoneFormat, BlocksAlternateBetweenTwoPlacesAndNothingOverlaps) {
    EXPECT_EQ(table_blocks(1), 1U);
    EXPECT_EQ(table_blocks(254), 1U);
    EXPECT_EQ(table_blocks(255), 2U);
    EXPECT_EQ(place_of(0, 2), 4096U);
    EXPECT_EQ(place_of(0, 3), 8192U);
    EXPECT_EQ(place_of(1, 2), 12288U);
    for (std::uint32_t zones : {1U, 254U, 32258U, 1U << 20})
        EXPECT_GE(data_offset(zones), place_of(table_blocks(zones) - 1, 1) + block_size);
    EXPECT_EQ(data_offset(600), 1U << 20);
    EXPECT_EQ(file_size(layout), (1U << 20) + (std::uint64_t{600} << 20));
}

TEST(ZoneFormat, KnowsImpossibleRecords) {
    EXPECT_TRUE(is_possible(layout, 4, {}));
    EXPECT_TRUE(is_possible(layout, 4, {4096, false}));
    EXPECT_TRUE(is_possible(layout, 4, {4096, true}));
    EXPECT_TRUE(is_possible(layout, 4, {768 << 10, true}));
    EXPECT_FALSE(is_possible(layout, 4, {768 << 10, false})) << "that is full";
    EXPECT_FALSE(is_possible(layout, 4, {1 << 20, true}));
    EXPECT_FALSE(is_possible(layout, 4, {100, false}));
    EXPECT_TRUE(is_possible(layout, 0, {}));
    EXPECT_FALSE(is_possible(layout, 0, {4096, false})) << "a conventional zone";
}

} // namespace
} // namespace ublk::targets::zone_format
