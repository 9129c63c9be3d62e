// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/disk_name.h"

#include <cerrno>

#include <gtest/gtest.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

TEST(DiskNames, AreWhatCanStandInALink) {
    for (const char* name :
         {"a", "data", "7", "vm-12.root", "x:y=z@1_2+3", "part1", "a-part", "a-partx1"})
        EXPECT_TRUE(parse_disk_name(name)) << name;
    EXPECT_TRUE(parse_disk_name(std::string(64, 'x')));
    for (const char* name : {"", "-a", ".", "..", "a b", "a/b", "a\nb", "\xc3\xa4", "a%b", "a$b",
                             "a\"b", "a-part1", "a-part12"}) {
        const auto parsed = parse_disk_name(name);
        ASSERT_FALSE(parsed) << name;
        EXPECT_EQ(parsed.error().kind, ErrorKind::usage);
    }
    EXPECT_FALSE(parse_disk_name(std::string(65, 'x')));
}

class NamesOfDisks : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    Paths paths_{.state = directory_.path("state")};
    StateDirectory state_{paths_};

    void SetUp() override { ASSERT_TRUE(state_.create()); }

    static ServerRecord record(int number, const std::string& name) {
        ServerRecord record;
        record.number = number;
        record.target = "ram";
        record.name = name;
        return record;
    }

    static FindDevice find(bool exists) {
        return [=](const ServerRecord&) {
            return exists ? std::optional{DeviceInfo{}} : std::nullopt;
        };
    }

    Result<void> check(const std::string& name, int number, bool exists = true) {
        return check_name_is_free(paths_, name, number, find(exists));
    }
};

TEST_F(NamesOfDisks, IsTakenByAnotherDiskOnly) {
    ASSERT_TRUE(state_.write(record(3, "data")));
    ASSERT_TRUE(state_.write(record(4, "")));
    EXPECT_EQ(check("data", 5).error().code, EEXIST);
    EXPECT_NE(check("data", 5).error().hint.find("/dev/ublkb3"), std::string::npos);
    EXPECT_TRUE(check("data", 3));
    EXPECT_TRUE(check("dat", 5));
    EXPECT_TRUE(check("", 5));
}

TEST_F(NamesOfDisks, RecordOfADiskThatIsGoneHasNone) {
    ASSERT_TRUE(state_.write(record(3, "data")));
    EXPECT_TRUE(check("data", 5, false));
}

TEST_F(NamesOfDisks, RecordThatIsNotAllowedIsNotWritten) {
    ASSERT_TRUE(state_.write(record(3, "data")));
    EXPECT_EQ(claim(paths_, record(5, "data"), find(true)).error().code, EEXIST);
    EXPECT_FALSE(*state_.read(5));
    EXPECT_TRUE(claim(paths_, record(5, "other"), find(true)));
    EXPECT_EQ((*state_.read(5))->name, "other");
}

} // namespace
} // namespace ublk::daemon
