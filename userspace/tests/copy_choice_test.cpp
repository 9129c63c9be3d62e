// SPDX-License-Identifier: GPL-2.0-or-later
#include "copy_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server_with_driver.h"
#include "support/fake_driver.h"
#include "support/memfd.h"
#include "support/test_target.h"

namespace ublk {
namespace {

constexpr std::uint64_t zero_copy = UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG;
constexpr std::uint64_t everything = zero_copy | UBLK_F_USER_COPY;

class Some final : public Target {
public:
    explicit Some(DataAccess access) : access_(access) {}
    Geometry geometry() const override { return test::everything_allowed(); }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
    DataAccess data_access() const override { return access_; }

private:
    DataAccess access_;
};

const Some in_memory{DataAccess::memory};
const Some by_ring{DataAccess::ring};

TEST(CopyMode, NamesAreReadBack) {
    for (CopyMode mode :
         {CopyMode::automatic, CopyMode::driver, CopyMode::user, CopyMode::zero, CopyMode::shmem})
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
    for (CopyMode mode : {CopyMode::driver, CopyMode::user, CopyMode::zero, CopyMode::shmem})
        EXPECT_EQ(copy_mode_of(features_of(mode)), mode);
    EXPECT_EQ(copy_mode_of(UBLK_F_USER_COPY | UBLK_F_SHMEM_ZC), CopyMode::user);
}

TEST(CopyChoice, TakesTheBestThatDriverAndTargetHave) {
    EXPECT_EQ(choose_copy_mode(CopyMode::automatic, {everything, by_ring})->mode, CopyMode::zero);
    EXPECT_EQ(choose_copy_mode(CopyMode::automatic, {everything, in_memory})->mode,
              CopyMode::driver);
    EXPECT_EQ(choose_copy_mode(CopyMode::automatic, {0, by_ring})->mode, CopyMode::driver);
}

TEST(CopyChoice, SaysWhatTheBestOneLacks) {
    const auto reason = [](std::uint64_t available, const Target& target) {
        return choose_copy_mode(CopyMode::automatic, {available, target})->reason;
    };
    EXPECT_EQ(reason(0, by_ring), "the driver lacks SUPPORT_ZERO_COPY");
    EXPECT_EQ(reason(UBLK_F_SUPPORT_ZERO_COPY, by_ring), "the driver lacks AUTO_BUF_REG");
    EXPECT_THAT(reason(everything, in_memory), testing::HasSubstr("target"));
    EXPECT_EQ(choose_copy_mode(CopyMode::user, {everything, in_memory})->reason, "asked for");
}

TEST(CopyChoice, WhatWasAskedForIsGrantedOrRefused) {
    for (CopyMode mode : {CopyMode::driver, CopyMode::user, CopyMode::zero})
        EXPECT_EQ(choose_copy_mode(mode, {everything, by_ring})->mode, mode);

    const auto too_old = choose_copy_mode(CopyMode::user, {zero_copy, by_ring});
    ASSERT_FALSE(too_old);
    EXPECT_EQ(too_old.error().kind, ErrorKind::driver);
    EXPECT_THAT(too_old.error().message(), testing::HasSubstr("lacks USER_COPY"));

    const auto unfit = choose_copy_mode(CopyMode::zero, {everything, in_memory});
    ASSERT_FALSE(unfit);
    EXPECT_EQ(unfit.error().kind, ErrorKind::usage);
}

class SharedChoice : public testing::Test {
protected:
    static constexpr std::uint64_t all = everything | UBLK_F_SHMEM_ZC;
    const test::Memfd file_{65536};
    const SharedMemory memory_ = *SharedMemory::map(file_.path());
};

TEST_F(SharedChoice, MemoryIsUsedByWhoeverBringsIt) {
    for (const Target* target : {&in_memory, &by_ring})
        for (CopyMode mode : {CopyMode::automatic, CopyMode::shmem})
            EXPECT_EQ(choose_copy_mode(mode, {all, *target, &memory_})->mode, CopyMode::shmem);
}

TEST_F(SharedChoice, IsNeverMadeWithoutMemory) {
    EXPECT_EQ(choose_copy_mode(CopyMode::automatic, {UBLK_F_SHMEM_ZC, by_ring})->mode,
              CopyMode::driver);
    const auto refused = choose_copy_mode(CopyMode::shmem, {all, by_ring});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    EXPECT_THAT(refused.error().hint, testing::HasSubstr("--shmem"));
}

TEST_F(SharedChoice, MemoryForAnotherModeIsAMistake) {
    for (CopyMode mode : {CopyMode::driver, CopyMode::user, CopyMode::zero}) {
        const auto refused = choose_copy_mode(mode, {all, by_ring, &memory_});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    }
}

TEST_F(SharedChoice, OldDriverIsRefusedIfAskedForAndCopiesOtherwise) {
    const auto refused = choose_copy_mode(CopyMode::shmem, {everything, by_ring, &memory_});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::driver);
    const auto choice = choose_copy_mode(CopyMode::automatic, {everything, by_ring, &memory_});
    EXPECT_EQ(choice->mode, CopyMode::driver);
    EXPECT_EQ(choice->reason, "the driver lacks SHMEM_ZC");
}

TEST_F(SharedChoice, RequestsAreAlignedForTheTargetsOwnIo) {
    Geometry geometry{.size_bytes = 1 << 20, .logical_block_size = 4096};
    EXPECT_EQ(geometry_for(CopyMode::driver, geometry).dma_alignment, 0U);
    EXPECT_EQ(geometry_for(CopyMode::shmem, geometry).dma_alignment, 4096U);
    geometry.dma_alignment = 16;
    EXPECT_EQ(geometry_for(CopyMode::shmem, geometry).dma_alignment, 16U);
}

class Zoned final : public Target {
public:
    explicit Zoned(DataAccess access) : access_(access) {}
    Geometry geometry() const override { return test::zoned(); }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
    DataAccess data_access() const override { return access_; }

private:
    DataAccess access_;
};

TEST(CopyChoice, ZonedDevicesTakeUserCopyAndNothingElse) {
    for (DataAccess access : {DataAccess::memory, DataAccess::ring}) {
        const Zoned target{access};
        for (CopyMode mode : {CopyMode::automatic, CopyMode::user})
            EXPECT_EQ(choose_copy_mode(mode, {everything, target})->mode, CopyMode::user);
        for (CopyMode mode : {CopyMode::driver, CopyMode::zero, CopyMode::shmem}) {
            const auto choice = choose_copy_mode(mode, {everything, target});
            ASSERT_FALSE(choice);
            EXPECT_EQ(choice.error().kind, ErrorKind::usage);
            EXPECT_THAT(choice.error().hint, testing::HasSubstr("--copy=auto"));
        }
    }
}

TEST_F(SharedChoice, ZonedDevicesShareNoMemory) {
    const Zoned target{DataAccess::memory};
    for (CopyMode mode : {CopyMode::automatic, CopyMode::user, CopyMode::shmem}) {
        const auto refused = choose_copy_mode(mode, {all, target, &memory_});
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::usage);
        EXPECT_THAT(refused.error().hint, testing::HasSubstr("--shmem"));
    }
}

TEST(CopyChoice, ServerAsksForZonesOfAZonedDeviceOnly) {
    auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = everything | UBLK_F_ZONED;
    {
        const auto server =
            start_with_driver(driver, std::make_unique<Zoned>(DataAccess::memory), {});
        ASSERT_TRUE(server) << server.error().message();
        EXPECT_EQ(driver->granted_features(), UBLK_F_ZONED | UBLK_F_USER_COPY);
        EXPECT_TRUE(driver->params().types & UBLK_PARAM_TYPE_ZONED);
    }
    const auto server = start_with_driver(driver, std::make_unique<Some>(DataAccess::memory), {});
    ASSERT_TRUE(server);
    EXPECT_FALSE(driver->granted_features() & UBLK_F_ZONED);
}

TEST(CopyChoice, DriverWithoutZonesIsSaidToBeTooOld) {
    auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = everything;
    const auto server = start_with_driver(driver, std::make_unique<Zoned>(DataAccess::memory), {});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().kind, ErrorKind::driver);
    EXPECT_THAT(server.error().message(), testing::HasSubstr("lacks ZONED"));
    EXPECT_FALSE(driver->device_exists());
}

TEST(CopyChoice, DriverThatGrantsNoZonesIsRefused) {
    auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = everything | UBLK_F_ZONED;
    driver->grantable_features = UBLK_F_USER_COPY;
    const auto server = start_with_driver(driver, std::make_unique<Zoned>(DataAccess::memory), {});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().kind, ErrorKind::driver);
    EXPECT_FALSE(driver->device_exists());
}

TEST(CopyChoice, ServerAsksTheDriverForIt) {
    auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = everything;
    const auto server = start_with_driver(driver, std::make_unique<Some>(DataAccess::ring),
                                          {.copy = CopyMode::user});
    ASSERT_TRUE(server) << server.error().message();
    EXPECT_EQ(server->copy().mode, CopyMode::user);
    EXPECT_EQ(driver->granted_features(), UBLK_F_USER_COPY);
    driver->issue(0, 0, {.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8});
    EXPECT_EQ(driver->wait_for_result(0, 0), 4096);
    EXPECT_EQ(driver->user_copies(), 1U);
}

TEST(CopyChoice, DriverThatGrantsLessThanItSaysIsRefused) {
    auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = everything;
    driver->grantable_features = 0;
    const auto server = start_with_driver(driver, std::make_unique<Some>(DataAccess::memory),
                                          {.copy = CopyMode::user});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().kind, ErrorKind::driver);
    EXPECT_FALSE(driver->device_exists());
}

} // namespace
} // namespace ublk
