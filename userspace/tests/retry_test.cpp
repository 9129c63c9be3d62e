// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/retry.h>

#include <gtest/gtest.h>

namespace ublk {
namespace {

using namespace std::chrono_literals;

std::chrono::steady_clock::time_point in(std::chrono::milliseconds time) {
    return std::chrono::steady_clock::now() + time;
}

TEST(Retry, EndsWithTheFirstOutcomeThatStays) {
    int attempts = 0;
    const int outcome = retry_until(
        in(10s), [&] { return ++attempts; }, [](int attempt) { return attempt < 4; });
    EXPECT_EQ(outcome, 4);
    EXPECT_EQ(attempts, 4);
}

TEST(Retry, TriesOnceWhenItIsTooLateAlready) {
    int attempts = 0;
    EXPECT_EQ(retry_until(
                  in(-1s), [&] { return ++attempts; }, [](int) { return true; }),
              1);
}

TEST(Retry, LooksOnceMoreAfterTheDeadline) {
    const auto deadline = in(20ms);
    std::chrono::steady_clock::time_point last;
    retry_until(
        deadline, [&] { return last = std::chrono::steady_clock::now(); },
        [](auto) { return true; });
    EXPECT_GE(last, deadline);
}

} // namespace
} // namespace ublk
