// SPDX-License-Identifier: GPL-2.0-or-later
#include "shortage.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace ublk {
namespace {

TEST(Shortage, OthersSeeItWhileItLasts) {
    testing::internal::CaptureStderr();
    Shortage shortage{0};
    EXPECT_EQ(shortage.seconds(), 0U);
    shortage.continues(-EAGAIN);
    EXPECT_GE(shortage.seconds(), 1U);
    shortage.continues(-EAGAIN);
    EXPECT_GE(shortage.seconds(), 1U);
    shortage.ends();
    EXPECT_EQ(shortage.seconds(), 0U);
    testing::internal::GetCapturedStderr();
}

} // namespace
} // namespace ublk
