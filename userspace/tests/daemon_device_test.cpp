// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/device.h"

#include <cerrno>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using testing::HasSubstr;

class ServerOfADevice : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    Paths paths_{.state = directory_.path("state")};
    DeviceInfo info_{.number = 3, .server = ::getpid(), .mark = 77};

    void record(const ProcessIdentity& server, std::uint64_t mark = 77) {
        const StateDirectory state(paths_);
        ASSERT_TRUE(state.create());
        ASSERT_TRUE(state.write(
            {.number = 3, .target = "null", .options = {}, .server = server, .mark = mark}));
    }
};

TEST_F(ServerOfADevice, IsAliveIfItIsTheProcessOfTheRecord) {
    record(identify_process(paths_, ::getpid()));
    EXPECT_TRUE(server_is_alive(paths_, info_));
}

TEST_F(ServerOfADevice, ProcessThatHasItsNumberByNowIsNotTakenForIt) {
    ProcessIdentity earlier = identify_process(paths_, ::getpid());
    --earlier.start;
    record(earlier);
    EXPECT_FALSE(server_is_alive(paths_, info_));

    Device device;
    device.info = info_;
    device.info.state = DeviceState::live;
    device.server_alive = server_is_alive(paths_, info_);
    EXPECT_EQ(device_state(device), "orphaned");
}

TEST_F(ServerOfADevice, OfAnotherProgramIsWhoHasTheNumber) {
    EXPECT_TRUE(server_is_alive(paths_, info_));
    record({::getpid(), 1}, 78); // of an earlier device
    EXPECT_TRUE(server_is_alive(paths_, info_));
    info_.server = -1;
    EXPECT_FALSE(server_is_alive(paths_, info_));
}

TEST_F(ServerOfADevice, IsBlamedForWhatItDidNotDoInTimeOnly) {
    const Error busy{EBUSY, "stop device 3"};
    EXPECT_EQ(blame_server(paths_, info_, busy).hint, "");
    const Error late{ETIMEDOUT, "stop device 3"};
    EXPECT_THAT(blame_server(paths_, info_, late).hint, HasSubstr("3.log"));
    record({::getpid(), 1});
    EXPECT_THAT(blame_server(paths_, info_, late).hint, HasSubstr("has died"));
}

} // namespace
} // namespace ublk::daemon
