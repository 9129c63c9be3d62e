// SPDX-License-Identifier: GPL-2.0-or-later
#include "copy_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server_over.h"
#include "support/fake_driver.h"
#include "support/test_target.h"

namespace ublk {
namespace {

class Some final : public Target {
public:
    Geometry geometry() const override { return test::everything_allowed(); }
    Task serve(Io io) override { return test::succeed(std::move(io)); }
};

TEST(CopyMode, NamesAreReadBack) {
    for (CopyMode mode : {CopyMode::automatic, CopyMode::driver, CopyMode::user})
        EXPECT_EQ(*parse_copy_mode(name_of(mode)), mode);
    for (const char* wrong : {"", "fast", "AUTO", "driver "}) {
        const auto mode = parse_copy_mode(wrong);
        ASSERT_FALSE(mode);
        EXPECT_EQ(mode.error().kind, ErrorKind::usage);
        EXPECT_THAT(mode.error().hint, testing::HasSubstr("driver"));
    }
}

TEST(CopyMode, IsToldByTheFeaturesOfADevice) {
    EXPECT_EQ(copy_mode_of(0), CopyMode::driver);
    EXPECT_EQ(copy_mode_of(UBLK_F_USER_COPY | UBLK_F_NEED_GET_DATA), CopyMode::user);
    for (CopyMode mode : {CopyMode::driver, CopyMode::user})
        EXPECT_EQ(copy_mode_of(features_of(mode)), mode);
}

TEST(CopyChoice, LetsTheDriverCopyUnlessAskedOtherwise) {
    EXPECT_EQ(choose_copy_mode(CopyMode::automatic, UBLK_F_USER_COPY)->mode, CopyMode::driver);
    EXPECT_EQ(choose_copy_mode(CopyMode::automatic, 0)->mode, CopyMode::driver);
    EXPECT_EQ(choose_copy_mode(CopyMode::user, UBLK_F_USER_COPY)->reason, "asked for");
}

TEST(CopyChoice, WhatWasAskedForIsGrantedOrRefused) {
    for (CopyMode mode : {CopyMode::driver, CopyMode::user})
        EXPECT_EQ(choose_copy_mode(mode, UBLK_F_USER_COPY)->mode, mode);

    const auto too_old = choose_copy_mode(CopyMode::user, 0);
    ASSERT_FALSE(too_old);
    EXPECT_EQ(too_old.error().kind, ErrorKind::driver);
    EXPECT_THAT(too_old.error().message(), testing::HasSubstr("lacks USER_COPY"));
}

TEST(CopyChoice, ServerAsksTheDriverForIt) {
    auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = UBLK_F_USER_COPY;
    const auto server = start_over(driver, std::make_unique<Some>(), {.copy = CopyMode::user});
    ASSERT_TRUE(server) << server.error().message();
    EXPECT_EQ(server->copy().mode, CopyMode::user);
    EXPECT_EQ(driver->granted_features(), UBLK_F_USER_COPY);
    driver->issue(0, 0, {.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8});
    EXPECT_EQ(driver->wait_for_result(0, 0), 4096);
    EXPECT_EQ(driver->user_copies(), 1U);
}

TEST(CopyChoice, DriverThatGrantsLessThanItSaysIsRefused) {
    auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = UBLK_F_USER_COPY;
    driver->grantable_features = 0;
    const auto server = start_over(driver, std::make_unique<Some>(), {.copy = CopyMode::user});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().kind, ErrorKind::driver);
    EXPECT_FALSE(driver->device_exists());
}

} // namespace
} // namespace ublk
