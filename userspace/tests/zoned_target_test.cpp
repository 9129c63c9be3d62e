// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server_with_driver.h"
#include "support/target_bench.h"
#include "support/temporary_directory.h"
#include "targets/zone_format.h"

namespace ublk::targets {
namespace {

using test::pattern;
using testing::HasSubstr;

constexpr std::uint64_t zone_size = 1 << 20;
constexpr std::uint64_t capacity = 768 << 10;

using Words = std::vector<std::string>;

Result<std::unique_ptr<Target>> create(const Words& words, const GeometryRequest& request = {}) {
    return test::create_target("zoned", words, request);
}

const Words four_zones{"size=4M", "zone-size=1M", "zone-capacity=768K", "conventional=1"};

Words with(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
}

// A disk in life: the target and its only user. Before anybody can use it the driver asks for
// zones.
struct Disk {
    explicit Disk(Result<std::unique_ptr<Target>> created)
        : target(expect_made(std::move(created))), bench(*target, 4, CopyMode::user) {
        EXPECT_EQ(bench.report(0, 1).size(), 1U);
    }

    static std::unique_ptr<Target> expect_made(Result<std::unique_ptr<Target>> created) {
        if (created)
            return *std::move(created);
        throw std::runtime_error(created.error().message());
    }

    int write(std::uint64_t offset, std::size_t length, unsigned seed, std::uint32_t flags = 0) {
        return bench.write(offset, pattern(length, seed), flags);
    }
    std::vector<std::byte> read(std::uint64_t offset, std::size_t length) {
        std::vector<std::byte> data(length, std::byte{0xee});
        EXPECT_EQ(bench.read(offset, data), static_cast<int>(length));
        return data;
    }
    blk_zone zone(unsigned index) { return bench.report(index * zone_size, 1).at(0); }
    unsigned condition(unsigned index) { return zone(index).cond; }
    // From the zone's start.
    std::uint64_t pointer(unsigned index) { return zone(index).wp * 512 - index * zone_size; }

    std::unique_ptr<Target> target;
    test::TargetBench bench;
};

std::vector<std::byte> zeroes(std::size_t length) { return std::vector<std::byte>(length); }

std::int64_t allocated_bytes(int fd) {
    struct stat file {};
    EXPECT_EQ(::fstat(fd, &file), 0);
    return file.st_blocks * 512;
}

// What holds for a disk wherever it lies.
class ZonedTarget : public testing::TestWithParam<const char*> {
protected:
    bool in_file() const { return std::string{GetParam()} == "file"; }
    Words where() const { return in_file() ? Words{"file=" + directory_.path("disk")} : Words{}; }

    test::TemporaryDirectory directory_;
    Disk disk_{create(with(four_zones, where()))};
    test::TargetBench& bench_{disk_.bench};
};

INSTANTIATE_TEST_SUITE_P(In, ZonedTarget, testing::Values("memory", "file"),
                         [](const auto& test) { return std::string{test.param}; });

TEST_P(ZonedTarget, SaysWhatItIs) {
    const Geometry g = disk_.target->geometry();
    EXPECT_EQ(g.size_bytes, 4U << 20);
    EXPECT_EQ(g.logical_block_size, 4096U);
    EXPECT_EQ(g.zones.size_bytes, zone_size);
    EXPECT_EQ(g.zones.max_append_bytes, g.max_io_bytes);
    EXPECT_EQ(g.volatile_cache, in_file());
    EXPECT_EQ(g.fua, in_file());
    EXPECT_EQ(g.discard.max_bytes, 0U);
    EXPECT_EQ(disk_.target->data_access(), DataAccess::memory);
    EXPECT_EQ(disk_.target->persistence(), in_file() ? Persistence::flushed : Persistence::process);
}

TEST_P(ZonedTarget, ReportsEveryZone) {
    const auto zones = bench_.report(0, 4);
    ASSERT_EQ(zones.size(), 4U);
    EXPECT_EQ(zones[0].type, BLK_ZONE_TYPE_CONVENTIONAL);
    EXPECT_EQ(zones[0].cond, BLK_ZONE_COND_NOT_WP);
    EXPECT_EQ(zones[3].type, BLK_ZONE_TYPE_SEQWRITE_REQ);
    EXPECT_EQ(zones[3].cond, BLK_ZONE_COND_EMPTY);
    EXPECT_EQ(zones[3].start, 3 * zone_size / 512);
    EXPECT_EQ(zones[3].wp, zones[3].start);
    EXPECT_EQ(zones[3].len, zone_size / 512);
    EXPECT_EQ(zones[3].capacity, capacity / 512);
    EXPECT_EQ(bench_.report(2 * zone_size, 2).size(), 2U);
}

TEST_P(ZonedTarget, WritesAtThePointerAndReadsThatBack) {
    EXPECT_EQ(disk_.write(zone_size, 8192, 1), 8192);
    EXPECT_EQ(disk_.write(zone_size + 8192, 4096, 2), 4096);
    EXPECT_EQ(disk_.pointer(1), 12288U);
    EXPECT_EQ(disk_.condition(1), BLK_ZONE_COND_IMP_OPEN);
    EXPECT_EQ(disk_.read(zone_size, 8192), pattern(8192, 1));
    EXPECT_EQ(disk_.read(zone_size + 8192, 4096), pattern(4096, 2));
}

TEST_P(ZonedTarget, WriteElsewhereFails) {
    EXPECT_EQ(disk_.write(zone_size + 4096, 4096, 1), -EIO);
    EXPECT_EQ(disk_.write(zone_size, 4096, 1), 4096);
    EXPECT_EQ(disk_.write(zone_size, 4096, 2), -EIO);
    EXPECT_EQ(disk_.write(zone_size + 8192, 4096, 2), -EIO);
    EXPECT_EQ(disk_.read(zone_size, 4096), pattern(4096, 1));
}

TEST_P(ZonedTarget, BeyondThePointerThereAreZeroes) {
    EXPECT_EQ(disk_.write(zone_size, 4096, 1), 4096);
    std::vector<std::byte> expected = pattern(4096, 1);
    expected.resize(12288);
    EXPECT_EQ(disk_.read(zone_size, 12288), expected);
    EXPECT_EQ(disk_.read(zone_size + 4096, 8192), zeroes(8192));
    EXPECT_EQ(disk_.read(2 * zone_size - 4096, 4096), zeroes(4096)) << "beyond the capacity";
    EXPECT_EQ(disk_.read(2 * zone_size, 4096), zeroes(4096)) << "of an empty zone";
}

TEST_P(ZonedTarget, AppendsGoToThePointerAndTellWhere) {
    EXPECT_EQ(disk_.write(zone_size, 4096, 1), 4096);
    for (unsigned i = 1; i < 4; ++i) {
        EXPECT_EQ(bench_.append(zone_size, pattern(4096, i + 1)), 4096);
        EXPECT_EQ(bench_.appended_at(), zone_size + i * 4096);
    }
    for (unsigned i = 0; i < 4; ++i)
        EXPECT_EQ(disk_.read(zone_size + i * 4096, 4096), pattern(4096, i + 1));
    EXPECT_EQ(bench_.append(0, pattern(4096, 1)), -EIO) << "a conventional zone";
}

TEST_P(ZonedTarget, AppendsAtATimeDoNotOverlap) {
    for (unsigned tag = 0; tag < 4; ++tag) {
        bench_.driver().pages(0, tag) = pattern(8192, tag);
        bench_.submit(tag,
                      {.op = UBLK_IO_OP_ZONE_APPEND, .sector = zone_size / 512, .sectors = 16});
    }
    bench_.finish_all();
    for (unsigned tag = 0; tag < 4; ++tag) {
        ASSERT_EQ(bench_.result(tag), 8192);
        EXPECT_EQ(bench_.appended_at(tag), zone_size + tag * 8192) << "in the order of arrival";
    }
    for (unsigned tag = 0; tag < 4; ++tag)
        EXPECT_EQ(disk_.read(zone_size + tag * 8192, 8192), pattern(8192, tag));
}

TEST_P(ZonedTarget, ZoneIsFullAtItsCapacity) {
    const std::size_t half = capacity / 2;
    EXPECT_EQ(disk_.write(zone_size, half, 1), static_cast<int>(half));
    EXPECT_EQ(disk_.write(zone_size + half, half - 4096, 2), static_cast<int>(half - 4096));
    EXPECT_EQ(bench_.append(zone_size, pattern(8192, 3)), -EIO);
    EXPECT_EQ(bench_.append(zone_size, pattern(4096, 3)), 4096);
    EXPECT_EQ(disk_.condition(1), BLK_ZONE_COND_FULL);
    EXPECT_EQ(bench_.append(zone_size, pattern(4096, 4)), -EIO);
    EXPECT_EQ(disk_.write(zone_size + capacity, 4096, 4), -EIO);
    EXPECT_EQ(disk_.read(zone_size + capacity - 4096, 4096), pattern(4096, 3));
    EXPECT_EQ(disk_.write(2 * zone_size, 4096, 5), 4096) << "its neighbour is not";
}

TEST_P(ZonedTarget, OperationsOnZonesDoWhatTheySay) {
    EXPECT_EQ(bench_.zone(UBLK_IO_OP_ZONE_OPEN, 2 * zone_size), 0);
    EXPECT_EQ(disk_.condition(2), BLK_ZONE_COND_EXP_OPEN);
    EXPECT_EQ(disk_.write(2 * zone_size, 4096, 1), 4096);
    EXPECT_EQ(bench_.zone(UBLK_IO_OP_ZONE_CLOSE, 2 * zone_size), 0);
    EXPECT_EQ(disk_.condition(2), BLK_ZONE_COND_CLOSED);
    EXPECT_EQ(bench_.zone(UBLK_IO_OP_ZONE_FINISH, 2 * zone_size), 0);
    EXPECT_EQ(disk_.condition(2), BLK_ZONE_COND_FULL);
    EXPECT_EQ(disk_.read(2 * zone_size, 4096), pattern(4096, 1));
    EXPECT_EQ(disk_.read(2 * zone_size + 4096, 4096), zeroes(4096));
    EXPECT_EQ(bench_.zone(UBLK_IO_OP_ZONE_RESET, 2 * zone_size), 0);
    EXPECT_EQ(disk_.condition(2), BLK_ZONE_COND_EMPTY);
    EXPECT_EQ(disk_.read(2 * zone_size, 4096), zeroes(4096));
    EXPECT_EQ(disk_.write(2 * zone_size, 4096, 2), 4096);
    EXPECT_EQ(disk_.read(2 * zone_size, 4096), pattern(4096, 2));
    for (unsigned op : {UBLK_IO_OP_ZONE_OPEN, UBLK_IO_OP_ZONE_CLOSE, UBLK_IO_OP_ZONE_FINISH,
                        UBLK_IO_OP_ZONE_RESET})
        EXPECT_EQ(bench_.zone(op, 0), -EIO) << "a conventional zone";
}

TEST_P(ZonedTarget, ResetGivesSpaceBack) {
    const int fd = test::descriptors_of(*disk_.target).front();
    const std::size_t length = 512 << 10;
    ASSERT_EQ(disk_.write(zone_size, length, 1), static_cast<int>(length));
    ASSERT_EQ(disk_.write(2 * zone_size, length, 1), static_cast<int>(length));
    if (in_file()) {
        ASSERT_EQ(bench_.flush(), 0); // so that the file system counts the blocks
    }
    const std::int64_t before = allocated_bytes(fd);
    EXPECT_EQ(bench_.zone(UBLK_IO_OP_ZONE_RESET, zone_size), 0);
    EXPECT_LE(allocated_bytes(fd), before - static_cast<std::int64_t>(length));
    EXPECT_EQ(disk_.read(2 * zone_size, length), pattern(length, 1));
}

TEST_P(ZonedTarget, ResetOfAllLeavesConventionalZonesAlone) {
    EXPECT_EQ(disk_.write(4096, 4096, 7), 4096);
    for (unsigned zone = 1; zone < 4; ++zone)
        EXPECT_EQ(disk_.write(zone * zone_size, 4096, zone), 4096);
    EXPECT_EQ(bench_.request({.op = UBLK_IO_OP_ZONE_RESET_ALL}), 0);
    for (unsigned zone = 1; zone < 4; ++zone) {
        EXPECT_EQ(disk_.condition(zone), BLK_ZONE_COND_EMPTY);
        EXPECT_EQ(disk_.read(zone * zone_size, 4096), zeroes(4096));
    }
    EXPECT_EQ(disk_.read(4096, 4096), pattern(4096, 7));
    EXPECT_EQ(bench_.request({.op = UBLK_IO_OP_ZONE_RESET_ALL}), 0) << "nothing to do";
}

TEST_P(ZonedTarget, ConventionalZonesAreWrittenAnywhere) {
    EXPECT_EQ(disk_.write(8192, 8192, 1), 8192);
    EXPECT_EQ(disk_.write(4096, 8192, 2), 8192);
    EXPECT_EQ(disk_.write(zone_size - 4096, 4096, 3), 4096);
    EXPECT_EQ(disk_.read(4096, 8192), pattern(8192, 2));
    EXPECT_EQ(disk_.read(zone_size - 4096, 4096), pattern(4096, 3));
    EXPECT_EQ(disk_.read(0, 4096), zeroes(4096));
}

TEST_P(ZonedTarget, ServingAllocatesNoFrame) {
    for (int i = 0; i < 8; ++i) {
        EXPECT_EQ(disk_.write(zone_size + i * 4096, 4096, 1, UBLK_IO_F_FUA), 4096);
        disk_.read(zone_size, 4096);
        EXPECT_EQ(bench_.append(2 * zone_size, pattern(4096, 1)), 4096);
    }
    EXPECT_EQ(bench_.queue().statistics().frame_heap_allocations, 0U);
}

TEST(ZonedLimits, AreAnsweredWithTheErrorsOfTheBlockLayer) {
    Disk disk{create({"size=4M", "zone-size=1M", "max-open=1", "max-active=2"})};
    EXPECT_EQ(disk.target->geometry().zones.max_open, 1U);
    EXPECT_EQ(disk.target->geometry().zones.max_active, 2U);
    EXPECT_EQ(disk.write(0, 4096, 1), 4096);
    EXPECT_EQ(disk.write(zone_size, 4096, 1), 4096);
    EXPECT_EQ(disk.condition(0), BLK_ZONE_COND_CLOSED);
    EXPECT_EQ(disk.write(2 * zone_size, 4096, 1), -EOVERFLOW);
    EXPECT_EQ(disk.bench.zone(UBLK_IO_OP_ZONE_OPEN, zone_size), 0);
    EXPECT_EQ(disk.bench.append(0, pattern(4096, 1)), -ETOOMANYREFS);
}

TEST(ZonedLimits, ActiveAloneLimitsOpenToo) {
    const auto target = create({"size=4M", "zone-size=1M", "max-active=2"});
    EXPECT_EQ((*target)->geometry().zones.max_open, 2U);
}

class ZonedFile : public testing::Test {
protected:
    Words words(const Words& more = {}) const { return with({"file=" + path_}, more); }
    Words making() const { return with(words(), four_zones); }
    Error error_of(const Words& more, const GeometryRequest& request = {}) const {
        auto target = create(words(more), request);
        EXPECT_FALSE(target);
        return target ? Error{} : target.error();
    }
    // What a crash of the server leaves.
    std::string crashed() const {
        const std::string copy = path_ + ".crashed";
        std::filesystem::copy_file(path_, copy, std::filesystem::copy_options::overwrite_existing);
        return copy;
    }
    void spoil(std::uint64_t offset) const {
        std::fstream file{path_, std::ios::in | std::ios::out | std::ios::binary};
        file.seekg(static_cast<std::streamoff>(offset));
        const int byte = file.get();
        file.seekp(static_cast<std::streamoff>(offset));
        file.put(static_cast<char>(byte ^ 1));
    }

    test::TemporaryDirectory directory_;
    std::string path_ = directory_.path("disk");
};

TEST_F(ZonedFile, EverythingSurvivesDetach) {
    {
        Disk disk{create(with(making(), {"max-open=2", "max-active=3"}))};
        disk.write(4096, 4096, 1);
        disk.write(zone_size, 8192, 2);
        disk.write(2 * zone_size, 4096, 3);
        disk.bench.zone(UBLK_IO_OP_ZONE_FINISH, 2 * zone_size);
        disk.bench.zone(UBLK_IO_OP_ZONE_OPEN, zone_size);
    } // nobody flushed
    Disk disk{create(words())};
    const Geometry g = disk.target->geometry();
    EXPECT_EQ(g.size_bytes, 4U << 20);
    EXPECT_EQ(g.zones.size_bytes, zone_size);
    EXPECT_EQ(g.zones.max_open, 2U);
    EXPECT_EQ(g.zones.max_active, 3U);
    EXPECT_EQ(disk.condition(0), BLK_ZONE_COND_NOT_WP);
    EXPECT_EQ(disk.condition(1), BLK_ZONE_COND_CLOSED);
    EXPECT_EQ(disk.pointer(1), 8192U);
    EXPECT_EQ(disk.condition(2), BLK_ZONE_COND_FULL);
    EXPECT_EQ(disk.condition(3), BLK_ZONE_COND_EMPTY);
    EXPECT_EQ(disk.zone(3).capacity, capacity / 512);
    EXPECT_EQ(disk.read(4096, 4096), pattern(4096, 1));
    EXPECT_EQ(disk.read(zone_size, 8192), pattern(8192, 2));
    EXPECT_EQ(disk.read(2 * zone_size + 4096, 4096), zeroes(4096)) << "finished, not written";
    EXPECT_EQ(disk.write(zone_size + 8192, 4096, 4), 4096);
}

TEST_F(ZonedFile, TakesManyZonesThroughDetachTwice) {
    const Words many{"size=64M", "zone-size=64K"};
    for (unsigned round = 0; round < 3; ++round) {
        Disk disk{create(words(many))};
        for (unsigned zone : {0U, 253U, 254U, 1023U}) {
            const blk_zone found = disk.bench.report(zone * 65536U, 1).at(0);
            EXPECT_EQ(found.wp - found.start, round * 8) << zone;
            EXPECT_EQ(disk.write(zone * 65536U + round * 4096, 4096, zone), 4096);
        }
    }
}

TEST_F(ZonedFile, KeysThatAgreeMayBeGivenAgain) {
    { const Disk disk{create(making(), {.logical_block_size = 512})}; }
    EXPECT_TRUE(create(making(), {.logical_block_size = 512}));
    for (const Words& wrong :
         {Words{"size=8M"}, Words{"zone-size=2M"}, Words{"zone-capacity=1M"},
          Words{"conventional=0"}, Words{"max-open=1"}, Words{"max-active=1"}}) {
        const Error error = error_of(wrong);
        EXPECT_EQ(error.kind, ErrorKind::usage) << wrong[0];
        EXPECT_THAT(error.step, HasSubstr(wrong[0].substr(0, wrong[0].find('='))));
        EXPECT_THAT(error.hint, HasSubstr("leave it out"));
    }
    EXPECT_EQ(error_of({}, {.logical_block_size = 4096}).kind, ErrorKind::usage);
}

TEST_F(ZonedFile, WhatWasNotFlushedIsNotClaimedAfterACrash) {
    Disk disk{create(making())};
    ASSERT_EQ(disk.write(zone_size, 8192, 1), 8192);
    ASSERT_EQ(disk.bench.flush(), 0);
    ASSERT_EQ(disk.write(zone_size + 8192, 4096, 2), 4096);
    ASSERT_EQ(disk.write(2 * zone_size, 4096, 3), 4096);
    Disk after{create({"file=" + crashed()})};
    EXPECT_EQ(after.pointer(1), 8192U);
    EXPECT_EQ(after.read(zone_size, 8192), pattern(8192, 1));
    EXPECT_EQ(after.read(zone_size + 8192, 4096), zeroes(4096));
    EXPECT_EQ(after.condition(2), BLK_ZONE_COND_EMPTY);
    EXPECT_EQ(after.write(2 * zone_size, 4096, 4), 4096);
}

TEST_F(ZonedFile, FuaIsDurableWithAllThatLiesBeforeIt) {
    Disk disk{create(making())};
    ASSERT_EQ(disk.write(zone_size, 4096, 1), 4096);
    ASSERT_EQ(disk.write(zone_size + 4096, 4096, 2, UBLK_IO_F_FUA), 4096);
    ASSERT_EQ(disk.bench.append(2 * zone_size, pattern(4096, 3), UBLK_IO_F_FUA), 4096);
    Disk after{create({"file=" + crashed()})};
    EXPECT_EQ(after.pointer(1), 8192U);
    EXPECT_EQ(after.read(zone_size, 4096), pattern(4096, 1));
    EXPECT_EQ(after.read(zone_size + 4096, 4096), pattern(4096, 2));
    EXPECT_EQ(after.read(2 * zone_size, 4096), pattern(4096, 3));
}

TEST_F(ZonedFile, FlushesThatWaitShareOneCommit) {
    Disk disk{create(making())};
    unsigned syncs = 0;
    disk.bench.driver().observe(
        [&syncs](const io_uring_sqe& sqe) { syncs += sqe.opcode == IORING_OP_FSYNC; });
    ASSERT_EQ(disk.write(zone_size, 4096, 1), 4096);
    for (unsigned tag = 0; tag < 4; ++tag)
        disk.bench.submit(tag, {.op = UBLK_IO_OP_FLUSH});
    disk.bench.finish_all();
    EXPECT_EQ(syncs, 3U) << "two of the first, and one of those that came meanwhile";
}

TEST_F(ZonedFile, TornTableFallsBackToTheStateBefore) {
    {
        Disk disk{create(making())};
        disk.write(zone_size, 4096, 1);
        disk.bench.flush(); // sequence 1
        disk.write(zone_size + 4096, 4096, 2);
    } // sequence 2
    spoil(zone_format::place_of(0, 2) + 300);
    testing::internal::CaptureStderr();
    Disk disk{create(words())};
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("torn"));
    EXPECT_EQ(disk.pointer(1), 4096U);
    EXPECT_EQ(disk.read(zone_size, 8192).front(), pattern(1, 1)[0]);
    EXPECT_EQ(disk.read(zone_size + 4096, 4096), zeroes(4096));
    ASSERT_EQ(disk.write(zone_size + 4096, 4096, 3), 4096);
    ASSERT_EQ(disk.bench.flush(), 0);
    Disk after{create({"file=" + crashed()})};
    EXPECT_EQ(after.pointer(1), 8192U) << "the torn one was replaced";
}

TEST_F(ZonedFile, DamageIsRefused) {
    {
        Disk disk{create(making())};
        disk.write(zone_size, 4096, 1);
        disk.bench.flush();
        disk.write(zone_size + 4096, 4096, 2);
    }
    spoil(zone_format::place_of(0, 1) + 300);
    spoil(zone_format::place_of(0, 2) + 300);
    const Error error = error_of({});
    EXPECT_EQ(error.code, EUCLEAN);
    EXPECT_EQ(error.kind, ErrorKind::backend);
    EXPECT_FALSE(error.hint.empty());
    spoil(20); // of the superblock
    EXPECT_EQ(error_of({}).code, EUCLEAN);
    spoil(0);
    EXPECT_EQ(error_of({}).code, EMEDIUMTYPE);
}

TEST_F(ZonedFile, FailedSyncFailsTheFlushAndEverythingThatWrites) {
    Disk disk{create(making())};
    ASSERT_EQ(disk.write(zone_size, 4096, 1), 4096);
    disk.bench.driver().fail_next_operation(IORING_OP_FSYNC, -EIO);
    testing::internal::CaptureStderr();
    EXPECT_EQ(disk.bench.flush(), -EIO);
    EXPECT_EQ(disk.bench.flush(), -EIO) << "the kernel has forgotten what it could not write";
    const std::string told = testing::internal::GetCapturedStderr();
    EXPECT_THAT(told, HasSubstr("every write fails"));
    EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1);
    EXPECT_EQ(disk.write(zone_size + 4096, 4096, 2), -EIO);
    EXPECT_EQ(disk.bench.zone(UBLK_IO_OP_ZONE_RESET, zone_size), -EIO);
    Disk after{create({"file=" + crashed()})};
    EXPECT_EQ(after.condition(1), BLK_ZONE_COND_EMPTY);
    const auto finished = disk.target->finish();
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error().code, EIO);
    EXPECT_TRUE(disk.target->finish()) << "it is told once";
}

TEST_F(ZonedFile, FailedWriteLeavesThePointerAndTheNextOneSucceeds) {
    Disk disk{create(making())};
    disk.bench.driver().fail_next_operation(IORING_OP_WRITE, -ENOSPC);
    EXPECT_EQ(disk.write(zone_size, 4096, 1), -ENOSPC);
    EXPECT_EQ(disk.pointer(1), 0U);
    EXPECT_EQ(disk.write(zone_size, 4096, 2), 4096);
    EXPECT_EQ(disk.read(zone_size, 4096), pattern(4096, 2));
}

TEST_F(ZonedFile, ReadOnlyIsReadAndReportedAndNotWritten) {
    {
        Disk disk{create(making())};
        disk.write(zone_size, 4096, 1);
    }
    const auto before = std::filesystem::last_write_time(path_);
    {
        Disk disk{create(words(), {.read_only = true})};
        EXPECT_FALSE(disk.target->geometry().volatile_cache);
        EXPECT_EQ(disk.pointer(1), 4096U);
        EXPECT_EQ(disk.read(zone_size, 4096), pattern(4096, 1));
        EXPECT_EQ(disk.write(zone_size + 4096, 4096, 2), -EROFS);
        EXPECT_EQ(disk.bench.zone(UBLK_IO_OP_ZONE_RESET, zone_size), -EROFS);
    }
    EXPECT_EQ(std::filesystem::last_write_time(path_), before);
}

TEST_F(ZonedFile, GoesWithADiskThatNeverWas) {
    ASSERT_TRUE(create(making()));
    EXPECT_FALSE(std::filesystem::exists(path_));
    { const Disk disk{create(making())}; }
    EXPECT_TRUE(std::filesystem::exists(path_)) << "somebody has seen that one";
    ASSERT_TRUE(create(words()));
    EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(ZonedFile, GoesWhenTheDriverHasNoZones) {
    auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = UBLK_F_USER_COPY;
    const auto server = start_with_driver(driver, *create(making()), {});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().kind, ErrorKind::driver);
    EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ZonedFile, EmptyFileIsFilledAndAnyOtherIsLeftAlone) {
    directory_.create_file("disk", 0);
    { const Disk disk{create(making())}; }
    EXPECT_GT(std::filesystem::file_size(path_), 4U << 20);

    directory_.create_file("disk", 8 << 20);
    for (const Words& more : {Words{}, four_zones}) {
        const Error error = error_of(more);
        EXPECT_EQ(error.code, EMEDIUMTYPE);
        EXPECT_EQ(error.kind, ErrorKind::backend);
    }
    directory_.create_file("disk", 100);
    EXPECT_EQ(error_of(four_zones).code, EMEDIUMTYPE);
}

TEST_F(ZonedFile, WithoutZonesNeedsASize) {
    Error error = error_of({});
    EXPECT_EQ(error.code, ENOENT);
    EXPECT_THAT(error.hint, HasSubstr("size="));
    directory_.create_file("disk", 0);
    error = error_of({});
    EXPECT_EQ(error.code, ENODATA);
    EXPECT_THAT(error.hint, HasSubstr("size="));
    EXPECT_EQ(error_of(four_zones, {.read_only = true}).kind, ErrorKind::usage);
    EXPECT_EQ(std::filesystem::file_size(path_), 0U);
}

TEST_F(ZonedFile, InUseIsBusy) {
    Disk disk{create(making())};
    EXPECT_EQ(error_of({}).code, EBUSY);
    EXPECT_EQ(error_of({}, {.read_only = true}).code, EBUSY);
}

TEST_F(ZonedFile, ThatWasCutIsRefused) {
    { const Disk disk{create(making())}; }
    std::filesystem::resize_file(path_, 4 << 20);
    const Error error = error_of({});
    EXPECT_EQ(error.code, ENODATA);
    EXPECT_THAT(error.hint, HasSubstr("truncate -s 5242880"));
}

TEST_F(ZonedFile, CutWhileItIsServedGivesErrors) {
    Disk disk{create(making())};
    ASSERT_EQ(disk.write(zone_size, 8192, 1), 8192);
    std::filesystem::resize_file(path_, (2 << 20) + 4096);
    std::vector<std::byte> data(8192);
    EXPECT_EQ(disk.bench.read(zone_size, data), -EIO);
    data.resize(4096);
    EXPECT_EQ(disk.bench.read(zone_size, data), 4096);
}

TEST_F(ZonedFile, MustBeARegularFile) {
    path_ = directory_.path();
    EXPECT_EQ(error_of(four_zones).code, EISDIR);
    path_ = "/dev/null";
    EXPECT_EQ(error_of(four_zones).code, ENOTSUP);
    path_ = directory_.path("none/disk");
    EXPECT_EQ(error_of(four_zones).code, ENOENT);
}

struct BadKeys {
    const char* name;
    Words words;
    const char* speaks_of;
};

class ZonedKeys : public testing::TestWithParam<BadKeys> {};

TEST_P(ZonedKeys, AreRefusedAsUsageWithAHint) {
    test::TemporaryDirectory directory;
    for (const Words& where : {Words{}, Words{"file=" + directory.path("disk")}}) {
        const auto target = create(with(GetParam().words, where));
        ASSERT_FALSE(target);
        EXPECT_EQ(target.error().kind, ErrorKind::usage);
        EXPECT_THAT(target.error().step, HasSubstr(GetParam().speaks_of));
        EXPECT_FALSE(target.error().hint.empty());
    }
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

INSTANTIATE_TEST_SUITE_P(
    Zoned, ZonedKeys,
    testing::Values(
        BadKeys{"no_zone", {"size=0", "zone-size=1M"}, "size=0"},
        BadKeys{"part_of_a_zone", {"size=1536K", "zone-size=1M"}, "size=1572864"},
        BadKeys{"below_the_default", {"size=64M"}, "size=67108864"},
        BadKeys{"odd_zone", {"size=6M", "zone-size=3M"}, "zone-size"},
        BadKeys{"small_zone", {"size=1M", "zone-size=32K"}, "zone-size"},
        BadKeys{"large_zone", {"size=2T", "zone-size=2T"}, "zone-size"},
        BadKeys{"too_many_zones", {"size=2T", "zone-size=64K"}, "size="},
        BadKeys{"no_capacity", {"size=1M", "zone-size=1M", "zone-capacity=0"}, "zone-capacity"},
        BadKeys{"large_capacity", {"size=1M", "zone-size=1M", "zone-capacity=2M"}, "zone-capacity"},
        BadKeys{"odd_capacity", {"size=1M", "zone-size=1M", "zone-capacity=1000"}, "zone-capacity"},
        BadKeys{"all_conventional", {"size=2M", "zone-size=1M", "conventional=2"}, "conventional"},
        BadKeys{"open_too_many",
                {"size=4M", "zone-size=1M", "conventional=1", "max-open=4"},
                "max-open"},
        BadKeys{"active_too_many", {"size=4M", "zone-size=1M", "max-active=5"}, "max-active"},
        BadKeys{"more_open_than_active",
                {"size=4M", "zone-size=1M", "max-active=2", "max-open=3"},
                "max-open"}),
    [](const auto& test) { return std::string{test.param.name}; });

TEST(ZonedTargetCreation, SizeMustBeGiven) {
    const auto target = create({});
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().kind, ErrorKind::usage);
    EXPECT_THAT(target.error().step, HasSubstr("size is missing"));
}

TEST(ZonedTargetCreation, BadBlockSizeMakesNoFile) {
    test::TemporaryDirectory directory;
    for (std::uint32_t size : {256U, 1000U, 8192U})
        EXPECT_FALSE(create(with(four_zones, {"file=" + directory.path("disk")}),
                            {.logical_block_size = size}));
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(ZonedTargetCreation, MoreThanTheAddressSpaceIsTooLarge) {
    const auto target = create({"size=8388608T", "zone-size=1T"});
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().kind, ErrorKind::backend);
    EXPECT_THAT(target.error().hint, HasSubstr("too large"));
}

// A file that somebody else could lock in between would be his disk, and removed under him.
TEST(ZonedInFile, NobodyElseCanHaveTheFileOnceItHasZones) {
    const test::TemporaryDirectory directory;
    constexpr int rounds = 200;
    int stolen = 0;
    for (int round = 0; round < rounds; ++round) {
        const std::string path = directory.path("zones" + std::to_string(round));
        std::atomic<bool> over = false;
        std::thread thief{[&] {
            while (!over) {
                const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
                char first = 0;
                if (fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 &&
                    ::pread(fd.get(), &first, 1, 0) == 1 && first) {
                    ++stolen;
                    return;
                }
            }
        }};
        const auto made = create({"file=" + path, "size=1M", "zone-size=64K", "direct=no"});
        over = true;
        thief.join();
    }
    EXPECT_EQ(stolen, 0) << "of " << rounds;
}

} // namespace
} // namespace ublk::targets
