// SPDX-License-Identifier: GPL-2.0-or-later
// Turns exports into geometries, and compares them.
#include "nbd_export.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>

namespace ublk::targets::nbd {

namespace {

constexpr std::uint32_t largest_block = 4096;
constexpr std::uint32_t granule_of_io = 4096; // max_io_bytes is a multiple of it
// Of discards and zeroes: a server has to answer one within the limit of time.
constexpr std::uint32_t longest_of_no_data = 64U << 20;

Error unfit(std::string what, std::string hint) {
    return Error{EINVAL, "the export " + std::move(what), std::move(hint), ErrorKind::backend};
}

std::uint32_t least_block(const Export& offered) { return std::max(offered.minimum, sector_size); }

} // namespace

std::uint32_t Export::longest_transfer() const noexcept {
    const std::uint32_t block = std::max(minimum, sector_size);
    const std::uint32_t most = maximum ? std::min(maximum, most_payload) : most_payload;
    return std::max(most / block * block, block);
}

Result<Geometry> geometry_of(const Export& offered, Cache cache, const GeometryRequest& request) {
    const std::uint32_t least = least_block(offered);
    if (!std::has_single_bit(least) || least > largest_block)
        return unfit("takes blocks of " + std::to_string(least) + " bytes only",
                     "a disk's are 4096 at most; with nbdkit --filter=blocksize it takes smaller "
                     "ones");
    const std::uint32_t block = request.logical_block_size ? request.logical_block_size : least;
    if (block < least)
        return Error{EINVAL, "block size " + std::to_string(block),
                     "the export takes blocks of " + std::to_string(least) + " bytes only",
                     ErrorKind::usage};
    const std::uint64_t size = request.size_bytes ? request.size_bytes : offered.size;
    if (size > offered.size)
        return Error{ENODATA, "the export",
                     "it has " + std::to_string(offered.size) + " bytes, the disk " +
                         std::to_string(size),
                     ErrorKind::backend};
    if (size == 0 || (std::has_single_bit(block) && size % block))
        return unfit("has " + std::to_string(size) + " bytes, which are no blocks of " +
                         std::to_string(block),
                     "make it larger, or with nbdkit --filter=truncate round-up=" +
                         std::to_string(block));
    const bool read_only = request.read_only || offered.read_only;
    if (cache == Cache::writethrough && !read_only && !offered.fua && offered.flush)
        return Error{EOPNOTSUPP, "cache=writethrough", "the server does not know FUA",
                     ErrorKind::backend};

    Geometry geometry;
    geometry.size_bytes = size;
    geometry.logical_block_size = block;
    const bool usable = std::has_single_bit(offered.preferred) && offered.preferred >= block;
    geometry.physical_block_size =
        std::max(block, usable ? std::min(offered.preferred, largest_block) : largest_block);
    if (usable && offered.preferred > geometry.physical_block_size) {
        geometry.io_min = offered.preferred;
        geometry.io_opt = offered.preferred;
    }
    // What the server takes less of is sent in parts.
    geometry.max_io_bytes =
        std::max(std::min(geometry.max_io_bytes, offered.longest_transfer()) / granule_of_io, 1U) *
        granule_of_io;
    geometry.read_only = read_only;
    geometry.rotational = offered.rotational;
    geometry.volatile_cache = !read_only && offered.flush && cache == Cache::writeback;
    geometry.fua = geometry.volatile_cache && offered.fua;
    if (!read_only && offered.trim)
        geometry.discard = {.max_bytes = longest_of_no_data, .granularity = block};
    if (!read_only && offered.zero)
        geometry.max_write_zeroes_bytes = longest_of_no_data;
    GeometryRequest rest = request;
    rest.read_only = read_only;
    return apply(rest, geometry);
}

std::vector<std::string> remarks_on(const Export& offered, bool asked_read_only) {
    std::vector<std::string> remarks;
    if (offered.read_only && !asked_read_only)
        remarks.emplace_back("the export is read-only, and so is the disk");
    if (!offered.read_only && !offered.flush)
        remarks.emplace_back("the server knows no flush: what it has answered must be safe");
    return remarks;
}

std::string refusal(const Export& before, const Export& now, std::uint64_t size) {
    if (now.size < size)
        return "the export has " + std::to_string(now.size) + " bytes by now, the disk " +
               std::to_string(size);
    if (now.read_only && !before.read_only)
        return "the export is read-only by now";
    if (now.name != before.name)
        return "it is another export: '" + now.name + "', not '" + before.name + "'";
    if (now.description != before.description)
        return "it is another export: described as '" + now.description + "', not '" +
               before.description + "'";
    if (least_block(now) > least_block(before))
        return "the export takes blocks of " + std::to_string(least_block(now)) +
               " bytes only by now";
    if (now.longest_transfer() < before.longest_transfer())
        return "the export takes " + std::to_string(now.longest_transfer()) +
               " bytes at a time only by now";
    struct Ability {
        bool before;
        bool now;
        std::string_view name;
    };
    const std::array abilities{
        Ability{before.flush, now.flush, "flush"}, Ability{before.fua, now.fua, "FUA"},
        Ability{before.trim, now.trim, "discard"}, Ability{before.zero, now.zero, "write-zeroes"},
        Ability{before.multi_conn, now.multi_conn, "several connections"}};
    for (const Ability& ability : abilities)
        if (ability.before && !ability.now)
            return "the export does not know " + std::string(ability.name) + " any more";
    return {};
}

} // namespace ublk::targets::nbd
