// SPDX-License-Identifier: MIT
// Checks a geometry against the ranges that the header documents, which are those of the driver.
#include <ublk/geometry.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>

namespace ublk {

namespace {

constexpr std::uint32_t page = 4096;
constexpr std::uint32_t largest_block = 256U << 20;
constexpr std::uint64_t largest_zone = std::uint64_t{1} << 40;

bool power_of_two_within(std::uint64_t value, std::uint64_t low, std::uint64_t high) {
    return std::has_single_bit(value) && value >= low && value <= high;
}

// nullptr, or what is wrong.
const char* problem_of_blocks(const Geometry& g) {
    if (!power_of_two_within(g.logical_block_size, sector_size, page))
        return "the logical block size must be 512, 1024, 2048 or 4096";
    if (!power_of_two_within(g.physical_block_size, g.logical_block_size, largest_block))
        return "the physical block size must be a power of two and not below the logical one";
    if (g.io_min && !power_of_two_within(g.io_min, g.logical_block_size, largest_block))
        return "io_min must be a power of two and not below the logical block size";
    if (g.io_opt && !power_of_two_within(g.io_opt, g.logical_block_size, largest_block))
        return "io_opt must be a power of two and not below the logical block size";
    if (g.size_bytes == 0)
        return "the device would be empty";
    return nullptr;
}

// The block size is valid. Users meet this one, so it names the next size that fits.
Result<void> check_whole_blocks(const Geometry& g) {
    const std::uint64_t block = g.logical_block_size;
    if (g.size_bytes % block == 0)
        return {};
    return Error{EINVAL,
                 "size=" + std::to_string(g.size_bytes) + " is not a multiple of the block size " +
                     std::to_string(block),
                 "use size=" + std::to_string((g.size_bytes / block + 1) * block),
                 ErrorKind::backend};
}

const char* problem_of_limits(const Geometry& g) {
    if (g.max_io_bytes < page || g.max_io_bytes > largest_io_bytes || g.max_io_bytes % page)
        return "the longest I/O must be a multiple of 4096 from 4K to 32M";
    if (g.chunk_bytes % sector_size)
        return "the chunk size is not a multiple of 512";
    if (g.dma_alignment && !power_of_two_within(g.dma_alignment, 1, page))
        return "the DMA alignment must be a power of two up to 4096";
    const SegmentLimits& s = g.segments;
    if (s.boundary_mask &&
        (s.boundary_mask < page - 1 || !std::has_single_bit(s.boundary_mask + 1)))
        return "the segment boundary mask must be a power of two minus 1, at least 4095";
    if (s.max_bytes && s.max_bytes < page)
        return "a segment must be allowed 4096 bytes";
    return nullptr;
}

const char* problem_of_operations(const Geometry& g) {
    const DiscardLimits& d = g.discard;
    if (g.fua && !g.volatile_cache)
        return "FUA without a volatile cache makes no sense";
    if (d.max_bytes % sector_size || g.max_write_zeroes_bytes % sector_size)
        return "the longest discard and write-zeroes must be multiples of 512";
    if (d.granularity % g.logical_block_size || (d.granularity && d.alignment >= d.granularity))
        return "the discard granularity must be a multiple of the logical block, above the "
               "alignment";
    if (d.max_bytes && d.max_segments != 1)
        return "a discard has exactly one segment";
    return nullptr;
}

const char* problem_of_zones(const Geometry& g) {
    const ZoneLimits& z = g.zones;
    if (!g.is_zoned())
        return z.max_append_bytes || z.max_open || z.max_active
                   ? "a device without zones has no limits of zones"
                   : nullptr;
    if (!power_of_two_within(z.size_bytes, page, largest_zone))
        return "the zone size must be a power of two from 4K to 1T";
    if (g.size_bytes % z.size_bytes)
        return "a zoned device must consist of whole zones";
    if (g.chunk_bytes)
        return "the chunk size of a zoned device is that of its zones";
    if (z.max_append_bytes == 0 || z.max_append_bytes % g.logical_block_size)
        return "the longest append must be a multiple of the logical block size, and not 0";
    if (z.max_append_bytes > std::min<std::uint64_t>(g.max_io_bytes, z.size_bytes))
        return "the longest append must not be longer than the longest I/O and a zone";
    const std::uint64_t count = g.size_bytes / z.size_bytes;
    if (z.max_open > count || z.max_active > count)
        return "no more zones can be open or active than there are";
    if (z.max_active && z.max_open > z.max_active)
        return "no more zones can be open than active";
    return nullptr;
}

} // namespace

Result<void> validate(const Geometry& geometry) {
    for (const auto problem_of :
         {problem_of_blocks, problem_of_limits, problem_of_operations, problem_of_zones}) {
        if (const char* problem = problem_of(geometry))
            return Error{EINVAL, "check the geometry", problem, ErrorKind::usage};
    }
    return check_whole_blocks(geometry);
}

Result<Geometry> apply(const GeometryRequest& request, Geometry geometry) {
    if (request.logical_block_size)
        geometry.logical_block_size = request.logical_block_size;
    if (request.physical_block_size)
        geometry.physical_block_size = request.physical_block_size;
    else
        geometry.physical_block_size =
            std::max(geometry.physical_block_size, geometry.logical_block_size);
    if (geometry.discard.max_bytes)
        geometry.discard.granularity =
            std::max(geometry.discard.granularity, geometry.logical_block_size);
    if (request.max_io_bytes)
        geometry.max_io_bytes = request.max_io_bytes;
    if (request.size_bytes)
        geometry.size_bytes = request.size_bytes;
    geometry.zones.max_append_bytes =
        std::min(geometry.zones.max_append_bytes, geometry.max_io_bytes);
    geometry.read_only = geometry.read_only || request.read_only;
    if (Result<void> valid = validate(geometry); !valid)
        return valid.error();
    return geometry;
}

} // namespace ublk
