// SPDX-License-Identifier: MIT
// The checks of requests and results.
#include "checked_target.h"

#include "zone_report.h"

namespace ublk {

CheckedTarget::CheckedTarget(Target& target)
    : target_(&target), geometry_(target.geometry()), limit_(geometry_.size_bytes) {}

void CheckedTarget::allow_up_to(std::uint64_t size) noexcept {
    if (size > limit_.load(std::memory_order_relaxed))
        limit_.store(size, std::memory_order_relaxed);
}

int CheckedTarget::check(const detail::Tag& tag) const noexcept {
    if (tag.op == Op::read) [[likely]]
        return check_transfer(tag);
    switch (tag.op) {
    case Op::read:
        return check_transfer(tag);
    case Op::write:
        return geometry_.read_only ? -EROFS : check_transfer(tag);
    case Op::flush:
        return geometry_.volatile_cache ? 0 : -EOPNOTSUPP;
    case Op::discard:
        if (geometry_.read_only)
            return -EROFS;
        return geometry_.discard.max_bytes ? check_range(tag) : -EOPNOTSUPP;
    case Op::write_zeroes:
        if (geometry_.read_only)
            return -EROFS;
        return geometry_.max_write_zeroes_bytes ? check_range(tag) : -EOPNOTSUPP;
    case Op::zone_append:
    case Op::zone_open:
    case Op::zone_close:
    case Op::zone_finish:
    case Op::zone_reset:
    case Op::zone_reset_all:
        if (geometry_.is_zoned() && geometry_.read_only)
            return -EROFS;
        return check_zone(tag);
    case Op::report_zones:
        return check_zone(tag);
    }
    return -EOPNOTSUPP;
}

int CheckedTarget::check_transfer(const detail::Tag& tag) const noexcept {
    if (tag.length > geometry_.max_io_bytes)
        return -EINVAL;
    if (const int error = check_range(tag))
        return error;
    const std::uint64_t last = tag.offset + tag.length - 1;
    const std::uint64_t zone = geometry_.zones.size_bytes;
    return zone && tag.offset / zone != last / zone ? -EINVAL : 0;
}

int CheckedTarget::check_zone(const detail::Tag& tag) const noexcept {
    if (!geometry_.is_zoned())
        return -EOPNOTSUPP;
    if (tag.op == Op::zone_reset_all)
        return 0;
    if (tag.offset >= geometry_.size_bytes || tag.offset % geometry_.zones.size_bytes)
        return -EINVAL;
    if (tag.op == Op::zone_append)
        return check_append(tag);
    return tag.op == Op::report_zones ? check_report(tag) : 0;
}

int CheckedTarget::check_append(const detail::Tag& tag) const noexcept {
    const bool too_long = tag.length > geometry_.zones.max_append_bytes;
    return too_long ? -EINVAL : check_range(tag);
}

int CheckedTarget::check_report(const detail::Tag& tag) const noexcept {
    const std::uint64_t first = tag.offset / geometry_.zones.size_bytes;
    const std::uint64_t count = geometry_.size_bytes / geometry_.zones.size_bytes;
    const unsigned wanted = zones_wanted(tag);
    const bool fits = tag.length <= geometry_.max_io_bytes;
    return wanted && wanted <= count - first && fits ? 0 : -EINVAL;
}

int CheckedTarget::check_range(const detail::Tag& tag) const noexcept {
    const std::uint64_t size = limit_.load(std::memory_order_relaxed);
    const std::uint64_t unaligned = geometry_.logical_block_size - 1;
    if (tag.length == 0 || ((tag.offset | tag.length) & unaligned))
        return -EINVAL;
    return tag.length <= size && tag.offset <= size - tag.length ? 0 : -EINVAL;
}

bool CheckedTarget::allowed(const detail::Tag& tag, int result) const noexcept {
    if (result < 0 || (tag.op <= Op::write && static_cast<std::uint64_t>(result) == tag.length))
        return true;
    if (tag.op == Op::report_zones)
        return report_is_possible(tag);
    if (has_data(tag.op) && static_cast<std::uint64_t>(result) != tag.length)
        return false;
    return tag.op != Op::zone_append || append_is_possible(tag);
}

bool CheckedTarget::append_is_possible(const detail::Tag& tag) const noexcept {
    const std::uint64_t place = tag.appended_at;
    return place >= tag.offset && place % geometry_.logical_block_size == 0 &&
           place - tag.offset <= geometry_.zones.size_bytes - tag.length;
}

// The zones are described in the request's buffer.
bool CheckedTarget::report_is_possible(const detail::Tag& tag) const noexcept {
    const std::uint64_t size = geometry_.zones.size_bytes;
    std::uint64_t start = tag.offset;
    for (unsigned index = 0; index < zones_wanted(tag); ++index, start += size) {
        const blk_zone zone = described_zone(tag, index);
        if (zone.len == 0)
            return true;
        if (zone.start * sector_size != start || zone.len * sector_size != size ||
            !is_possible(zone))
            return false;
    }
    return true;
}

} // namespace ublk
