// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/removal.h"

#include <cerrno>
#include <csignal>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/process.h"
#include "daemon/state.h"
#include "support/fake_driver.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// A process that does nothing until a signal ends it. Tests that ran before may have blocked some.
pid_t start_process() {
    const pid_t process = ::fork();
    if (process != 0)
        return process;
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    for (;;)
        ::pause();
}

// A driver with one device, and a machine made of files around it.
class RemovalTest : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    Paths paths_{.dev = root_.path("dev"),
                 .sys = root_.path("sys"),
                 .proc = "/proc",
                 .state = root_.path("state")};
    std::shared_ptr<test::FakeDriver> driver_ = std::make_shared<test::FakeDriver>();
    Control control_ = *driver_->open_control(20ms);
    StateDirectory state_{paths_};

    void SetUp() override {
        root_.write("dev/null", "");
        root_.write("sys/block/ublkb0/dev", "259:0\n");
        ASSERT_TRUE(control_.add({.number = 0}));
        ASSERT_TRUE(state_.create());
    }

    void record(const ProcessIdentity& server) {
        ASSERT_TRUE(state_.write({0, "null", {}, server, 0}));
    }

    bool recorded() const {
        auto read = state_.read(0);
        return read && *read;
    }
};

TEST_F(RemovalTest, DeviceWithoutAServerIsDeletedByTheDriver) {
    ASSERT_TRUE(remove_device(paths_, control_, 0, Force::no));
    EXPECT_FALSE(driver_->device_exists());
}

TEST_F(RemovalTest, RecordOfADeadServerGoesWithItsDevice) {
    record({1 << 22, 1}); // no such process can be
    ASSERT_TRUE(remove_device(paths_, control_, 0, Force::no));
    EXPECT_FALSE(driver_->device_exists());
    EXPECT_FALSE(recorded());
}

TEST_F(RemovalTest, RecordWithoutADeviceGoesAndTheErrorTells) {
    ASSERT_TRUE(control_.remove(0));
    record({1 << 22, 1});
    const auto removed = remove_device(paths_, control_, 0, Force::no);
    ASSERT_FALSE(removed);
    EXPECT_EQ(removed.error().code, ENODEV);
    EXPECT_FALSE(recorded());
}

TEST_F(RemovalTest, DamagedRecordGoesWithItsDevice) {
    std::ofstream(state_.file(0)) << "{";
    ASSERT_TRUE(remove_device(paths_, control_, 0, Force::no));
    EXPECT_FALSE(driver_->device_exists());
    EXPECT_TRUE(state_.read(0));
}

TEST_F(RemovalTest, DeviceInUseStaysUnlessForced) {
    root_.write("proc/self/mountinfo", "");
    root_.write("proc/swaps", "Filename Type Size Used Priority\n/dev/ublkb0 partition 1 0 -2\n");
    paths_.proc = root_.path("proc");

    const auto refused = remove_device(paths_, control_, 0, Force::no);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_THAT(refused.error().step, HasSubstr("used as swap"));
    EXPECT_THAT(refused.error().hint, HasSubstr("--force"));
    EXPECT_TRUE(driver_->device_exists());

    ASSERT_TRUE(remove_device(paths_, control_, 0, Force::yes));
    EXPECT_FALSE(driver_->device_exists());
}

TEST_F(RemovalTest, DriverThatCannotDeleteWithoutWaitingIsAskedToWait) {
    driver_->fail_control(UBLK_U_CMD_DEL_DEV_ASYNC, -EOPNOTSUPP);
    ASSERT_TRUE(remove_device(paths_, control_, 0, Force::yes));
    EXPECT_FALSE(driver_->device_exists());
}

// Its disk goes, which is the end of it, but not at once.
TEST_F(RemovalTest, RunningServerIsWaitedForAndGetsNoSignal) {
    const pid_t server = ::fork();
    ASSERT_GE(server, 0);
    if (server == 0) {
        std::this_thread::sleep_for(50ms);
        ::_exit(5);
    }
    record(identify_process(paths_, server));
    ASSERT_TRUE(remove_device(paths_, control_, 0, Force::no));
    EXPECT_FALSE(recorded());
    int status = 0;
    ASSERT_EQ(::waitpid(server, &status, WNOHANG), server);
    EXPECT_EQ(WEXITSTATUS(status), 5);
}

TEST_F(RemovalTest, ServerThatKeepsItsDiskIsKilledByForceOnly) {
    const pid_t server = start_process();
    ASSERT_GT(server, 0);
    record(identify_process(paths_, server));
    driver_->fail_control(UBLK_U_CMD_STOP_DEV, -ETIMEDOUT);
    EXPECT_EQ(remove_device(paths_, control_, 0, Force::no).error().code, ETIMEDOUT);
    EXPECT_EQ(::waitpid(server, nullptr, WNOHANG), 0);
    // Dead, it keeps nothing.
    driver_->before_control([this, stops = 0](std::uint32_t opcode) mutable {
        if (opcode == UBLK_U_CMD_STOP_DEV && ++stops == 2)
            driver_->heal_control();
    });
    EXPECT_TRUE(remove_device(paths_, control_, 0, Force::yes));
    int status = 0;
    ASSERT_EQ(::waitpid(server, &status, 0), server);
    EXPECT_EQ(WTERMSIG(status), SIGKILL);
    EXPECT_FALSE(driver_->device_exists());
}

TEST_F(RemovalTest, ProcessThatGotTheNumberOfADeadServerIsLeftAlone) {
    const pid_t stranger = start_process();
    ASSERT_GT(stranger, 0);
    auto identity = identify_process(paths_, stranger);
    identity.start++;
    record(identity);
    ASSERT_TRUE(remove_device(paths_, control_, 0, Force::yes));
    EXPECT_EQ(::waitpid(stranger, nullptr, WNOHANG), 0);
    ::kill(stranger, SIGKILL);
    ::waitpid(stranger, nullptr, 0);
}

class StopTest : public RemovalTest {
protected:
    static constexpr std::uint64_t mark = 77;
    static constexpr std::uint64_t mark_of_a_stranger = 78;

    // Once its disk was stopped the device goes, and somebody else takes the number.
    void give_number_away_after_the_stop() {
        driver_->before_control(
            [this, stopped = false, given = false](std::uint32_t opcode) mutable {
                if (stopped && !std::exchange(given, true))
                    driver_->replace_device(mark_of_a_stranger);
                stopped |= opcode == UBLK_U_CMD_STOP_DEV || opcode == UBLK_U_CMD_TRY_STOP_DEV;
            });
    }
    void expect_stranger() {
        EXPECT_TRUE(driver_->device_exists());
        const auto info = control_.info(0);
        ASSERT_TRUE(info);
        EXPECT_EQ(info->mark, mark_of_a_stranger);
    }

    void SetUp() override {
        driver_->available_features = UBLK_F_SAFE_STOP_DEV;
        root_.write("dev/null", "");
        root_.write("sys/block/ublkb0/dev", "259:0\n");
        ASSERT_TRUE(control_.add({.number = 0, .mark = mark}));
        ASSERT_TRUE(state_.create());
    }
    void record_of(std::uint64_t of, const ProcessIdentity& server) {
        ASSERT_TRUE(state_.write({0, "null", {}, server, 0, {}, of}));
    }
};

TEST_F(StopTest, NumberThatWasTakenAgainIsAnothersDevice) {
    for (const Stop how : {Stop::always, Stop::safely}) {
        record_of(mark, {1 << 22, 1}); // no such process can be
        driver_->replace_device(mark);
        give_number_away_after_the_stop();
        EXPECT_TRUE(stop_device(paths_, control_, 0, how));
        expect_stranger();
    }
}

TEST_F(StopTest, NumberThatWasTakenAgainIsNotDeleted) {
    for (const Force force : {Force::no, Force::yes}) {
        record_of(mark, {1 << 22, 1});
        driver_->replace_device(mark);
        give_number_away_after_the_stop();
        EXPECT_TRUE(remove_device(paths_, control_, 0, force));
        expect_stranger();
    }
}

TEST_F(StopTest, ServerOfAnEarlierDeviceIsNotEndedForThisOne) {
    const pid_t server = start_process();
    ASSERT_GT(server, 0);
    record_of(mark + 2, identify_process(paths_, server));
    EXPECT_TRUE(remove_device(paths_, control_, 0, Force::yes));
    EXPECT_FALSE(driver_->device_exists());
    EXPECT_EQ(::waitpid(server, nullptr, WNOHANG), 0) << "it has ended";
    EXPECT_TRUE(recorded());
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
}

TEST_F(StopTest, DeviceOfAnotherProgramIsLeftToIt) {
    for (const Stop how : {Stop::always, Stop::safely}) {
        ASSERT_TRUE(stop_device(paths_, control_, 0, how));
        EXPECT_TRUE(driver_->device_exists());
    }
}

TEST_F(StopTest, DeviceOfADeadServerOfOursGoes) {
    record_of(mark, {1 << 22, 1}); // no such process can be
    ASSERT_TRUE(stop_device(paths_, control_, 0, Stop::safely));
    EXPECT_FALSE(driver_->device_exists());
    EXPECT_FALSE(recorded());
}

TEST_F(StopTest, RecordOfAnEarlierDeviceMakesItNotOurs) {
    record_of(mark + 2, {1 << 22, 1});
    ASSERT_TRUE(stop_device(paths_, control_, 0, Stop::always));
    EXPECT_TRUE(driver_->device_exists());
    EXPECT_TRUE(recorded());
}

TEST_F(StopTest, RunningServerIsWaitedForButNotAsked) {
    int status = 0;
    const pid_t server = ::fork();
    ASSERT_GE(server, 0);
    if (server == 0) {
        std::this_thread::sleep_for(50ms);
        ::_exit(5);
    }
    record_of(mark, identify_process(paths_, server));
    ASSERT_TRUE(stop_device(paths_, control_, 0, Stop::always));
    ASSERT_EQ(::waitpid(server, &status, WNOHANG), server);
    EXPECT_EQ(WEXITSTATUS(status), 5);
}

TEST_F(StopTest, UserIsNamedAndKeepsTheDeviceFromBeingStoppedSafely) {
    root_.write("proc/self/mountinfo", "");
    root_.write("proc/swaps", "Filename Type Size Used Priority\n/dev/ublkb0 partition 1 0 -2\n");
    paths_.proc = root_.path("proc");
    driver_->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -EBUSY);
    const auto refused = stop_device(paths_, control_, 0, Stop::safely);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_THAT(refused.error().step, HasSubstr("used as swap"));
    EXPECT_THAT(refused.error().hint, HasSubstr("--safe"));
    EXPECT_TRUE(stop_device(paths_, control_, 0, Stop::always));
}

TEST_F(StopTest, UserWhoCannotBeFoundKeepsItAfterAMoment) {
    driver_->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -EBUSY);
    const auto refused = stop_device(paths_, control_, 0, Stop::safely);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_FALSE(refused.error().hint.empty());
}

TEST_F(StopTest, DelAsksTheDriverWhoHasItOpen) {
    driver_->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -EBUSY);
    EXPECT_EQ(remove_device(paths_, control_, 0, Force::no).error().code, EBUSY);
    EXPECT_TRUE(driver_->device_exists());
    EXPECT_TRUE(remove_device(paths_, control_, 0, Force::yes));
    EXPECT_FALSE(driver_->device_exists());
}

// The mount stays when the disk under it goes; the number does, too.
TEST_F(StopTest, UserOfADiskThatHasGoneKeepsTheDevice) {
    root_.write("proc/self/mountinfo", "");
    root_.write("proc/swaps", "Filename Type Size Used Priority\n/dev/ublkb0 partition 1 0 -2\n");
    paths_.proc = root_.path("proc");
    driver_->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -ENODEV);
    const auto refused = remove_device(paths_, control_, 0, Force::no);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EBUSY);
    EXPECT_THAT(refused.error().hint, HasSubstr("--force"));
}

TEST_F(StopTest, DeviceWithoutADiskHasNothingToStop) {
    driver_->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -ENODEV);
    EXPECT_TRUE(stop_device(paths_, control_, 0, Stop::safely));
}

TEST_F(StopTest, DriverThatCannotStopSafelySaysSo) {
    driver_->available_features = 0;
    const auto refused = stop_device(paths_, control_, 0, Stop::safely);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::driver);
    EXPECT_TRUE(stop_device(paths_, control_, 0, Stop::always));
}

TEST_F(StopTest, DeviceThatIsNotThereIsAnError) {
    EXPECT_EQ(stop_device(paths_, control_, 5, Stop::always).error().code, ENODEV);
}

} // namespace
} // namespace ublk::daemon
