// SPDX-License-Identifier: GPL-2.0-or-later
#include "params.h"

#include <gtest/gtest.h>

namespace ublk {
namespace {

TEST(Params, BasicOnesAreAlwaysSent) {
    const ublk_params params = to_params({.size_bytes = 1U << 20});
    EXPECT_EQ(params.len, sizeof params);
    EXPECT_EQ(params.types, unsigned{UBLK_PARAM_TYPE_BASIC});
    EXPECT_EQ(params.basic.dev_sectors, 2048U);
    EXPECT_EQ(params.basic.logical_bs_shift, 9);
    EXPECT_EQ(params.basic.physical_bs_shift, 12);
    EXPECT_EQ(params.basic.io_min_shift, 12);
    EXPECT_EQ(params.basic.io_opt_shift, 0);
    EXPECT_EQ(params.basic.max_sectors, 1024U);
    EXPECT_EQ(params.basic.attrs, 0U);
}

TEST(Params, AttributesFollowTheAbilities) {
    const ublk_params params = to_params({.size_bytes = 4096,
                                          .read_only = true,
                                          .rotational = true,
                                          .volatile_cache = true,
                                          .fua = true});
    EXPECT_EQ(params.basic.attrs, unsigned{UBLK_ATTR_READ_ONLY | UBLK_ATTR_ROTATIONAL |
                                           UBLK_ATTR_VOLATILE_CACHE | UBLK_ATTR_FUA});
}

TEST(Params, WriteZeroesAloneNeedTheDiscardParametersWithAGranularity) {
    const ublk_params params = to_params({.size_bytes = 4096, .max_write_zeroes_bytes = 4096});
    EXPECT_TRUE(params.types & UBLK_PARAM_TYPE_DISCARD);
    EXPECT_EQ(params.discard.max_discard_sectors, 0U);
    EXPECT_EQ(params.discard.max_write_zeroes_sectors, 8U);
    EXPECT_EQ(params.discard.discard_granularity, 512U);
    EXPECT_EQ(params.discard.max_discard_segments, 1);
}

TEST(Params, DefaultDmaAlignmentIsNotSent) {
    EXPECT_FALSE(to_params({.size_bytes = 4096, .dma_alignment = 4}).types &
                 UBLK_PARAM_TYPE_DMA_ALIGN);
    const ublk_params params = to_params({.size_bytes = 4096, .dma_alignment = 512});
    EXPECT_TRUE(params.types & UBLK_PARAM_TYPE_DMA_ALIGN);
    EXPECT_EQ(params.dma.alignment, 511U);
}

TEST(Params, UnsetSegmentLimitsMeanNoLimit) {
    const ublk_params params = to_params({.size_bytes = 4096, .segments = {.max_segments = 32}});
    EXPECT_TRUE(params.types & UBLK_PARAM_TYPE_SEGMENT);
    EXPECT_EQ(params.seg.max_segments, 32);
    EXPECT_EQ(params.seg.max_segment_size, UINT32_MAX);
    EXPECT_EQ(params.seg.seg_boundary_mask, UINT64_MAX);
}

TEST(Params, ZonesAreTheChunksAndOnlySentIfThereAreAny) {
    EXPECT_FALSE(to_params({.size_bytes = 1U << 20}).types & UBLK_PARAM_TYPE_ZONED);
    const Geometry g{.size_bytes = 1U << 30,
                     .zones = {.size_bytes = 256U << 20,
                               .max_append_bytes = 128U << 10,
                               .max_open = 3,
                               .max_active = 4}};
    const ublk_params params = to_params(g);
    EXPECT_TRUE(params.types & UBLK_PARAM_TYPE_ZONED);
    EXPECT_EQ(params.basic.chunk_sectors, (256U << 20) / 512);
    EXPECT_EQ(params.zoned.max_zone_append_sectors, 256U);
    EXPECT_EQ(params.zoned.max_open_zones, 3U);
    EXPECT_EQ(params.zoned.max_active_zones, 4U);
    const Geometry back = from_params(params);
    EXPECT_EQ(back.zones.size_bytes, g.zones.size_bytes);
    EXPECT_EQ(back.zones.max_append_bytes, g.zones.max_append_bytes);
    EXPECT_EQ(back.zones.max_open, g.zones.max_open);
    EXPECT_EQ(back.zones.max_active, g.zones.max_active);
    EXPECT_EQ(back.chunk_bytes, 0U);
}

TEST(Params, GeometrySurvivesTheRoundTrip) {
    const Geometry g{.size_bytes = std::uint64_t{5} << 40,
                     .logical_block_size = 4096,
                     .physical_block_size = 8192,
                     .io_min = 8192,
                     .io_opt = 1U << 20,
                     .max_io_bytes = 1U << 20,
                     .chunk_bytes = 1U << 20,
                     .dma_alignment = 512,
                     .virtual_boundary_mask = 4095,
                     .read_only = true,
                     .rotational = true,
                     .volatile_cache = true,
                     .fua = true,
                     .discard = {.max_bytes = 1U << 30, .granularity = 65536, .alignment = 4096},
                     .max_write_zeroes_bytes = 1U << 29,
                     .segments = {.boundary_mask = 65535, .max_bytes = 65536, .max_segments = 9}};
    const Geometry back = from_params(to_params(g));
    EXPECT_EQ(back.size_bytes, g.size_bytes);
    EXPECT_EQ(back.logical_block_size, g.logical_block_size);
    EXPECT_EQ(back.physical_block_size, g.physical_block_size);
    EXPECT_EQ(back.io_min, g.io_min);
    EXPECT_EQ(back.io_opt, g.io_opt);
    EXPECT_EQ(back.max_io_bytes, g.max_io_bytes);
    EXPECT_EQ(back.chunk_bytes, g.chunk_bytes);
    EXPECT_EQ(back.dma_alignment, g.dma_alignment);
    EXPECT_EQ(back.virtual_boundary_mask, g.virtual_boundary_mask);
    EXPECT_TRUE(back.read_only && back.rotational && back.volatile_cache && back.fua);
    EXPECT_EQ(back.discard.max_bytes, g.discard.max_bytes);
    EXPECT_EQ(back.discard.granularity, g.discard.granularity);
    EXPECT_EQ(back.discard.alignment, g.discard.alignment);
    EXPECT_EQ(back.max_write_zeroes_bytes, g.max_write_zeroes_bytes);
    EXPECT_EQ(back.segments.boundary_mask, g.segments.boundary_mask);
    EXPECT_EQ(back.segments.max_bytes, g.segments.max_bytes);
    EXPECT_EQ(back.segments.max_segments, g.segments.max_segments);
}

} // namespace
} // namespace ublk
