// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/claims.h"

#include <atomic>
#include <barrier>
#include <cerrno>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/file.h"
#include "daemon/json.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using Access = BackingUse::Access;
using Kind = Identity::Kind;
using testing::HasSubstr;

class Claims : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    Paths paths_{.state = directory_.path("state")};
    StateDirectory state_{paths_};
    DeviceState device_ = DeviceState::quiesced;
    bool exists_ = true;

    void SetUp() override { ASSERT_TRUE(state_.create()); }

    void record(int number, const std::vector<BackingUse>& uses) {
        ServerRecord record;
        record.number = number;
        record.target = "loop";
        record.copy = {CopyMode::driver, "asked for"};
        record.mark = 5;
        record.backing.uses = uses;
        ASSERT_TRUE(state_.write(record));
    }

    std::optional<DeviceInfo> find(const ServerRecord& record) const {
        if (!exists_)
            return std::nullopt;
        DeviceInfo info{};
        info.number = record.number;
        info.state = device_;
        return info;
    }

    Result<void> check(const BackingUse& wanted, int except = no_device) {
        return check_claims(paths_, {wanted}, except,
                            [&](const ServerRecord& record) { return find(record); });
    }

    Result<void> claim_for(int number, const BackingUse& wanted) {
        ServerRecord record;
        record.number = number;
        record.target = "loop";
        record.copy = {CopyMode::driver, "asked for"};
        record.backing.uses = {wanted};
        return claim(paths_, record, [&](const ServerRecord& other) { return find(other); });
    }
};

constexpr std::uint64_t MiB = 1U << 20;

Identity file(std::uint64_t inode, std::string handle = {}) {
    return {.device = 8, .number = inode, .handle = std::move(handle), .length = MiB};
}
Identity part(std::uint64_t start, std::uint64_t length, bool somewhere = false) {
    return {.kind = Kind::disk,
            .device = 16,
            .number = 3,
            .start = start,
            .length = length,
            .somewhere = somewhere};
}

Identity remote(std::string name) {
    return {.kind = Kind::remote, .handle = std::move(name), .length = UINT64_MAX};
}

TEST_F(Claims, ImageOnANetworkIsTaken) {
    record(4, {{Access::writes, {remote("rbd cluster/1//a")}}});
    EXPECT_FALSE(check({Access::writes, {remote("rbd cluster/1//a")}}));
    EXPECT_FALSE(check({Access::reads, {remote("rbd cluster/1//a")}}));
    EXPECT_TRUE(check({Access::writes, {remote("rbd cluster/1//b")}}));
    EXPECT_TRUE(check({Access::writes, {file(0)}})) << "it is no file";
}

TEST_F(Claims, ExportOfAServerIsTakenUnderAllItsNames) {
    record(4, {{Access::writes, {remote("tcp:storage:1/x"), remote("tcp:10.0.0.1:1/x")}}});
    const auto other_name = remote("tcp:alias:1/x");
    EXPECT_FALSE(check({Access::writes, {other_name, remote("tcp:10.0.0.1:1/x")}}));
    EXPECT_FALSE(check({Access::writes, {remote("tcp:storage:1/x")}}));
    EXPECT_TRUE(check({Access::writes, {other_name}}));
    EXPECT_TRUE(check({Access::writes, {remote("tcp:storage:1/y")}}));
}

TEST_F(Claims, ExportIsTheSameAfterItsServerHasMoved) {
    const std::vector<BackingUse> before{{Access::writes, {remote("tcp:s:1/x"), remote("a")}}};
    EXPECT_TRUE(check_same(before, {{Access::writes, {remote("tcp:s:1/x"), remote("b")}}}));
    const auto other = check_same(before, {{Access::writes, {remote("tcp:t:1/x"), remote("a")}}});
    ASSERT_FALSE(other);
    EXPECT_THAT(other.error().hint, HasSubstr("another remote disk"));
    EXPECT_THAT(other.error().hint, HasSubstr("tcp:t:1/x, not tcp:s:1/x"));
}

TEST_F(Claims, FileOfAWaitingDiskIsTaken) {
    record(4, {{Access::writes, {file(7)}}});
    const auto taken = check({Access::writes, {file(7)}, "file=/x"});
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, EBUSY);
    EXPECT_EQ(taken.error().step, "file=/x");
    EXPECT_THAT(taken.error().hint, HasSubstr("/dev/ublkb4"));
    EXPECT_THAT(taken.error().hint, HasSubstr("ublkd recover 4"));
    EXPECT_THAT(taken.error().hint, HasSubstr("ublkd del 4"));
    device_ = DeviceState::live;
    EXPECT_THAT(check({Access::writes, {file(7)}}).error().hint,
                testing::Not(HasSubstr("recover")));
}

TEST_F(Claims, RecordOfADeviceThatHasGoneCountsNothing) {
    record(4, {{Access::writes, {file(7)}}});
    exists_ = false;
    EXPECT_TRUE(check({Access::writes, {file(7)}}));
}

// Two names of the same bytes, such as a disk and its partition: no lock of the kernel's is on
// both.
TEST_F(Claims, OfThoseThatComeAtATimeOneGetsIt) {
    constexpr int rounds = 50;
    constexpr int rivals = 4;
    for (int round = 0; round < rounds; ++round) {
        const Identity bytes = part(static_cast<std::uint64_t>(round) * MiB, MiB);
        std::barrier start{rivals};
        std::atomic<int> winners{0};
        std::vector<std::thread> threads;
        for (int rival = 0; rival < rivals; ++rival)
            threads.emplace_back([&, rival] {
                start.arrive_and_wait();
                if (claim_for(round * rivals + rival, {Access::writes, {bytes}}))
                    ++winners;
            });
        for (std::thread& thread : threads)
            thread.join();
        EXPECT_EQ(winners, 1) << round;
    }
}

TEST_F(Claims, WhoGetsNothingLeavesNoRecord) {
    ASSERT_TRUE(claim_for(4, {Access::writes, {file(7)}}));
    EXPECT_EQ(claim_for(5, {Access::writes, {file(7)}}).error().code, EBUSY);
    EXPECT_THAT(state_.numbers(), testing::ElementsAre(4));
    EXPECT_TRUE(claim_for(4, {Access::writes, {file(7)}})) << "its own again";
}

TEST_F(Claims, OwnRecordIsNoObstacle) {
    record(4, {{Access::writes, {file(7)}}});
    EXPECT_TRUE(check({Access::writes, {file(7)}}, 4));
    EXPECT_FALSE(check({Access::writes, {file(7)}}, 5));
}

TEST_F(Claims, OtherFilesAreFree) {
    record(4, {{Access::writes, {file(7, "a")}}});
    EXPECT_TRUE(check({Access::writes, {file(8)}}));
    EXPECT_TRUE(check({Access::writes, {file(7, "b")}}));
}

TEST_F(Claims, WhoDoesTheSameWithoutWritingMayShare) {
    struct Line {
        Access held;
        Access wanted;
        bool together;
    };
    for (const Line& line :
         {Line{Access::writes, Access::writes, false}, Line{Access::writes, Access::reads, false},
          Line{Access::reads, Access::writes, false}, Line{Access::reads, Access::reads, true},
          Line{Access::shares, Access::shares, true}, Line{Access::shares, Access::reads, false},
          Line{Access::reads, Access::shares, false}, Line{Access::shares, Access::writes, false},
          Line{Access::appends, Access::appends, false},
          Line{Access::appends, Access::reads, false}, Line{Access::writes, Access::appends, false},
          Line{Access::appends, Access::shares, false}}) {
        record(4, {{line.held, {file(7)}}});
        EXPECT_EQ(check({line.wanted, {file(7)}}).ok(), line.together)
            << static_cast<int>(line.held) << static_cast<int>(line.wanted);
    }
}

TEST_F(Claims, PartitionsOfADiskAreTwoThings) {
    record(4, {{Access::writes, {part(MiB, MiB)}}});
    EXPECT_TRUE(check({Access::writes, {part(2 * MiB, MiB)}}));
    EXPECT_TRUE(check({Access::writes, {part(0, MiB)}}));
    EXPECT_FALSE(check({Access::writes, {part(0, 64 * MiB)}}));
    EXPECT_FALSE(check({Access::writes, {part(MiB + 512, 512)}}));
}

TEST_F(Claims, VolumesOfAGroupAreTwoThingsButNotTheirDisk) {
    record(4, {{Access::writes, {file(1), part(0, 64 * MiB, true)}}});
    EXPECT_TRUE(check({Access::writes, {file(2), part(0, 64 * MiB, true)}}));
    EXPECT_FALSE(check({Access::writes, {part(0, 64 * MiB)}}));
}

TEST_F(Claims, WhatADiskConsistsOfIsItsOwn) {
    record(4, {{Access::writes, {part(0, MiB), file(7)}}});
    EXPECT_FALSE(check({Access::writes, {file(7)}}));
    EXPECT_FALSE(check({Access::writes, {file(9), file(7)}}));
}

TEST_F(Claims, OldRecordHasItsFileByName) {
    const std::string image = directory_.create_file("image", MiB);
    ServerRecord old;
    old.number = 4;
    old.target = "loop";
    old.options = {{"file", image}};
    old.copy = {CopyMode::driver, "asked for"};
    ASSERT_TRUE(state_.write(old));
    auto json = parse_ordered_json(*read_file(state_.file(4)));
    for (const char* key : {"backings", "direct", "remarks"})
        json.erase(key);
    directory_.write("state/4.json", write_json(json));
    EXPECT_FALSE(check(use_of_name(image, Access::writes)));
    EXPECT_TRUE(check(use_of_name(directory_.create_file("other", 1), Access::writes)));
}

TEST_F(Claims, DamagedRecordsAreNobodys) {
    directory_.write("state/4.json", "{");
    EXPECT_TRUE(check({Access::writes, {file(7)}}));
}

TEST_F(Claims, BusyIsExplainedByWhoHasIt) {
    const std::string image = directory_.create_file("image", MiB);
    record(4, {use_of_name(image, Access::writes)});
    const auto find = [](const ServerRecord& record) -> std::optional<DeviceInfo> {
        DeviceInfo info{};
        info.number = record.number;
        return info;
    };
    const Error busy{EBUSY, "file=" + image, "somebody uses it"};
    EXPECT_THAT(explain_busy(busy, paths_, {image}, no_device, find).hint,
                HasSubstr("/dev/ublkb4"));
    EXPECT_EQ(explain_busy(busy, paths_, {image}, 4, find).hint, "somebody uses it");
    const Error other{EIO, "file=" + image, "broken"};
    EXPECT_EQ(explain_busy(other, paths_, {image}, no_device, find).hint, "broken");
}

TEST(CheckSame, AnotherFileOrDiskIsRefused) {
    const auto check = [](const Identity& before, const Identity& now) {
        return check_same({{Access::writes, {before}}}, {{Access::writes, {now}, "file=/x"}});
    };
    EXPECT_TRUE(check(file(7, "a"), file(7, "a")));
    const auto file_changed = check(file(7, "a"), file(7, "b"));
    ASSERT_FALSE(file_changed);
    EXPECT_EQ(file_changed.error().kind, ErrorKind::backend);
    EXPECT_EQ(file_changed.error().step, "file=/x");
    EXPECT_THAT(file_changed.error().hint, HasSubstr("another file"));
    EXPECT_THAT(file_changed.error().hint, HasSubstr("--other-backing"));
    Identity next = part(0, MiB);
    next.number = 4;
    EXPECT_THAT(check(part(0, MiB), next).error().hint, HasSubstr("another disk"));
    EXPECT_THAT(check(remote("rbd c/1//a"), remote("rbd c/1//b")).error().hint,
                HasSubstr("another remote disk than the device had: rbd c/1//b, not rbd c/1//a"));
    EXPECT_TRUE(check(remote("rbd c/1//a"), remote("rbd c/1//a")));
    EXPECT_FALSE(check(part(0, MiB), part(MiB, MiB)));
    EXPECT_TRUE(check(part(0, MiB), part(0, 2 * MiB))) << "it may have grown";
}

TEST(CheckSame, FileSystemMayHaveBeenMountedAgain) {
    Identity before = file(7, "a");
    before.file_system = 99;
    Identity now = before;
    now.device = 77;
    EXPECT_TRUE(check_same({{Access::writes, {before}}}, {{Access::writes, {now}}}));
    now.file_system = 98;
    EXPECT_FALSE(check_same({{Access::writes, {before}}}, {{Access::writes, {now}}}));
    now = before;
    now.device = 77;
    now.handle = before.handle = "";
    EXPECT_FALSE(check_same({{Access::writes, {before}}}, {{Access::writes, {now}}}));
}

// The log of a disk is moved away when it is long, and that must not cost the disk.
TEST(CheckSame, LogMayBeAnotherFile) {
    EXPECT_TRUE(check_same({{Access::appends, {file(7)}}, {Access::writes, {file(8)}}},
                           {{Access::appends, {file(9)}}, {Access::writes, {file(8)}}}));
    EXPECT_FALSE(check_same({{Access::appends, {file(7)}}, {Access::writes, {file(8)}}},
                            {{Access::appends, {file(7)}}, {Access::writes, {file(9)}}}));
}

TEST(CheckApart, DiskDoesNotWriteInWhatIsItsOwnTwice) {
    const auto refused = check_apart(
        {{Access::appends, {file(7)}, "file=/log"}, {Access::writes, {file(7)}, "file=/disk"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_EQ(refused.error().step, "file=/log");
    EXPECT_THAT(refused.error().hint, HasSubstr("file=/disk"));
    EXPECT_FALSE(check_apart({{Access::appends, {file(7)}}, {Access::appends, {file(7)}}}));
    EXPECT_FALSE(check_apart({{Access::writes, {part(0, MiB)}}, {Access::writes, {part(0, 512)}}}));
    EXPECT_TRUE(
        check_apart({{Access::writes, {part(0, MiB)}}, {Access::writes, {part(MiB, MiB)}}}));
    EXPECT_TRUE(check_apart({{Access::reads, {file(7)}}, {Access::reads, {file(7)}}}));
    EXPECT_TRUE(check_apart({{Access::appends, {file(7)}}, {Access::writes, {file(8)}}}));
    EXPECT_TRUE(check_apart({}));
}

TEST(CheckSame, WhatWasUnknownMayBeAnything) {
    EXPECT_TRUE(check_same({}, {{Access::writes, {file(7)}}}));
    EXPECT_TRUE(check_same({{Access::writes, {}}}, {{Access::writes, {file(7)}}}));
}

} // namespace
} // namespace ublk::daemon
