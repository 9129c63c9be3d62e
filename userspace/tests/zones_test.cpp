// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets/zones.h"

#include <cerrno>
#include <gtest/gtest.h>

namespace ublk::targets {
namespace {

constexpr std::uint64_t size = 65536;
constexpr std::uint64_t capacity = 49152;

ZoneLayout layout(std::uint32_t max_open = 0, std::uint32_t max_active = 0) {
    return {.zone_size = size,
            .zone_capacity = capacity,
            .zones = 8,
            .conventional = 1,
            .max_open = max_open,
            .max_active = max_active,
            .block_size = 4096};
}

int write(Zones& zones, std::uint32_t zone, std::uint64_t at, std::uint64_t length = 4096) {
    const int error = zones.begin_write(zone, at, length);
    if (!error)
        zones.end_write(zone, length);
    return error;
}

ZoneCondition condition(const Zones& zones, std::uint32_t zone) {
    return zones.describe(zone).condition;
}

std::uint64_t pointer(const Zones& zones, std::uint32_t zone) {
    return zones.describe(zone).write_pointer - zone * size;
}

TEST(Zones, AreEmptyAtFirstAndTheFirstOnesConventional) {
    const Zones zones{layout()};
    const Zone first = zones.describe(0);
    EXPECT_EQ(first.type, ZoneType::conventional);
    EXPECT_EQ(first.condition, ZoneCondition::no_write_pointer);
    EXPECT_EQ(first.capacity, size);
    const Zone last = zones.describe(7);
    EXPECT_EQ(last.start, 7 * size);
    EXPECT_EQ(last.length, size);
    EXPECT_EQ(last.capacity, capacity);
    EXPECT_EQ(last.write_pointer, last.start);
    EXPECT_EQ(last.type, ZoneType::sequential);
    EXPECT_EQ(last.condition, ZoneCondition::empty);
}

TEST(Zones, WriteOpensTheZoneAndMovesThePointer) {
    Zones zones{layout()};
    EXPECT_EQ(write(zones, 2, 0), 0);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::implicitly_open);
    EXPECT_EQ(write(zones, 2, 4096, 8192), 0);
    EXPECT_EQ(pointer(zones, 2), 12288U);
    EXPECT_EQ(zones.readable(2), 12288U);
}

TEST(Zones, WriteElsewhereThanAtThePointerFailsAndChangesNothing) {
    Zones zones{layout()};
    EXPECT_EQ(write(zones, 2, 4096), -EIO);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::empty);
    EXPECT_EQ(write(zones, 2, 0), 0);
    for (std::uint64_t at : {0U, 8192U})
        EXPECT_EQ(write(zones, 2, at), -EIO);
    EXPECT_EQ(pointer(zones, 2), 4096U);
}

TEST(Zones, CapacityIsTheEndAndTheZoneIsFullThere) {
    Zones zones{layout()};
    EXPECT_EQ(write(zones, 3, 0, capacity + 4096), -EIO);
    EXPECT_EQ(write(zones, 3, 0, capacity - 4096), 0);
    EXPECT_EQ(write(zones, 3, capacity - 4096, 8192), -EIO);
    EXPECT_EQ(write(zones, 3, capacity - 4096), 0);
    EXPECT_EQ(condition(zones, 3), ZoneCondition::full);
    EXPECT_EQ(pointer(zones, 3), size);
    EXPECT_EQ(write(zones, 3, capacity), -EIO);
}

TEST(Zones, FailedWriteLeavesThePointerWhereItWas) {
    Zones zones{layout()};
    ASSERT_EQ(zones.begin_write(2, 0, 4096), 0);
    EXPECT_EQ(pointer(zones, 2), 0U) << "nothing was written yet";
    zones.end_write(2, 0);
    EXPECT_EQ(pointer(zones, 2), 0U);
    EXPECT_EQ(write(zones, 2, 0), 0);
}

TEST(Zones, AreOpenedAndClosedExplicitly) {
    Zones zones{layout()};
    EXPECT_EQ(zones.open(2), 0);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::explicitly_open);
    EXPECT_EQ(zones.open(2), 0);
    EXPECT_EQ(zones.close(2), 0);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::empty) << "nothing is in it";
    EXPECT_EQ(zones.close(2), -EIO);

    EXPECT_EQ(zones.open(2), 0);
    EXPECT_EQ(write(zones, 2, 0), 0);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::explicitly_open) << "a write does not close it";
    EXPECT_EQ(zones.close(2), 0);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::closed);
    EXPECT_EQ(zones.close(2), 0);
    EXPECT_EQ(write(zones, 2, 4096), 0);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::implicitly_open);
    EXPECT_EQ(zones.open(2), 0);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::explicitly_open);
}

TEST(Zones, FinishedZoneIsFullAndWhatWasNotWrittenIsNotReadable) {
    Zones zones{layout()};
    EXPECT_EQ(write(zones, 2, 0), 0);
    for (std::uint32_t zone : {2U, 3U}) {
        EXPECT_EQ(zones.finish(zone), 0);
        EXPECT_EQ(zones.finish(zone), 0);
        EXPECT_EQ(condition(zones, zone), ZoneCondition::full);
        EXPECT_EQ(pointer(zones, zone), size);
        EXPECT_EQ(write(zones, zone, 4096), -EIO);
        EXPECT_EQ(zones.open(zone), -EIO);
        EXPECT_EQ(zones.close(zone), -EIO);
    }
    EXPECT_EQ(zones.readable(2), 4096U);
    EXPECT_EQ(zones.readable(3), 0U);
}

TEST(Zones, ResetEmptiesFromEveryCondition) {
    Zones zones{layout()};
    const auto reset_and_look = [&zones] {
        EXPECT_EQ(zones.reset(2), 0);
        EXPECT_EQ(condition(zones, 2), ZoneCondition::empty);
        EXPECT_EQ(pointer(zones, 2), 0U);
        EXPECT_EQ(zones.readable(2), 0U);
    };
    reset_and_look();
    write(zones, 2, 0);
    reset_and_look();
    zones.open(2);
    reset_and_look();
    write(zones, 2, 0);
    zones.close(2);
    reset_and_look();
    zones.finish(2);
    reset_and_look();
}

TEST(Zones, ConventionalOnesKnowNoOperation) {
    Zones zones{layout()};
    EXPECT_EQ(zones.open(0), -EIO);
    EXPECT_EQ(zones.close(0), -EIO);
    EXPECT_EQ(zones.finish(0), -EIO);
    EXPECT_EQ(zones.reset(0), -EIO);
    EXPECT_EQ(zones.readable(0), size);
}

TEST(ZoneLimits, ImplicitlyOpenZoneThatWasWrittenLeastRecentlyGivesWay) {
    Zones zones{layout(3)};
    for (std::uint32_t zone : {1U, 2U, 3U})
        ASSERT_EQ(write(zones, zone, 0), 0);
    ASSERT_EQ(write(zones, 1, 4096), 0);
    EXPECT_EQ(write(zones, 4, 0), 0);
    EXPECT_EQ(condition(zones, 1), ZoneCondition::implicitly_open);
    EXPECT_EQ(condition(zones, 2), ZoneCondition::closed);
    EXPECT_EQ(write(zones, 2, 4096), 0) << "it is opened again";
    EXPECT_EQ(condition(zones, 3), ZoneCondition::closed);
    EXPECT_EQ(zones.open(5), 0);
    EXPECT_EQ(condition(zones, 1), ZoneCondition::closed);
    EXPECT_EQ(condition(zones, 4), ZoneCondition::implicitly_open);
}

TEST(ZoneLimits, ExplicitlyOpenZonesDoNotGiveWay) {
    Zones zones{layout(2)};
    ASSERT_EQ(zones.open(1), 0);
    ASSERT_EQ(zones.open(2), 0);
    EXPECT_EQ(zones.open(3), -ETOOMANYREFS);
    EXPECT_EQ(write(zones, 3, 0), -ETOOMANYREFS);
    EXPECT_EQ(condition(zones, 3), ZoneCondition::empty);
    EXPECT_EQ(write(zones, 2, 0), 0) << "it is open";
    EXPECT_EQ(zones.close(1), 0);
    EXPECT_EQ(write(zones, 3, 0), 0);
    EXPECT_EQ(zones.open(3), 0) << "that takes no more room than it has";
    EXPECT_EQ(zones.open(4), -ETOOMANYREFS);
}

TEST(ZoneLimits, ActiveZonesAreOpenOrClosedAndNoneGivesWay) {
    Zones zones{layout(2, 3)};
    for (std::uint32_t zone : {1U, 2U, 3U})
        ASSERT_EQ(write(zones, zone, 0), 0);
    EXPECT_EQ(write(zones, 4, 0), -EOVERFLOW);
    EXPECT_EQ(zones.open(4), -EOVERFLOW);
    EXPECT_EQ(write(zones, 1, 4096), 0) << "it is active, though closed";
    EXPECT_EQ(zones.finish(4), 0) << "a full zone is not active";
    EXPECT_EQ(zones.finish(2), 0);
    EXPECT_EQ(write(zones, 5, 0), 0);
    EXPECT_EQ(write(zones, 6, 0), -EOVERFLOW);
    EXPECT_EQ(zones.reset(1), 0);
    EXPECT_EQ(write(zones, 6, 0), 0);
    EXPECT_EQ(write(zones, 6, 4096, capacity - 4096), 0);
    EXPECT_EQ(write(zones, 7, 0), 0) << "a zone that filled up has made room";
}

TEST(ZoneLimits, ZoneThatIsClosedWhileItIsWrittenGoesOnAsClosed) {
    Zones zones{layout(1, 2)};
    ASSERT_EQ(zones.begin_write(1, 0, 4096), 0);
    ASSERT_EQ(write(zones, 2, 0), 0);
    EXPECT_EQ(condition(zones, 1), ZoneCondition::closed);
    EXPECT_EQ(write(zones, 3, 0), -EOVERFLOW) << "both are active";
    zones.end_write(1, 4096);
    EXPECT_EQ(condition(zones, 1), ZoneCondition::closed);
    EXPECT_EQ(pointer(zones, 1), 4096U);

    ASSERT_EQ(zones.begin_write(1, 4096, capacity - 4096), 0);
    ASSERT_EQ(write(zones, 2, 4096), 0);
    zones.end_write(1, capacity - 4096);
    EXPECT_EQ(condition(zones, 1), ZoneCondition::full);
    EXPECT_EQ(write(zones, 3, 0), 0);
}

TEST(ZoneLimits, ZoneWhoseFirstWriteFailsWhileItIsClosedIsEmptyAgain) {
    Zones zones{layout(1, 2)};
    ASSERT_EQ(zones.begin_write(1, 0, 4096), 0);
    ASSERT_EQ(write(zones, 2, 0), 0);
    zones.end_write(1, 0);
    EXPECT_EQ(condition(zones, 1), ZoneCondition::empty);
    EXPECT_EQ(write(zones, 3, 0), 0) << "it is not active";
}

TEST(ZoneRecords, BringBackWhatWasWrittenAndOpenZonesAsClosed) {
    Zones before{layout()};
    write(before, 1, 0);
    before.open(2);
    before.open(3);
    write(before, 3, 0);
    before.finish(3);
    write(before, 4, 0, capacity);
    before.open(5);
    write(before, 5, 0, 8192);
    std::vector<ZoneRecord> records;
    for (std::uint32_t zone = 0; zone < 8; ++zone)
        records.push_back(before.record(zone));

    Zones after{layout(0, 3), records};
    EXPECT_EQ(condition(after, 0), ZoneCondition::no_write_pointer);
    EXPECT_EQ(condition(after, 1), ZoneCondition::closed);
    EXPECT_EQ(pointer(after, 1), 4096U);
    EXPECT_EQ(condition(after, 2), ZoneCondition::empty);
    EXPECT_EQ(condition(after, 3), ZoneCondition::full);
    EXPECT_EQ(after.readable(3), 4096U);
    EXPECT_EQ(condition(after, 4), ZoneCondition::full);
    EXPECT_EQ(after.readable(4), capacity);
    EXPECT_EQ(condition(after, 5), ZoneCondition::closed);
    EXPECT_EQ(after.open(6), 0);
    EXPECT_EQ(after.open(7), -EOVERFLOW) << "the closed ones count";
}

} // namespace
} // namespace ublk::targets
