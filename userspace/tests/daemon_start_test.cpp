// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/start.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "daemon/process.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;

class StartTest : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    Context context_{.paths = {.dev = root_.path(), .state = root_.path("state")}};

    // As take_over() does with what cannot be announced.
    static Result<void> serve_whatever_happens(const Announce& announce) {
        static_cast<void>(announce({0, "loop", 4096, ::getpid()}));
        return {};
    }
    static Result<void> serve_if_announced(const Announce& announce) {
        return announce({0, "loop", 4096, ::getpid()});
    }
};

// A server that serves is worth more than what it has to say.
TEST_F(StartTest, ServerWithoutALogTakesOver) {
    root_.write("state/0.log/in", "the way");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const auto began = Clock::now();
    const auto taken = take_over_behind(serve_whatever_happens, context_);
    EXPECT_TRUE(taken) << taken.error().message();
    EXPECT_LT(Clock::now() - began, 20s);
    EXPECT_THAT(testing::internal::GetCapturedStdout(), testing::HasSubstr("ublkb0"));
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("0.log"));
}

TEST_F(StartTest, DeviceWithoutALogIsNotMade) {
    root_.write("state/0.log/in", "the way");
    const auto made = start_behind(serve_if_announced, context_);
    ASSERT_FALSE(made);
    EXPECT_THAT(made.error().step, testing::HasSubstr("0.log"));
}

} // namespace
} // namespace ublk::daemon
