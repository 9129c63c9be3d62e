// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/state.h"

#include <cerrno>
#include <filesystem>
#include <future>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <sys/stat.h>
#include <ublk/unique_fd.h>

#include "daemon/file.h"
#include "daemon/json.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;

class StateDirectoryTest : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    Paths paths_{.state = directory_.path("state")};
    StateDirectory state_{paths_};
    ServerRecord record_{7,
                         "loop",
                         {{"file", "/a b\"c"}, {"direct", "no"}},
                         {42, 1000},
                         1700000000,
                         {CopyMode::user, "asked for"},
                         UINT64_MAX - 1,
                         "/dev/shm/x",
                         {{{BackingUse::Access::reads,
                            {{.device = 2049,
                              .number = UINT64_MAX,
                              .handle = "1:ab",
                              .birth = -5,
                              .file_system = 3,
                              .length = 4},
                             {.kind = Identity::Kind::disk, .start = 512, .somewhere = true}}}},
                          false,
                          {"slow"}},
                         {{"delay", {{"read", "1ms"}}}, {"readonly"}},
                         {{{"loop", {{"file", "/a"}}}, {}, {{"error", {{"op", "read"}}}}},
                          {{"ram", {{"size", "1M"}}}}}};

    void SetUp() override { ASSERT_TRUE(state_.create()); }

    // All but the lock, which stays.
    std::vector<std::string> files() const {
        auto names = list_directory(paths_.state);
        std::erase(names, ".lock");
        return names;
    }

    static std::vector<BackingUse> file(std::uint64_t inode) {
        return {{BackingUse::Access::writes, {{.device = 2049, .number = inode, .length = 4}}}};
    }
};

TEST_F(StateDirectoryTest, GivesBackWhatWasWritten) {
    ASSERT_TRUE(state_.write(record_));
    const auto read = state_.read(7);
    ASSERT_TRUE(read);
    ASSERT_TRUE(read->has_value());
    EXPECT_EQ((*read)->target, "loop");
    EXPECT_EQ((*read)->options, record_.options);
    EXPECT_EQ((*read)->server, record_.server);
    EXPECT_EQ((*read)->started, record_.started);
    EXPECT_EQ((*read)->copy.mode, CopyMode::user);
    EXPECT_EQ((*read)->mark, UINT64_MAX - 1);
    EXPECT_EQ((*read)->shared_file, "/dev/shm/x");
    const BackingRecord& backing = (*read)->backing;
    ASSERT_EQ(backing.uses.size(), 1U);
    EXPECT_EQ(backing.uses[0].access, BackingUse::Access::reads);
    EXPECT_EQ(backing.uses[0].things, record_.backing.uses[0].things);
    EXPECT_EQ(backing.direct, false);
    EXPECT_EQ(backing.remarks, record_.backing.remarks);
    EXPECT_EQ((*read)->filters, record_.filters);
    EXPECT_EQ((*read)->children, record_.children);
    EXPECT_EQ((*read)->stack(), record_.stack());
}

TEST_F(StateDirectoryTest, FileIsDocumentedJson) {
    ASSERT_TRUE(state_.write(record_));
    const auto json = parse_json(*read_file(paths_.state + "/7.json"));
    EXPECT_EQ(json.at("schema"), 1);
    EXPECT_EQ(json.at("id"), 7);
    EXPECT_EQ(json.at("target"), "loop");
    EXPECT_EQ(json.at("options").at("direct"), "no");
    EXPECT_EQ(json.at("filters").at(0).at("name"), "delay");
    EXPECT_EQ(json.at("filters").at(0).at("options").at("read"), "1ms");
    EXPECT_EQ(json.at("filters").at(1).at("options").size(), 0U);
    EXPECT_EQ(json.at("pid"), 42);
    EXPECT_EQ(json.at("started"), 1700000000);
}

TEST_F(StateDirectoryTest, RecordOfBeforeThereWereIdentitiesCanBeRead) {
    ASSERT_TRUE(state_.write(record_));
    auto json = parse_ordered_json(*read_file(state_.file(7)));
    for (const char* key : {"backings", "direct", "remarks"})
        json.erase(key);
    directory_.write("state/7.json", write_json(json));
    const auto read = state_.read(7);
    ASSERT_TRUE(read);
    EXPECT_TRUE((*read)->backing.uses.empty());
    EXPECT_EQ((*read)->backing.direct, std::nullopt);
}

TEST_F(StateDirectoryTest, RecordOfBeforeThereWereFiltersCanBeRead) {
    ASSERT_TRUE(state_.write(record_));
    auto json = parse_ordered_json(*read_file(state_.file(7)));
    json.erase("filters");
    directory_.write("state/7.json", write_json(json));
    const auto read = state_.read(7);
    ASSERT_TRUE(read);
    EXPECT_TRUE((*read)->filters.empty());
}

TEST_F(StateDirectoryTest, HasNoRecordOfAnUnknownDevice) {
    const auto read = state_.read(3);
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->has_value());
}

TEST_F(StateDirectoryTest, CreatingItTwiceIsFine) { EXPECT_TRUE(state_.create()); }

TEST_F(StateDirectoryTest, DamagedFileIsAnErrorThatNamesIt) {
    for (const char* text : {"", "{", "[]", "{\"schema\":2}", "{\"schema\":1,\"id\":\"7\"}"}) {
        directory_.write("state/7.json", text);
        const auto read = state_.read(7);
        ASSERT_FALSE(read) << text;
        EXPECT_EQ(read.error().code, EBADMSG);
        EXPECT_THAT(read.error().step, testing::HasSubstr("7.json"));
    }
}

TEST_F(StateDirectoryTest, FileOfAnotherDeviceIsDamaged) {
    ASSERT_TRUE(state_.write(record_));
    directory_.write("state/8.json", *read_file(state_.file(7)));
    EXPECT_FALSE(state_.read(8));
}

TEST_F(StateDirectoryTest, WritingLeavesNothingElseBehind) {
    ASSERT_TRUE(state_.write(record_));
    ASSERT_TRUE(state_.write(record_));
    EXPECT_THAT(files(), testing::ElementsAre("7.json", "7.uses-disk-0-0-somewhere",
                                              "7.uses-file-801-ffffffffffffffff"));
}

TEST_F(StateDirectoryTest, IndexIsThatOfTheLastRecord) {
    ASSERT_TRUE(state_.write(record_));
    record_.backing.uses = file(16);
    ASSERT_TRUE(state_.write(record_));
    EXPECT_THAT(files(), testing::ElementsAre("7.json", "7.uses-file-801-10"));
    EXPECT_THAT(state_.numbers_near(file(16)), testing::ElementsAre(7));
    EXPECT_THAT(state_.numbers_near(file(17)), testing::IsEmpty());
    EXPECT_THAT(state_.numbers_near(file(0)), testing::ElementsAre(7)) << "may be any";
    record_.backing.uses.clear();
    record_.options.clear();
    ASSERT_TRUE(state_.write(record_));
    EXPECT_THAT(files(), testing::ElementsAre("7.json", "7.uses-nothing"));
    EXPECT_THAT(state_.numbers_near(file(16)), testing::IsEmpty());
}

TEST_F(StateDirectoryTest, RecordWithoutIndexMayUseAnything) {
    record_.backing.uses = file(16);
    ASSERT_TRUE(state_.write(record_));
    std::filesystem::remove(directory_.path("state/7.uses-file-801-10"));
    EXPECT_THAT(state_.numbers_near(file(17)), testing::ElementsAre(7));
    EXPECT_THAT(state_.numbers_near({}), testing::ElementsAre(7));
}

TEST_F(StateDirectoryTest, OddNamesAreNoIndex) {
    record_.backing.uses = file(16);
    ASSERT_TRUE(state_.write(record_));
    for (const char* name : {"7.uses-", "7.uses-file", "7.uses-file-x-10", "7.uses-tape-801-10",
                             "-1.uses-file-801-10", "x.uses-file-801-10", ".uses-nothing"})
        directory_.write(std::string("state/") + name, "");
    EXPECT_THAT(state_.numbers_near(file(16)), testing::ElementsAre(7));
    EXPECT_THAT(state_.numbers_near(file(17)), testing::IsEmpty());
}

TEST_F(StateDirectoryTest, PartsOfOneDiskAreNotNear) {
    const auto disk = [](bool somewhere) {
        return std::vector<BackingUse>{{BackingUse::Access::writes,
                                        {{.kind = Identity::Kind::disk,
                                          .device = 64768,
                                          .number = 3,
                                          .somewhere = somewhere}}}};
    };
    record_.backing.uses = disk(true);
    ASSERT_TRUE(state_.write(record_));
    EXPECT_THAT(state_.numbers_near(disk(true)), testing::IsEmpty());
    EXPECT_THAT(state_.numbers_near(disk(false)), testing::ElementsAre(7));
}

TEST_F(StateDirectoryTest, WhatIsNotAllowedIsNotWritten) {
    record_.backing.uses = file(16);
    const auto refused = state_.write(record_, []() -> Result<void> { return Error{EBUSY, "x"}; });
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(StateDirectoryTest, WritingToNowhereSaysSo) {
    const StateDirectory nowhere{Paths{.state = directory_.path("none")}};
    EXPECT_EQ(nowhere.write(record_).error().code, ENOENT);
}

TEST_F(StateDirectoryTest, RemoveTakesRecordLogAndSocket) {
    ASSERT_TRUE(state_.write(record_));
    directory_.write("state/7.log", "text");
    directory_.write("state/7.sock", "");
    state_.remove(7, record_.server);
    EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(StateDirectoryTest, RemoveSparesTheRecordOfTheNextServer) {
    ASSERT_TRUE(state_.write(record_));
    state_.remove(7, {42, 999});
    EXPECT_TRUE(state_.read(7)->has_value());
}

TEST_F(StateDirectoryTest, RemoveTakesDamagedFiles) {
    directory_.write("state/7.json", "{");
    state_.remove(7, {});
    EXPECT_THAT(files(), testing::IsEmpty());
}

// Whoever may look into the directory can lock that.
TEST_F(StateDirectoryTest, LockOfSomebodyElseOnTheDirectoryHoldsNobodyUp) {
    UniqueFd directory{::open(paths_.state.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    ASSERT_EQ(::flock(directory.get(), LOCK_EX | LOCK_NB), 0);
    auto written = std::async(std::launch::async, [&] { return state_.write(record_); });
    EXPECT_EQ(written.wait_for(10s), std::future_status::ready);
    directory = UniqueFd{};
    EXPECT_TRUE(written.get());
}

TEST_F(StateDirectoryTest, LockIsNobodyElses) {
    ASSERT_TRUE(state_.write(record_));
    struct stat status {};
    ASSERT_EQ(::stat((paths_.state + "/.lock").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777, 0600U);
    ASSERT_EQ(::chmod((paths_.state + "/.lock").c_str(), 0644), 0);
    EXPECT_EQ(state_.write(record_).error().code, EPERM);
}

TEST_F(StateDirectoryTest, LockIsNoLinkToSomethingElse) {
    const std::string elsewhere = directory_.write("elsewhere", "");
    directory_.link("state/.lock", elsewhere);
    EXPECT_EQ(state_.write(record_).error().code, ELOOP);
    EXPECT_THAT(files(), testing::IsEmpty());
}

TEST_F(StateDirectoryTest, BytesThatAreNoTextSurvive) {
    const std::map<std::string, std::string> names{
        {"all", "/\x80\xff\xc3\x28 \xed\xa0\x80 \xf4\x90\x80\x80 \xc3\xa4 \\x80 \\ \n \x01"},
        {"cut", "/\xc3"}};
    record_.options = names;
    record_.shared_file = "/dev/shm/\xfe";
    ASSERT_TRUE(state_.write(record_));
    const auto read = state_.read(7);
    ASSERT_TRUE(read);
    EXPECT_EQ((*read)->options, names);
    EXPECT_EQ((*read)->shared_file, "/dev/shm/\xfe");
}

TEST_F(StateDirectoryTest, NumbersAreThoseOfRecordsOnly) {
    for (const char* name : {"0.json", "12.json", "x.json", ".3.json.new", "5.log", "-1.json"})
        directory_.write(std::string("state/") + name, "");
    EXPECT_THAT(state_.numbers(), testing::UnorderedElementsAre(0, 12));
}

} // namespace
} // namespace ublk::daemon
