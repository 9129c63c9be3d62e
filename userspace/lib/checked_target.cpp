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

int CheckedTarget::check(const detail::Request& request) const noexcept {
    switch (request.op) {
    case Op::read:
        return check_transfer(request);
    case Op::write:
        return geometry_.read_only ? -EROFS : check_transfer(request);
    case Op::flush:
        return geometry_.volatile_cache ? 0 : -EOPNOTSUPP;
    case Op::discard:
        if (geometry_.read_only)
            return -EROFS;
        return geometry_.discard.max_bytes ? check_range(request) : -EOPNOTSUPP;
    case Op::write_zeroes:
        if (geometry_.read_only)
            return -EROFS;
        return geometry_.max_write_zeroes_bytes ? check_range(request) : -EOPNOTSUPP;
    case Op::zone_append:
    case Op::zone_open:
    case Op::zone_close:
    case Op::zone_finish:
    case Op::zone_reset:
    case Op::zone_reset_all:
        if (geometry_.is_zoned() && geometry_.read_only)
            return -EROFS;
        return check_zone(request);
    case Op::report_zones:
        return check_zone(request);
    }
    return -EOPNOTSUPP;
}

int CheckedTarget::check_transfer(const detail::Request& request) const noexcept {
    if (request.length > geometry_.max_io_bytes)
        return -EINVAL;
    if (const int error = check_range(request))
        return error;
    const std::uint64_t last = request.offset + request.length - 1;
    const std::uint64_t zone = geometry_.zones.size_bytes;
    return zone && request.offset / zone != last / zone ? -EINVAL : 0;
}

int CheckedTarget::check_zone(const detail::Request& request) const noexcept {
    if (!geometry_.is_zoned())
        return -EOPNOTSUPP;
    if (request.op == Op::zone_reset_all)
        return 0;
    if (request.offset >= geometry_.size_bytes || request.offset % geometry_.zones.size_bytes)
        return -EINVAL;
    if (request.op == Op::zone_append)
        return check_append(request);
    return request.op == Op::report_zones ? check_report(request) : 0;
}

int CheckedTarget::check_append(const detail::Request& request) const noexcept {
    const bool too_long = request.length > geometry_.zones.max_append_bytes;
    return too_long ? -EINVAL : check_range(request);
}

int CheckedTarget::check_report(const detail::Request& request) const noexcept {
    const std::uint64_t first = request.offset / geometry_.zones.size_bytes;
    const std::uint64_t count = geometry_.size_bytes / geometry_.zones.size_bytes;
    const unsigned wanted = detail::zones_wanted(request);
    const bool fits = request.length <= geometry_.max_io_bytes;
    return wanted && wanted <= count - first && fits ? 0 : -EINVAL;
}

int CheckedTarget::check_range(const detail::Request& request) const noexcept {
    const std::uint64_t size = limit_.load(std::memory_order_relaxed);
    const std::uint64_t unaligned = geometry_.logical_block_size - 1;
    if (request.length == 0 || ((request.offset | request.length) & unaligned))
        return -EINVAL;
    return request.length <= size && request.offset <= size - request.length ? 0 : -EINVAL;
}

bool CheckedTarget::allowed(const detail::Request& request, int result) const noexcept {
    if (result < 0)
        return true;
    if (request.op == Op::report_zones)
        return report_is_possible(request);
    if (detail::has_data(request.op) && static_cast<std::uint64_t>(result) != request.length)
        return false;
    return request.op != Op::zone_append || append_is_possible(request);
}

bool CheckedTarget::append_is_possible(const detail::Request& request) const noexcept {
    const std::uint64_t place = request.appended_at;
    return place >= request.offset && place % geometry_.logical_block_size == 0 &&
           place - request.offset <= geometry_.zones.size_bytes - request.length;
}

// The zones are described in the request's buffer.
bool CheckedTarget::report_is_possible(const detail::Request& request) const noexcept {
    const std::uint64_t size = geometry_.zones.size_bytes;
    std::uint64_t start = request.offset;
    for (unsigned index = 0; index < detail::zones_wanted(request); ++index, start += size) {
        const blk_zone zone = described_zone(request, index);
        if (zone.len == 0)
            return true;
        if (zone.start * sector_size != start || zone.len * sector_size != size ||
            !is_possible(zone))
            return false;
    }
    return true;
}

} // namespace ublk
