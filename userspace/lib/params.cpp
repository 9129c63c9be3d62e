// SPDX-License-Identifier: MIT
// Parameters that have their default are left out, so that drivers which do not know them yet work.
#include "params.h"

#include <bit>

namespace ublk {

namespace {

constexpr std::uint32_t default_dma_alignment = 4;

std::uint8_t shift_of(std::uint32_t power_of_two) {
    return power_of_two ? static_cast<std::uint8_t>(std::countr_zero(power_of_two)) : 0;
}

std::uint32_t from_shift(std::uint8_t shift) { return shift ? 1U << shift : 0; }

std::uint32_t attributes(const Geometry& g) {
    return (g.read_only ? UBLK_ATTR_READ_ONLY : 0U) | (g.rotational ? UBLK_ATTR_ROTATIONAL : 0U) |
           (g.volatile_cache ? UBLK_ATTR_VOLATILE_CACHE : 0U) | (g.fua ? UBLK_ATTR_FUA : 0U);
}

void set_discard(ublk_params& params, const Geometry& g) {
    if (!g.discard.max_bytes && !g.max_write_zeroes_bytes)
        return;
    params.types |= UBLK_PARAM_TYPE_DISCARD;
    params.discard.discard_alignment = g.discard.alignment;
    params.discard.discard_granularity =
        g.discard.granularity ? g.discard.granularity : g.logical_block_size;
    params.discard.max_discard_sectors = g.discard.max_bytes / sector_size;
    params.discard.max_write_zeroes_sectors = g.max_write_zeroes_bytes / sector_size;
    params.discard.max_discard_segments = 1;
}

void set_segments(ublk_params& params, const Geometry& g) {
    const SegmentLimits& s = g.segments;
    if (!s.boundary_mask && !s.max_bytes && !s.max_segments)
        return;
    params.types |= UBLK_PARAM_TYPE_SEGMENT;
    params.seg.seg_boundary_mask = s.boundary_mask ? s.boundary_mask : UINT64_MAX;
    params.seg.max_segment_size = s.max_bytes ? s.max_bytes : UINT32_MAX;
    params.seg.max_segments = s.max_segments ? s.max_segments : UINT16_MAX;
}

void set_zones(ublk_params& params, const Geometry& g) {
    if (!g.is_zoned())
        return;
    params.types |= UBLK_PARAM_TYPE_ZONED;
    params.basic.chunk_sectors = static_cast<std::uint32_t>(g.zones.size_bytes / sector_size);
    params.zoned.max_open_zones = g.zones.max_open;
    params.zoned.max_active_zones = g.zones.max_active;
    params.zoned.max_zone_append_sectors = g.zones.max_append_bytes / sector_size;
}

} // namespace

ublk_params to_params(const Geometry& g) {
    ublk_params params{};
    params.len = sizeof params;
    params.types = UBLK_PARAM_TYPE_BASIC;
    params.basic.attrs = attributes(g);
    params.basic.logical_bs_shift = shift_of(g.logical_block_size);
    params.basic.physical_bs_shift = shift_of(g.physical_block_size);
    params.basic.io_min_shift = shift_of(g.io_min ? g.io_min : g.physical_block_size);
    params.basic.io_opt_shift = shift_of(g.io_opt);
    params.basic.max_sectors = g.max_io_bytes / sector_size;
    params.basic.chunk_sectors = g.chunk_bytes / sector_size;
    params.basic.dev_sectors = g.size_bytes / sector_size;
    params.basic.virt_boundary_mask = g.virtual_boundary_mask;
    set_discard(params, g);
    set_segments(params, g);
    set_zones(params, g);
    if (g.dma_alignment && g.dma_alignment != default_dma_alignment) {
        params.types |= UBLK_PARAM_TYPE_DMA_ALIGN;
        params.dma.alignment = g.dma_alignment - 1;
    }
    return params;
}

Geometry from_params(const ublk_params& params) {
    Geometry g;
    g.size_bytes = params.basic.dev_sectors * sector_size;
    g.logical_block_size = from_shift(params.basic.logical_bs_shift);
    g.physical_block_size = from_shift(params.basic.physical_bs_shift);
    g.io_min = from_shift(params.basic.io_min_shift);
    g.io_opt = from_shift(params.basic.io_opt_shift);
    g.max_io_bytes = params.basic.max_sectors * sector_size;
    g.chunk_bytes = params.basic.chunk_sectors * sector_size;
    g.virtual_boundary_mask = params.basic.virt_boundary_mask;
    g.read_only = params.basic.attrs & UBLK_ATTR_READ_ONLY;
    g.rotational = params.basic.attrs & UBLK_ATTR_ROTATIONAL;
    g.volatile_cache = params.basic.attrs & UBLK_ATTR_VOLATILE_CACHE;
    g.fua = params.basic.attrs & UBLK_ATTR_FUA;
    if (params.types & UBLK_PARAM_TYPE_DISCARD) {
        g.discard.max_bytes = params.discard.max_discard_sectors * sector_size;
        g.discard.granularity = params.discard.discard_granularity;
        g.discard.alignment = params.discard.discard_alignment;
        g.discard.max_segments = params.discard.max_discard_segments;
        g.max_write_zeroes_bytes = params.discard.max_write_zeroes_sectors * sector_size;
    }
    if (params.types & UBLK_PARAM_TYPE_DMA_ALIGN)
        g.dma_alignment = params.dma.alignment + 1;
    if (params.types & UBLK_PARAM_TYPE_SEGMENT) {
        g.segments.boundary_mask =
            params.seg.seg_boundary_mask == UINT64_MAX ? 0 : params.seg.seg_boundary_mask;
        g.segments.max_bytes =
            params.seg.max_segment_size == UINT32_MAX ? 0 : params.seg.max_segment_size;
        g.segments.max_segments =
            params.seg.max_segments == UINT16_MAX ? std::uint16_t{0} : params.seg.max_segments;
    }
    if (params.types & UBLK_PARAM_TYPE_ZONED) {
        g.zones.size_bytes = std::uint64_t{params.basic.chunk_sectors} * sector_size;
        g.zones.max_append_bytes = params.zoned.max_zone_append_sectors * sector_size;
        g.zones.max_open = params.zoned.max_open_zones;
        g.zones.max_active = params.zoned.max_active_zones;
        g.chunk_bytes = 0;
    }
    return g;
}

} // namespace ublk
