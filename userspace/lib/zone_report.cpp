// SPDX-License-Identifier: MIT
// Writes and reads descriptors of zones, in the kernel's unit, and knows which ones can be.
#include "zone_report.h"

#include <cassert>
#include <cstring>

#include <ublk/geometry.h>

namespace ublk {

namespace {

static_assert(static_cast<int>(ZoneType::conventional) == BLK_ZONE_TYPE_CONVENTIONAL);
static_assert(static_cast<int>(ZoneType::sequential) == BLK_ZONE_TYPE_SEQWRITE_REQ);
static_assert(static_cast<int>(ZoneCondition::no_write_pointer) == BLK_ZONE_COND_NOT_WP);
static_assert(static_cast<int>(ZoneCondition::empty) == BLK_ZONE_COND_EMPTY);
static_assert(static_cast<int>(ZoneCondition::implicitly_open) == BLK_ZONE_COND_IMP_OPEN);
static_assert(static_cast<int>(ZoneCondition::explicitly_open) == BLK_ZONE_COND_EXP_OPEN);
static_assert(static_cast<int>(ZoneCondition::closed) == BLK_ZONE_COND_CLOSED);
static_assert(static_cast<int>(ZoneCondition::read_only) == BLK_ZONE_COND_READONLY);
static_assert(static_cast<int>(ZoneCondition::full) == BLK_ZONE_COND_FULL);
static_assert(static_cast<int>(ZoneCondition::offline) == BLK_ZONE_COND_OFFLINE);

std::byte* place_of(const detail::Request& request, unsigned index) {
    assert(request.op == Op::report_zones && index < detail::zones_wanted(request));
    return request.buffer + index * sizeof(blk_zone);
}

} // namespace

void clear_report(const detail::Request& request) noexcept {
    std::memset(request.buffer, 0, request.length);
}

blk_zone described_zone(const detail::Request& request, unsigned index) noexcept {
    blk_zone zone{};
    std::memcpy(&zone, place_of(request, index), sizeof zone);
    return zone;
}

bool is_possible(const blk_zone& zone) noexcept {
    if (zone.capacity == 0 || zone.capacity > zone.len)
        return false;
    const bool conventional = zone.type == BLK_ZONE_TYPE_CONVENTIONAL;
    switch (zone.cond) {
    case BLK_ZONE_COND_NOT_WP:
        return conventional;
    case BLK_ZONE_COND_EMPTY:
        return !conventional && zone.wp == zone.start;
    case BLK_ZONE_COND_IMP_OPEN:
    case BLK_ZONE_COND_EXP_OPEN:
    case BLK_ZONE_COND_CLOSED:
        return !conventional && zone.wp >= zone.start && zone.wp - zone.start < zone.capacity;
    case BLK_ZONE_COND_FULL:
        return !conventional;
    case BLK_ZONE_COND_READONLY:
    case BLK_ZONE_COND_OFFLINE:
        return true;
    default:
        return false;
    }
}

namespace detail {

unsigned zones_wanted(const Request& request) noexcept {
    return static_cast<unsigned>(request.length / sizeof(blk_zone));
}

void report(const Request& request, unsigned index, const Zone& zone) noexcept {
    blk_zone raw{};
    raw.start = zone.start / sector_size;
    raw.len = zone.length / sector_size;
    raw.capacity = zone.capacity / sector_size;
    raw.wp = zone.write_pointer / sector_size;
    raw.type = static_cast<std::uint8_t>(zone.type);
    raw.cond = static_cast<std::uint8_t>(zone.condition);
    std::memcpy(place_of(request, index), &raw, sizeof raw);
}

} // namespace detail

} // namespace ublk
