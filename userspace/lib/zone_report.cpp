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

std::byte* place_of(const detail::Tag& tag, unsigned index) {
    assert(tag.op == Op::report_zones && index < zones_wanted(tag));
    return tag.buffer + index * sizeof(blk_zone);
}

} // namespace

void clear_report(const detail::Tag& tag) noexcept { std::memset(tag.buffer, 0, tag.length); }

blk_zone described_zone(const detail::Tag& tag, unsigned index) noexcept {
    blk_zone zone{};
    std::memcpy(&zone, place_of(tag, index), sizeof zone);
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

unsigned zones_wanted(const detail::Tag& tag) noexcept {
    return static_cast<unsigned>(tag.length / sizeof(blk_zone));
}

unsigned Request::zones_wanted() const noexcept {
    return op == Op::report_zones ? static_cast<unsigned>(data.size() / sizeof(blk_zone)) : 0;
}

void Request::report(unsigned index, const Zone& zone) const noexcept {
    assert(index < zones_wanted());
    blk_zone raw{};
    raw.start = zone.start / sector_size;
    raw.len = zone.length / sector_size;
    raw.capacity = zone.capacity / sector_size;
    raw.wp = zone.write_pointer / sector_size;
    raw.type = static_cast<std::uint8_t>(zone.type);
    raw.cond = static_cast<std::uint8_t>(zone.condition);
    std::memcpy(data.memory().data() + index * sizeof raw, &raw, sizeof raw);
}

} // namespace ublk
