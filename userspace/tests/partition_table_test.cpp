// SPDX-License-Identifier: GPL-2.0-or-later
#include "partition_table.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace ublk::targets {
namespace {

class PartitionTable : public testing::Test {
protected:
    std::vector<std::byte> disk_ = std::vector<std::byte>(1 << 20);

    void put(std::size_t offset, std::uint64_t value, unsigned bytes) {
        for (unsigned i = 0; i < bytes; ++i)
            disk_[offset + i] = static_cast<std::byte>(value >> (8 * i));
    }
    void put_gpt(std::uint32_t sector, std::uint64_t where = 1) {
        std::memcpy(disk_.data() + sector, "EFI PART", 8);
        put(sector + 24, where, 8);
    }
    void put_partition(unsigned index, std::uint32_t start, std::uint32_t sectors) {
        const std::size_t entry = 446 + index * 16;
        put(entry + 4, 0x83, 1);
        put(entry + 8, start, 4);
        put(entry + 12, sectors, 4);
        put(510, 0xaa55, 2);
    }
    std::optional<std::uint32_t> other(std::uint32_t sector) const {
        return other_sector_size(
            [&](std::uint64_t offset, std::span<std::byte> buffer) {
                std::copy_n(disk_.begin() + static_cast<std::ptrdiff_t>(offset), buffer.size(),
                            buffer.begin());
                return true;
            },
            disk_.size(), sector);
    }
};

TEST_F(PartitionTable, EmptyDiskHasNone) {
    EXPECT_EQ(other(512), std::nullopt);
    EXPECT_EQ(other(4096), std::nullopt);
}

TEST_F(PartitionTable, GptSaysItsSectorSize) {
    for (const std::uint32_t made_for : {512U, 1024U, 2048U, 4096U}) {
        disk_.assign(disk_.size(), {});
        put_gpt(made_for);
        for (const std::uint32_t sector : {512U, 1024U, 2048U, 4096U})
            EXPECT_EQ(other(sector), sector == made_for ? std::nullopt : std::optional{made_for});
    }
}

TEST_F(PartitionTable, OldGptOfOtherSectorsDoesNotCountBesideAGoodOne) {
    put_gpt(512);
    put_gpt(4096);
    EXPECT_EQ(other(512), std::nullopt);
    EXPECT_EQ(other(4096), std::nullopt);
}

TEST_F(PartitionTable, WhatHappensToLookLikeAGptIsNone) {
    put_gpt(4096, 8);
    EXPECT_EQ(other(512), std::nullopt);
}

TEST_F(PartitionTable, DosTableOfSmallSectorsDoesNotFitLargeOnes) {
    put_partition(0, 63, 1000);
    EXPECT_EQ(other(4096), 512U);
    EXPECT_EQ(other(512), std::nullopt);
    put_partition(0, 1, 200);
    EXPECT_EQ(other(4096), std::nullopt);
}

TEST_F(PartitionTable, BootSectorIsNoDosTable) {
    put_partition(0, 63, 1000);
    std::memcpy(disk_.data() + 54, "FAT16", 5);
    EXPECT_EQ(other(4096), std::nullopt);
    std::memset(disk_.data() + 54, 0, 5);
    put(446, 7, 1); // no flag that there is
    EXPECT_EQ(other(4096), std::nullopt);
}

TEST_F(PartitionTable, DiskThatCannotBeReadHasNone) {
    put_gpt(4096);
    EXPECT_EQ(
        other_sector_size([](std::uint64_t, std::span<std::byte>) { return false; }, 1 << 20, 512),
        std::nullopt);
    EXPECT_EQ(
        other_sector_size([](std::uint64_t, std::span<std::byte>) { return true; }, 4096, 512),
        std::nullopt);
}

} // namespace
} // namespace ublk::targets
