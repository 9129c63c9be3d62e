// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/recovery.h>

#include <csignal>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "recovery_choice.h"
#include "server_with_driver.h"
#include "support/fake_driver.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::FakeDriver;
using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr std::uint64_t kinds =
    UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_USER_RECOVERY_FAIL_IO;
constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};

class Lasting final : public Target {
public:
    explicit Lasting(const Geometry& geometry = test::everything_allowed(),
                     Persistence persistence = Persistence::backing,
                     DataAccess access = DataAccess::memory)
        : geometry_(geometry), persistence_(persistence), access_(access) {}
    Geometry geometry() const override { return geometry_; }
    Persistence persistence() const override { return persistence_; }
    DataAccess data_access() const override { return access_; }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }

private:
    Geometry geometry_;
    Persistence persistence_;
    DataAccess access_;
};

std::unique_ptr<Target> lasting() { return std::make_unique<Lasting>(); }

TEST(Recovery, NamesAreReadBack) {
    for (Recovery kind : {Recovery::off, Recovery::queue, Recovery::reissue, Recovery::fail})
        EXPECT_EQ(*parse_recovery(name_of(kind)), kind);
    const auto wrong = parse_recovery("on");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().kind, ErrorKind::usage);
    EXPECT_EQ(wrong.error().hint, "use one of: off, queue, reissue, fail");
}

TEST(Recovery, IsToldByTheFeaturesOfADevice) {
    const Lasting target;
    EXPECT_EQ(recovery_of(UBLK_F_QUIESCE | UBLK_F_USER_COPY), Recovery::off);
    for (Recovery kind : {Recovery::off, Recovery::queue, Recovery::reissue, Recovery::fail})
        EXPECT_EQ(recovery_of(*choose_recovery(kind, kinds, target)), kind);
}

TEST(Recovery, AsksForQuiescingWhereTheDriverHasIt) {
    const Lasting target;
    EXPECT_EQ(*choose_recovery(Recovery::queue, kinds, target), UBLK_F_USER_RECOVERY);
    EXPECT_EQ(*choose_recovery(Recovery::queue, kinds | UBLK_F_QUIESCE, target),
              UBLK_F_USER_RECOVERY | UBLK_F_QUIESCE);
    EXPECT_EQ(*choose_recovery(Recovery::off, kinds | UBLK_F_QUIESCE, target), 0U);
}

TEST(Recovery, NeedsADriverThatHasIt) {
    const auto refused = choose_recovery(Recovery::fail, UBLK_F_USER_RECOVERY, Lasting{});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::driver);
    EXPECT_THAT(refused.error().hint, HasSubstr("lacks USER_RECOVERY_FAIL_IO"));
}

TEST(Recovery, NeedsATargetWhoseDataAnotherServerFinds) {
    const test::TestTarget forgetful{test::succeed};
    const auto refused = choose_recovery(Recovery::queue, kinds, forgetful);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    EXPECT_TRUE(choose_recovery(Recovery::off, kinds, forgetful));
}

TEST(Recovery, NeedsMoreThanWhatWasFlushed) {
    const Lasting target{test::everything_allowed(), Persistence::flushed};
    for (Recovery kind : {Recovery::queue, Recovery::reissue, Recovery::fail}) {
        const auto refused = choose_recovery(kind, kinds, target);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::usage);
        EXPECT_THAT(refused.error().hint, HasSubstr("not flushed"));
    }
}

TEST(Recovery, ReissuesNothingToZones) {
    const Lasting target{test::zoned()};
    for (Recovery kind : {Recovery::queue, Recovery::fail})
        EXPECT_TRUE(choose_recovery(kind, kinds, target));
    const auto refused = choose_recovery(Recovery::reissue, kinds, target);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    EXPECT_THAT(refused.error().hint, HasSubstr("zones"));
}

class RecoveryOfADevice : public testing::Test {
protected:
    std::shared_ptr<FakeDriver> driver_ = std::make_shared<FakeDriver>();

    void SetUp() override {
        driver_->available_features = kinds | UBLK_F_QUIESCE | UBLK_F_USER_COPY;
    }
    Server start(Recovery recovery = Recovery::queue, CopyMode copy = CopyMode::driver) {
        auto server = start_with_driver(
            driver_, lasting(),
            {.queues = 2, .depth = 8, .copy = copy, .recovery = recovery, .mark = 77});
        EXPECT_TRUE(server) << server.error().message();
        return *std::move(server);
    }
    static void expect_left(Server& server) {
        const auto end = server.run();
        ASSERT_TRUE(end) << end.error().message();
        EXPECT_EQ(*end, End::left);
    }
};

TEST_F(RecoveryOfADevice, IsAskedForWithTheMarkOfTheServer) {
    const Server server = start(Recovery::reissue);
    EXPECT_EQ(driver_->granted_features(),
              UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_QUIESCE);
    EXPECT_EQ(driver_->open_control(20ms)->info(0)->mark, 77U);
}

TEST_F(RecoveryOfADevice, QuiescedServerLeavesTheDeviceInPlace) {
    {
        Server server = start();
        ASSERT_TRUE(driver_->open_control(20ms)->quiesce(0, 1000ms));
        expect_left(server);
    }
    EXPECT_TRUE(driver_->device_exists());
    EXPECT_EQ(driver_->info().state, UBLK_S_DEV_QUIESCED);
}

// Whoever uses the disk waits for the next server.
TEST_F(RecoveryOfADevice, SignalLeavesADiskThatIsInUseToTheNextServer) {
    driver_->available_features |= UBLK_F_SAFE_STOP_DEV;
    Server server = start();
    driver_->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -EBUSY);
    std::raise(SIGTERM);
    expect_left(server);
    EXPECT_TRUE(driver_->device_exists());
    EXPECT_EQ(driver_->info().state, UBLK_S_DEV_QUIESCED);
}

TEST_F(RecoveryOfADevice, SignalRemovesADiskThatNobodyUses) {
    driver_->available_features |= UBLK_F_SAFE_STOP_DEV;
    Server server = start();
    std::raise(SIGTERM);
    EXPECT_EQ(*server.run(), End::removed);
    EXPECT_FALSE(driver_->device_exists());
}

// Its exit sends it away then.
TEST_F(RecoveryOfADevice, SignalLeavesADiskWhoseDriverCannotQuiesce) {
    driver_->available_features = kinds | UBLK_F_SAFE_STOP_DEV;
    Server server = start();
    driver_->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -EBUSY);
    std::raise(SIGTERM);
    expect_left(server);
    EXPECT_TRUE(driver_->device_exists());
    driver_->lose_server();
}

TEST_F(RecoveryOfADevice, SignalTakesNothingFromUsersOfAServerThatIsTooBusyUnlessItComesAgain) {
    driver_->available_features |= UBLK_F_SAFE_STOP_DEV;
    Server server = start();
    driver_->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -EBUSY);
    driver_->fail_control(UBLK_U_CMD_QUIESCE_DEV, -EBUSY);
    unsigned asked = 0;
    driver_->before_control([&](std::uint32_t opcode) {
        if (opcode == UBLK_U_CMD_QUIESCE_DEV && ++asked == 1)
            std::raise(SIGTERM); // the first has been consumed
    });
    std::raise(SIGTERM);
    expect_left(server);
    EXPECT_EQ(asked, 1U);
    EXPECT_TRUE(driver_->device_exists());
    driver_->lose_server();
}

TEST_F(RecoveryOfADevice, DeviceOfAnotherMarkIsNotTheOneThatIsMeant) {
    Server first = start();
    driver_->lose_server();
    expect_left(first);
    EXPECT_EQ(recover_with_driver(driver_, 0, lasting(), {.mark = 78}).error().code, ENODEV);
    EXPECT_EQ(driver_->info().state, UBLK_S_DEV_QUIESCED);
    EXPECT_TRUE(recover_with_driver(driver_, 0, lasting(), {.mark = 77}));
}

TEST_F(RecoveryOfADevice, StoppedServerRemovesIt) {
    Server server = start();
    ASSERT_TRUE(driver_->open_control(20ms)->stop(0));
    EXPECT_EQ(*server.run(), End::removed);
    EXPECT_FALSE(driver_->device_exists());
}

// A driver that still calls the device live has begun to remove its disk.
TEST_F(RecoveryOfADevice, ServerOfADiskThatIsBeingRemovedRemovesTheDevice) {
    Server server = start();
    driver_->fail_control(UBLK_U_CMD_QUIESCE_DEV, -ENODEV);
    driver_->take_back_tags();
    EXPECT_EQ(*server.run(), End::removed);
    EXPECT_FALSE(driver_->device_exists());
}

TEST_F(RecoveryOfADevice, DriverThatCannotQuiesceLeavesADeadServersDeviceToTheNextOne) {
    driver_->available_features = kinds;
    Server server = start();
    driver_->take_back_tags();
    expect_left(server);
    EXPECT_TRUE(driver_->device_exists());
}

TEST_F(RecoveryOfADevice, WithoutItTheDeviceGoesWithItsServer) {
    Server server = start(Recovery::off);
    driver_->take_back_tags();
    EXPECT_EQ(*server.run(), End::removed);
    EXPECT_FALSE(driver_->device_exists());
}

TEST_F(RecoveryOfADevice, NextServerHasTheQueuesTheDepthAndTheWayOfTheFirst) {
    Server first = start(Recovery::queue, CopyMode::user);
    ASSERT_TRUE(driver_->open_control(20ms)->quiesce(0, 1000ms));
    expect_left(first);

    auto second = recover_with_driver(driver_, 0, lasting(), {});
    ASSERT_TRUE(second) << second.error().message();
    EXPECT_EQ(second->info().queues, 2U);
    EXPECT_EQ(second->info().depth, 8U);
    EXPECT_EQ(second->copy().mode, CopyMode::user);
    EXPECT_EQ(driver_->info().state, UBLK_S_DEV_LIVE);
    EXPECT_EQ(driver_->info().ublksrv_pid, ::getpid());
    driver_->issue(1, 7, read_4k);
    EXPECT_EQ(driver_->wait_for_result(1, 7), 4096);
    EXPECT_EQ(driver_->user_copies(), 1U);

    ASSERT_TRUE(second->stop());
    EXPECT_FALSE(driver_->device_exists());
}

TEST_F(RecoveryOfADevice, WaitsUntilTheOldServerHasGone) {
    Server first = start();
    std::thread death{[this] {
        std::this_thread::sleep_for(50ms);
        driver_->lose_server();
    }};
    const auto second = recover_with_driver(driver_, 0, lasting(), {.timeout = 5000ms});
    death.join();
    EXPECT_TRUE(second) << second.error().message();
    expect_left(first);
}

TEST_F(RecoveryOfADevice, DeviceThatHasAServerIsBusy) {
    const Server first = start();
    const auto second = recover_with_driver(driver_, 0, lasting(), {.timeout = 20ms});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EBUSY);
    EXPECT_EQ(driver_->info().state, UBLK_S_DEV_LIVE);
}

// Two see that it has no server; one is first to open it.
TEST_F(RecoveryOfADevice, WhoComesTooLateLeavesTheServerThatWonAlone) {
    Server first = start();
    driver_->lose_server();
    expect_left(first);
    std::optional<Result<Server>> winner;
    driver_->before_open([&] {
        driver_->before_open(nullptr);
        winner.emplace(recover_with_driver(driver_, 0, lasting(), {}));
        return EBUSY;
    });
    const auto loser = recover_with_driver(driver_, 0, lasting(), {.timeout = 1000ms});
    ASSERT_FALSE(loser);
    EXPECT_EQ(loser.error().code, EBUSY);
    ASSERT_TRUE(*winner) << winner->error().message();
    ASSERT_EQ(driver_->info().state, UBLK_S_DEV_LIVE);
    driver_->issue(0, 0, read_4k);
    EXPECT_EQ(driver_->wait_for_result(0, 0), 4096);
}

// Open, it keeps its number; before, that may have become another's.
TEST_F(RecoveryOfADevice, DeviceThatAnotherOneHasReplacedIsNotServed) {
    Server first = start();
    driver_->lose_server();
    expect_left(first);
    driver_->before_open([&] {
        driver_->replace_device(78);
        return 0;
    });
    const auto second = recover_with_driver(driver_, 0, lasting(), {.timeout = 20ms});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ENODEV);
    EXPECT_FALSE(driver_->armed(0, 0));
    EXPECT_TRUE(driver_->device_exists());
}

TEST_F(RecoveryOfADevice, DeviceWithoutRecoveryIsRefused) {
    const Server first = start(Recovery::off);
    const auto second = recover_with_driver(driver_, 0, lasting(), {.timeout = 20ms});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EINVAL);
}

TEST_F(RecoveryOfADevice, TargetThatIsAnotherDiskIsRefused) {
    Server first = start();
    driver_->lose_server();
    expect_left(first);
    const Geometry same = test::everything_allowed();
    Geometry larger = same, coarser = same, shorter = same;
    larger.size_bytes *= 2;
    coarser.logical_block_size = 4096;
    shorter.max_io_bytes = 4096;
    for (const Geometry& other : {larger, coarser, shorter, test::zoned()}) {
        const auto second = recover_with_driver(driver_, 0, std::make_unique<Lasting>(other), {});
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().kind, ErrorKind::backend);
        EXPECT_EQ(driver_->info().state, UBLK_S_DEV_QUIESCED);
    }
    EXPECT_TRUE(recover_with_driver(driver_, 0, lasting(), {}));
}

// Such a target would be handed a buffer at address 0.
TEST_F(RecoveryOfADevice, TargetThatNeedsMemoryDoesNotTakeOverADiskWithZeroCopy) {
    const auto handing_on = [] {
        return std::make_unique<Lasting>(test::everything_allowed(), Persistence::backing,
                                         DataAccess::ring);
    };
    driver_->available_features |= UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG;
    auto first = start_with_driver(driver_, handing_on(),
                                   {.copy = CopyMode::zero, .recovery = Recovery::queue});
    ASSERT_TRUE(first) << first.error().message();
    driver_->lose_server();
    expect_left(*first);

    const auto second = recover_with_driver(driver_, 0, lasting(), {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::backend);
    EXPECT_THAT(second.error().hint, HasSubstr("zero copy"));
    EXPECT_EQ(driver_->info().state, UBLK_S_DEV_QUIESCED);
    EXPECT_TRUE(recover_with_driver(driver_, 0, handing_on(), {}));
}

// Whatever step fails, the device goes on waiting, and the next attempt can succeed.
class FailingRecovery : public RecoveryOfADevice,
                        public testing::WithParamInterface<std::uint32_t> {};

TEST_P(FailingRecovery, LeavesTheDeviceWaiting) {
    Server first = start();
    driver_->lose_server();
    expect_left(first);
    driver_->fail_control(GetParam(), -EPERM);
    const auto second = recover_with_driver(driver_, 0, lasting(), {.timeout = 1000ms});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EPERM);
    EXPECT_TRUE(driver_->device_exists());
    EXPECT_EQ(driver_->info().state, UBLK_S_DEV_QUIESCED);
    driver_->heal_control();
    EXPECT_TRUE(recover_with_driver(driver_, 0, lasting(), {}));
}

INSTANTIATE_TEST_SUITE_P(Server, FailingRecovery,
                         testing::Values(UBLK_U_CMD_GET_DEV_INFO, UBLK_U_CMD_GET_PARAMS,
                                         UBLK_U_CMD_START_USER_RECOVERY,
                                         UBLK_U_CMD_GET_QUEUE_AFFINITY,
                                         UBLK_U_CMD_END_USER_RECOVERY));

} // namespace
} // namespace ublk
