// SPDX-License-Identifier: MIT
// Geometry is what a block device says about itself: size, block sizes, limits and abilities.
// All quantities are bytes.
#ifndef UBLK_GEOMETRY_H
#define UBLK_GEOMETRY_H

#include <cstdint>

#include <ublk/result.h>

namespace ublk {

inline constexpr std::uint32_t sector_size = 512;
inline constexpr std::uint32_t largest_io_bytes = 32U << 20;

struct DiscardLimits {
    std::uint32_t max_bytes = 0;    // longest discard; 0: the device cannot discard
    std::uint32_t granularity = 0;  // multiple of the logical block; 0: one logical block
    std::uint32_t alignment = 0;    // offset of the first granule, below granularity
    std::uint16_t max_segments = 1; // the driver takes 1 only
};

// Zero means "no limit of ours" in every field.
struct SegmentLimits {
    std::uint64_t boundary_mask = 0; // power of two minus 1, at least 4095
    std::uint32_t max_bytes = 0;     // at least 4096
    std::uint16_t max_segments = 0;
};

// Of a zoned device, which consists of zones of one size; see ublk/zone.h.
struct ZoneLimits {
    std::uint64_t size_bytes = 0;       // of a zone: power of two, 4096 ... 1 TiB; 0: not zoned
    std::uint32_t max_append_bytes = 0; // longest zone_append: whole blocks, up to max_io_bytes
    std::uint32_t max_open = 0;         // zones that can be open at a time; 0: all
    std::uint32_t max_active = 0;       // that can be open or closed at a time; 0: all

    bool operator==(const ZoneLimits&) const = default;
};

struct Geometry {
    std::uint64_t size_bytes = 0;             // > 0, multiple of logical_block_size
    std::uint32_t logical_block_size = 512;   // power of two, 512 ... 4096
    std::uint32_t physical_block_size = 4096; // power of two, logical_block_size ... 256 MiB
    std::uint32_t io_min = 0;                 // power of two or 0: physical_block_size
    std::uint32_t io_opt = 0;                 // power of two or 0: unknown
    // Longest read or write: multiple of 4096, 4096 ... 32 MiB.
    std::uint32_t max_io_bytes = 512U * 1024;
    std::uint32_t chunk_bytes = 0; // no I/O crosses a multiple of this; 0: unlimited
    // What the submitter's memory is aligned to: power of two up to 4096; 0: the driver's default.
    std::uint32_t dma_alignment = 0;
    std::uint64_t virtual_boundary_mask = 0; // the kernel's virt_boundary; 0: none

    bool read_only = false; // writes, discards and write-zeroes never reach the target
    bool rotational = false;
    // Completed writes may be lost until a flush: the target gets Op::flush.
    bool volatile_cache = false;
    bool fua = false; // the target honours Request::fua; needs volatile_cache

    DiscardLimits discard{};
    std::uint32_t max_write_zeroes_bytes = 0; // 0: the device cannot write zeroes
    SegmentLimits segments{};
    // The device is whole zones, no read or write crosses the end of one, and chunk_bytes is 0.
    ZoneLimits zones{};

    bool is_zoned() const noexcept { return zones.size_bytes != 0; }
};

// Says which field is out of its documented range.
Result<void> validate(const Geometry& geometry);

// What the user asked for on top of what a target would choose; 0 leaves the choice to the target.
struct GeometryRequest {
    std::uint32_t logical_block_size = 0;
    std::uint32_t physical_block_size = 0;
    std::uint32_t max_io_bytes = 0;
    bool read_only = false;
    std::uint64_t size_bytes = 0;
};

// The target's geometry with the user's wishes applied; fails if the outcome is invalid. A larger
// logical block raises the physical one with it.
Result<Geometry> apply(const GeometryRequest& request, Geometry geometry);

} // namespace ublk

#endif
