// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/unique_fd.h>

#include <fcntl.h>
#include <gtest/gtest.h>

namespace ublk {
namespace {

UniqueFd open_null() { return UniqueFd{::open("/dev/null", O_RDWR | O_CLOEXEC)}; }
bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, ClosesAtEndOfScope) {
    int number = -1;
    {
        const UniqueFd fd = open_null();
        ASSERT_TRUE(fd);
        number = fd.get();
        EXPECT_TRUE(is_open(number));
    }
    EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, MovedFromOwnsNothing) {
    UniqueFd first = open_null();
    const int number = first.get();
    const UniqueFd second = std::move(first);
    EXPECT_EQ(second.get(), number);
    EXPECT_FALSE(first); // NOLINT(bugprone-use-after-move): that is the point
}

TEST(UniqueFd, ReleasedIsNotClosed) {
    int number = -1;
    {
        UniqueFd fd = open_null();
        number = fd.release();
    }
    EXPECT_TRUE(is_open(number));
    ::close(number);
}

} // namespace
} // namespace ublk
