// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/geometry.h>

#include <functional>
#include <gtest/gtest.h>

namespace ublk {
namespace {

constexpr Geometry good{.size_bytes = 1U << 20};

struct Wrong {
    const char* name;
    std::function<void(Geometry&)> spoil;
};

class WrongGeometry : public testing::TestWithParam<Wrong> {};

TEST_P(WrongGeometry, IsRejectedAsUsageWithAHint) {
    Geometry geometry = good;
    GetParam().spoil(geometry);
    const Result<void> result = validate(geometry);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    EXPECT_FALSE(result.error().hint.empty());
}

TEST(Geometry, SizeOfPartialBlocksIsUnfitAndTheNextSizeIsNamed) {
    Geometry geometry = good;
    geometry.logical_block_size = 4096;
    geometry.physical_block_size = 4096;
    geometry.size_bytes = 4096 + 512;
    const Result<void> result = validate(geometry);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::backend);
    EXPECT_EQ(result.error().hint, "use size=8192");
}

const Wrong wrong[] = {
    {"empty", [](Geometry& g) { g.size_bytes = 0; }},
    {"small_block", [](Geometry& g) { g.logical_block_size = 256; }},
    {"odd_block", [](Geometry& g) { g.logical_block_size = 1536; }},
    {"large_block", [](Geometry& g) { g.logical_block_size = 8192; }},
    {"physical_below_logical",
     [](Geometry& g) {
         g.logical_block_size = 4096;
         g.physical_block_size = 512;
     }},
    {"odd_io_min", [](Geometry& g) { g.io_min = 5000; }},
    {"odd_io_opt", [](Geometry& g) { g.io_opt = 5000; }},
    {"io_below_a_page", [](Geometry& g) { g.max_io_bytes = 2048; }},
    {"io_not_whole_pages", [](Geometry& g) { g.max_io_bytes = 6144; }},
    {"io_too_long", [](Geometry& g) { g.max_io_bytes = 64U << 20; }},
    {"odd_chunk", [](Geometry& g) { g.chunk_bytes = 100; }},
    {"odd_dma_alignment", [](Geometry& g) { g.dma_alignment = 3; }},
    {"fua_without_cache", [](Geometry& g) { g.fua = true; }},
    {"odd_discard", [](Geometry& g) { g.discard.max_bytes = 100; }},
    {"odd_write_zeroes", [](Geometry& g) { g.max_write_zeroes_bytes = 100; }},
    {"discard_granularity_below_block", [](Geometry& g) { g.discard.granularity = 100; }},
    {"two_discard_segments",
     [](Geometry& g) {
         g.discard.max_bytes = 4096;
         g.discard.max_segments = 2;
     }},
    {"small_segment", [](Geometry& g) { g.segments.max_bytes = 512; }},
    {"odd_segment_boundary", [](Geometry& g) { g.segments.boundary_mask = 5000; }},
};

constexpr Geometry good_zones{
    .size_bytes = 1U << 20,
    .zones = {.size_bytes = 65536, .max_append_bytes = 65536, .max_open = 8, .max_active = 16}};

const Wrong wrong_zones[] = {
    {"odd_zone", [](Geometry& g) { g.zones.size_bytes = 96 << 10; }},
    {"small_zone", [](Geometry& g) { g.zones.size_bytes = 2048; }},
    {"large_zone",
     [](Geometry& g) {
         g.zones.size_bytes = std::uint64_t{2} << 40;
         g.size_bytes = g.zones.size_bytes;
     }},
    {"last_zone_shorter", [](Geometry& g) { g.size_bytes -= 4096; }},
    {"chunk_and_zones", [](Geometry& g) { g.chunk_bytes = 65536; }},
    {"no_append", [](Geometry& g) { g.zones.max_append_bytes = 0; }},
    {"odd_append", [](Geometry& g) { g.zones.max_append_bytes = 1000; }},
    {"append_longer_than_zone", [](Geometry& g) { g.zones.max_append_bytes = 128 << 10; }},
    {"append_longer_than_io", [](Geometry& g) { g.max_io_bytes = 32 << 10; }},
    {"too_many_open", [](Geometry& g) { g.zones.max_open = 17; }},
    {"too_many_active", [](Geometry& g) { g.zones.max_active = 17; }},
    {"more_open_than_active", [](Geometry& g) { g.zones.max_active = 7; }},
    {"limits_without_zones", [](Geometry& g) { g.zones.size_bytes = 0; }},
};

class WrongZones : public testing::TestWithParam<Wrong> {};

TEST_P(WrongZones, AreRejectedAsUsageWithAHint) {
    Geometry geometry = good_zones;
    ASSERT_TRUE(validate(geometry));
    GetParam().spoil(geometry);
    const Result<void> result = validate(geometry);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    EXPECT_FALSE(result.error().hint.empty());
}

INSTANTIATE_TEST_SUITE_P(Geometry, WrongZones, testing::ValuesIn(wrong_zones),
                         [](const auto& test) { return std::string{test.param.name}; });

TEST(Geometry, ShorterIoShortensAppends) {
    const auto geometry = apply({.max_io_bytes = 16384}, good_zones);
    ASSERT_TRUE(geometry);
    EXPECT_EQ(geometry->zones.max_append_bytes, 16384U);
}

INSTANTIATE_TEST_SUITE_P(Geometry, WrongGeometry, testing::ValuesIn(wrong),
                         [](const auto& test) { return std::string{test.param.name}; });

TEST(Geometry, DefaultsNeedOnlyASize) { EXPECT_TRUE(validate(good)); }

TEST(GeometryRequest, ZeroKeepsWhatTheTargetChose) {
    Result<Geometry> geometry = apply({}, good);
    ASSERT_TRUE(geometry);
    EXPECT_EQ(geometry->logical_block_size, 512U);
    EXPECT_EQ(geometry->max_io_bytes, good.max_io_bytes);
    EXPECT_FALSE(geometry->read_only);
}

TEST(GeometryRequest, ReplacesWhatItNames) {
    Result<Geometry> geometry = apply({.logical_block_size = 4096,
                                       .physical_block_size = 8192,
                                       .max_io_bytes = 65536,
                                       .read_only = true,
                                       .size_bytes = 1U << 30},
                                      good);
    ASSERT_TRUE(geometry);
    EXPECT_EQ(geometry->size_bytes, 1U << 30);
    EXPECT_EQ(geometry->logical_block_size, 4096U);
    EXPECT_EQ(geometry->physical_block_size, 8192U);
    EXPECT_EQ(geometry->max_io_bytes, 65536U);
    EXPECT_TRUE(geometry->read_only);
}

TEST(GeometryRequest, CannotMakeAReadOnlyTargetWritable) {
    Geometry read_only = good;
    read_only.read_only = true;
    EXPECT_TRUE(apply({.read_only = false}, read_only)->read_only);
}

TEST(GeometryRequest, LargerLogicalBlockRaisesWhatDependsOnIt) {
    Geometry small = good;
    small.physical_block_size = 512;
    small.discard.max_bytes = 1U << 20;
    small.discard.granularity = 512;
    Result<Geometry> geometry = apply({.logical_block_size = 4096}, small);
    ASSERT_TRUE(geometry);
    EXPECT_EQ(geometry->physical_block_size, 4096U);
    EXPECT_EQ(geometry->discard.granularity, 4096U);
}

TEST(GeometryRequest, FailsIfTheOutcomeIsInvalid) {
    Geometry odd = good;
    odd.size_bytes = 1536;
    EXPECT_FALSE(apply({.logical_block_size = 4096}, odd));
}

} // namespace
} // namespace ublk
