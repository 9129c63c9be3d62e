// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/names.h"

#include <cerrno>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using testing::HasSubstr;

std::string descriptor_name(const UniqueFd& fd) {
    return "/proc/self/fd/" + std::to_string(fd.get());
}

class Names : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    std::string file_ = std::filesystem::canonical(directory_.create_file("disk", 4096)).string();
    UniqueFd fd_{::open(file_.c_str(), O_RDWR | O_CLOEXEC)};
};

TEST_F(Names, OrdinaryOnesStayAsTheyAre) {
    EXPECT_EQ(*lasting_name("file", file_), file_);
    directory_.link("link", file_);
    EXPECT_EQ(*lasting_name("file", directory_.path("link")), directory_.path("link"));
    EXPECT_EQ(*lasting_name("file", "none"), std::filesystem::absolute("none").string());
}

TEST_F(Names, DescriptorOfAFileBecomesTheName) {
    EXPECT_EQ(*lasting_name("file", descriptor_name(fd_)), file_);
    EXPECT_EQ(*lasting_name("file", "/dev/fd/" + std::to_string(fd_.get())), file_);
    directory_.link("link", descriptor_name(fd_));
    EXPECT_EQ(*lasting_name("file", directory_.path("link")), file_);
}

TEST_F(Names, DescriptorOfAFileWithoutANameIsRefused) {
    const UniqueFd memory{::memfd_create("x", MFD_CLOEXEC)};
    std::filesystem::remove(file_);
    for (const UniqueFd* nameless : std::initializer_list<const UniqueFd*>{&memory, &fd_}) {
        const auto refused = lasting_name("file", descriptor_name(*nameless));
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::usage);
        EXPECT_THAT(refused.error().hint, HasSubstr("has no name of its own"));
    }
}

// The name of a deleted file is free for another one.
TEST_F(Names, AnotherFileOfThatNameIsNotTakenForIt) {
    const std::string descriptor = descriptor_name(fd_);
    std::filesystem::remove(file_);
    directory_.create_file("disk", 4096);
    directory_.create_file("disk (deleted)", 4096);
    EXPECT_FALSE(lasting_name("file", descriptor));
}

TEST_F(Names, LinksInACircleEnd) {
    directory_.link("one", directory_.path("other"));
    directory_.link("other", directory_.path("one"));
    EXPECT_FALSE(is_of_a_process(directory_.path("one")));
}

TEST_F(Names, OnlyWhatLiesBelowProcIsOfAProcess) {
    EXPECT_FALSE(is_of_a_process("/proc"));
    EXPECT_FALSE(is_of_a_process("/processes/1"));
    EXPECT_TRUE(is_of_a_process("/usr/../proc/1/root/etc"));
}

} // namespace
} // namespace ublk::daemon
