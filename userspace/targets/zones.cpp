// SPDX-License-Identifier: GPL-2.0-or-later
// The state machine of zones, as the standards of zoned disks (ZBC, ZNS) and the kernel know it:
//
//               write, open          close, or another zone needs the room
//     EMPTY --------------------> OPEN <--------------------------------------> CLOSED
//       ^                          |            write, open                       |
//       |  reset                   | finish, or the capacity is reached           | finish
//       +--------- any            FULL <------------------------------------------+
//
// Open zones that only a write has opened give way to others that want to be open.
#include "zones.h"

#include <cassert>
#include <cerrno>

namespace ublk::targets {

Zones::Zones(const ZoneLayout& layout)
    : Zones(layout, std::vector<ZoneRecord>(layout.zones, ZoneRecord{})) {}

Zones::Zones(const ZoneLayout& layout, const std::vector<ZoneRecord>& records)
    : layout_(layout), zones_(layout.zones) {
    for (std::uint32_t zone = 0; zone < layout.zones; ++zone) {
        State& state = zones_[zone];
        state.written = records[zone].written;
        if (layout.is_conventional(zone))
            state.condition = ZoneCondition::no_write_pointer;
        else if (records[zone].full)
            state.condition = ZoneCondition::full;
        else if (state.written)
            enter(zone, ZoneCondition::closed);
    }
}

Zone Zones::describe(std::uint32_t zone) const {
    const std::lock_guard lock{mutex_};
    const State& state = zones_[zone];
    const std::uint64_t start = layout_.start_of(zone);
    if (layout_.is_conventional(zone))
        return {.start = start,
                .length = layout_.zone_size,
                .capacity = layout_.zone_size,
                .write_pointer = start,
                .type = ZoneType::conventional,
                .condition = state.condition};
    const bool full = state.condition == ZoneCondition::full;
    return {.start = start,
            .length = layout_.zone_size,
            .capacity = layout_.zone_capacity,
            .write_pointer = start + (full ? layout_.zone_size : state.written),
            .type = ZoneType::sequential,
            .condition = state.condition};
}

ZoneRecord Zones::record(std::uint32_t zone) const {
    const std::lock_guard lock{mutex_};
    const State& state = zones_[zone];
    return {state.written, state.condition == ZoneCondition::full};
}

std::uint64_t Zones::readable(std::uint32_t zone) const {
    const std::lock_guard lock{mutex_};
    return layout_.is_conventional(zone) ? layout_.zone_size : zones_[zone].written;
}

int Zones::begin_write(std::uint32_t zone, std::uint64_t at, std::uint64_t length) {
    const std::lock_guard lock{mutex_};
    State& state = zones_[zone];
    switch (state.condition) {
    case ZoneCondition::empty:
    case ZoneCondition::closed:
    case ZoneCondition::implicitly_open:
    case ZoneCondition::explicitly_open:
        break;
    default:
        return -EIO;
    }
    if (at != state.written || length > layout_.zone_capacity - state.written)
        return -EIO;
    if (state.condition == ZoneCondition::empty || state.condition == ZoneCondition::closed) {
        if (const int error = make_room(state.condition))
            return error;
        enter(zone, ZoneCondition::implicitly_open);
    }
    assert(!state.writing && "somebody writes without having the zone's turn");
    state.writing = true;
    return 0;
}

// The zone may have been closed meanwhile, to make room for another.
void Zones::end_write(std::uint32_t zone, std::uint64_t length) {
    const std::lock_guard lock{mutex_};
    State& state = zones_[zone];
    state.writing = false;
    state.written += length;
    if (state.written == layout_.zone_capacity)
        enter(zone, ZoneCondition::full);
    else if (state.condition == ZoneCondition::implicitly_open)
        join_line(zone); // at the end, being the one that was written last
    else if (state.condition == ZoneCondition::closed)
        settle(zone);
}

int Zones::open(std::uint32_t zone) {
    const std::lock_guard lock{mutex_};
    switch (const ZoneCondition from = zones_[zone].condition) {
    case ZoneCondition::explicitly_open:
        return 0;
    case ZoneCondition::empty:
    case ZoneCondition::closed:
        if (const int error = make_room(from))
            return error;
        [[fallthrough]];
    case ZoneCondition::implicitly_open:
        enter(zone, ZoneCondition::explicitly_open);
        return 0;
    default:
        return -EIO;
    }
}

int Zones::close(std::uint32_t zone) {
    const std::lock_guard lock{mutex_};
    switch (zones_[zone].condition) {
    case ZoneCondition::closed:
        return 0;
    case ZoneCondition::implicitly_open:
    case ZoneCondition::explicitly_open:
        settle(zone);
        return 0;
    default:
        return -EIO;
    }
}

int Zones::finish(std::uint32_t zone) {
    const std::lock_guard lock{mutex_};
    if (layout_.is_conventional(zone))
        return -EIO;
    enter(zone, ZoneCondition::full);
    return 0;
}

int Zones::reset(std::uint32_t zone) {
    const std::lock_guard lock{mutex_};
    if (layout_.is_conventional(zone))
        return -EIO;
    zones_[zone].written = 0;
    enter(zone, ZoneCondition::empty);
    return 0;
}

// From any condition; keeps the counts and the line of those that can be closed.
void Zones::enter(std::uint32_t zone, ZoneCondition condition) {
    State& state = zones_[zone];
    if (std::uint32_t* count = count_of(state.condition))
        --*count;
    if (state.condition == ZoneCondition::implicitly_open)
        leave_line(zone);
    state.condition = condition;
    if (std::uint32_t* count = count_of(condition))
        ++*count;
    if (condition == ZoneCondition::implicitly_open)
        join_line(zone);
}

// What a zone is that is no longer open. One that is being written keeps its place among the active
// ones, though its pointer has not moved yet.
void Zones::settle(std::uint32_t zone) {
    const State& state = zones_[zone];
    const bool untouched = state.written == 0 && !state.writing;
    enter(zone, untouched ? ZoneCondition::empty : ZoneCondition::closed);
}

// For one more open zone, which comes from this condition.
int Zones::make_room(ZoneCondition from) {
    const std::uint32_t active = open_zones() + closed_;
    if (from == ZoneCondition::empty && layout_.max_active && active >= layout_.max_active)
        return -EOVERFLOW;
    if (!layout_.max_open || open_zones() < layout_.max_open)
        return 0;
    if (oldest_ == nobody)
        return -ETOOMANYREFS;
    settle(oldest_);
    return 0;
}

std::uint32_t* Zones::count_of(ZoneCondition condition) {
    switch (condition) {
    case ZoneCondition::implicitly_open:
        return &implicitly_open_;
    case ZoneCondition::explicitly_open:
        return &explicitly_open_;
    case ZoneCondition::closed:
        return &closed_;
    default:
        return nullptr;
    }
}

void Zones::leave_line(std::uint32_t zone) {
    State& state = zones_[zone];
    (state.older == nobody ? oldest_ : zones_[state.older].newer) = state.newer;
    (state.newer == nobody ? newest_ : zones_[state.newer].older) = state.older;
    state.older = state.newer = nobody;
}

void Zones::join_line(std::uint32_t zone) {
    State& state = zones_[zone];
    if (newest_ == zone)
        return;
    if (state.newer != nobody)
        leave_line(zone);
    state.older = newest_;
    (newest_ == nobody ? oldest_ : zones_[newest_].newer) = zone;
    newest_ = zone;
}

} // namespace ublk::targets
