// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/device_node.h"

#include <cerrno>
#include <csignal>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/wait.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;

class DeviceNodeTest : public testing::Test {
protected:
    test::TemporaryDirectory dev_;
    Paths paths_{.dev = dev_.path()};
    Ready ready_{.number = 3, .size_bytes = 512, .server = ::getpid()};
};

TEST_F(DeviceNodeTest, MissingNodeTimesOutAndNamesIt) {
    const auto found = wait_for_device_node(paths_, ready_, Clock::now() + 5ms);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ETIMEDOUT);
    EXPECT_THAT(found.error().step, testing::HasSubstr("ublkb3: No such file"));
}

TEST_F(DeviceNodeTest, FileInPlaceOfTheNodeIsNotTheDevice) {
    dev_.write("ublkb3", "");
    const auto found = wait_for_device_node(paths_, ready_, Clock::now() + 5ms);
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().step, testing::HasSubstr("something else"));
}

TEST_F(DeviceNodeTest, DeathOfTheServerEndsTheWait) {
    ready_.server = ::fork();
    if (ready_.server == 0)
        for (;;)
            ::pause();
    ASSERT_GT(ready_.server, 0);
    std::thread killer([&] { ::kill(ready_.server, SIGKILL); });
    const auto start = Clock::now();
    const auto found = wait_for_device_node(paths_, ready_, start + 30s);
    const auto took = Clock::now() - start;
    killer.join();
    ::waitpid(ready_.server, nullptr, 0);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind, ErrorKind::backend);
    EXPECT_THAT(found.error().step, testing::HasSubstr("died"));
    EXPECT_LT(took, 20s);
}

// Containers have few of these, and programs such as editors take many.
TEST_F(DeviceNodeTest, NoInotifyInstanceIsNeeded) {
    std::vector<UniqueFd> all;
    for (;;) {
        UniqueFd one{::inotify_init1(IN_CLOEXEC)};
        if (!one)
            break;
        all.push_back(std::move(one));
        ASSERT_LT(all.size(), 100'000U);
    }
    const auto found = wait_for_device_node(paths_, ready_, Clock::now() + 5ms);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ETIMEDOUT) << found.error().message();
    EXPECT_THAT(found.error().step, testing::HasSubstr("ublkb3: No such file"));
}

TEST_F(DeviceNodeTest, ContainerIsToldHowToMakeTheNode) {
    dev_.write("sys/block/ublkb3/dev", "259:7\n");
    const auto found = wait_for_device_node({.dev = dev_.path(), .sys = dev_.path("sys")}, ready_,
                                            Clock::now() + 5ms);
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().hint, testing::HasSubstr("/ublkb3 b 259 7"));
}

} // namespace
} // namespace ublk::daemon
