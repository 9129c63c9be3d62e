// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/result.h>

#include <cerrno>
#include <gtest/gtest.h>
#include <memory>

namespace ublk {
namespace {

Result<std::unique_ptr<int>> make(bool works) {
    if (!works)
        return Error{ENOENT, "open /img.raw"};
    return std::make_unique<int>(7);
}

TEST(Result, HoldsMoveOnlyValue) {
    Result<std::unique_ptr<int>> result = make(true);
    ASSERT_TRUE(result);
    const std::unique_ptr<int> value = std::move(*result);
    EXPECT_EQ(*value, 7);
}

TEST(Result, HoldsErrorWithStep) {
    const Result<std::unique_ptr<int>> result = make(false);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ENOENT);
    EXPECT_EQ(result.error().kind, ErrorKind::system);
}

TEST(Result, ArrowReachesTheValue) {
    const Result<std::string> result{std::string{"abc"}};
    EXPECT_EQ(result->size(), 3U);
}

TEST(Result, VoidIsSuccessUntilGivenAnError) {
    Result<void> result;
    EXPECT_TRUE(result);
    result = Error{EIO, "step"};
    EXPECT_FALSE(result);
    result = {};
    EXPECT_TRUE(result);
}

TEST(Error, MessageIsOneLineOfStepReasonAndHint) {
    EXPECT_EQ((Error{ENOENT, "open /img.raw"}.message()),
              "open /img.raw: No such file or directory");
    EXPECT_EQ((Error{ENOENT, "open /img.raw", "check the path"}.message()),
              "open /img.raw: No such file or directory (check the path)");
}

TEST(Error, MessageOfUnknownErrnoDoesNotCrash) {
    EXPECT_EQ((Error{99999, "step"}.message()), "step: error 99999");
}

} // namespace
} // namespace ublk
