// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/file.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using test::TemporaryDirectory;

TEST(ReadFile, ReturnsAllOfIt) {
    const TemporaryDirectory directory;
    const std::string text(10000, 'x');
    EXPECT_EQ(*read_file(directory.write("file", text)), text);
}

TEST(ReadFile, SaysWhyItCannot) {
    const TemporaryDirectory directory;
    EXPECT_EQ(read_file(directory.path("none")).error().code, ENOENT);
    EXPECT_EQ(read_file(directory.path()).error().code, EISDIR);
}

TEST(ReadWord, DropsTheNewline) {
    const TemporaryDirectory directory;
    EXPECT_EQ(read_word(directory.write("file", "512\n")), "512");
}

TEST(ReadWord, IsEmptyForNoFileAndForBlanks) {
    const TemporaryDirectory directory;
    EXPECT_EQ(read_word(directory.path("none")), "");
    EXPECT_EQ(read_word(directory.write("file", " \n")), "");
}

TEST(WriteFile, ReplacesWhatWasThere) {
    const TemporaryDirectory directory;
    const std::string path = directory.write("file", "a longer text");
    EXPECT_TRUE(write_file(path, "short"));
    EXPECT_EQ(*read_file(path), "short");
}

TEST(WriteFile, DoesNotFollowLinks) {
    const TemporaryDirectory directory;
    const std::string target = directory.write("target", "precious");
    directory.link("link", target);
    EXPECT_FALSE(write_file(directory.path("link"), "x"));
    EXPECT_EQ(*read_file(target), "precious");
}

TEST(ListDirectory, IsSortedAndEmptyForNone) {
    const TemporaryDirectory directory;
    directory.write("b", "");
    directory.write("a", "");
    EXPECT_THAT(list_directory(directory.path()), testing::ElementsAre("a", "b"));
    EXPECT_THAT(list_directory(directory.path("none")), testing::IsEmpty());
}

TEST(ReadLink, IsEmptyForWhatIsNoLink) {
    const TemporaryDirectory directory;
    directory.link("link", "/somewhere");
    EXPECT_EQ(read_link(directory.path("link")), "/somewhere");
    EXPECT_EQ(read_link(directory.path("none")), "");
}

} // namespace
} // namespace ublk::daemon
