// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/server.h>

#include <csignal>
#include <gtest/gtest.h>
#include <thread>

#include "server_over.h"
#include "support/fake_driver.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::FakeDriver;
using namespace std::chrono_literals;

constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};

std::unique_ptr<Target> target(const Geometry& geometry = test::everything_allowed()) {
    return std::make_unique<test::TestTarget<Task (*)(Io)>>(&test::succeed, geometry);
}

class ServerTest : public testing::Test {
protected:
    std::shared_ptr<FakeDriver> driver = std::make_shared<FakeDriver>();
};

TEST_F(ServerTest, ServesEveryQueueAndRemovesTheDeviceAtTheEnd) {
    {
        Result<Server> server =
            start_over(driver, target(), {.queues = 2, .depth = 8, .timeout = 5000ms});
        ASSERT_TRUE(server) << server.error().message();
        EXPECT_EQ(server->path(), "/dev/ublkb0");
        EXPECT_EQ(server->info().queues, 2U);
        for (unsigned queue = 0; queue < 2; ++queue) {
            driver->issue(queue, 5, read_4k);
            EXPECT_EQ(driver->wait_for_result(queue, 5), 4096);
        }
        EXPECT_EQ(server->statistics().requests, 2U);
        EXPECT_TRUE(driver->device_exists());
    }
    EXPECT_FALSE(driver->device_exists());
}

TEST_F(ServerTest, TellsTheDriverTheGeometry) {
    Result<Server> server = start_over(driver, target(), {});
    ASSERT_TRUE(server);
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
    EXPECT_TRUE(driver->params().basic.attrs & UBLK_ATTR_VOLATILE_CACHE);
}

TEST_F(ServerTest, StatisticsOutliveTheQueues) {
    Result<Server> server = start_over(driver, target(), {});
    ASSERT_TRUE(server);
    driver->issue(0, 0, read_4k);
    driver->wait_for_result(0, 0);
    ASSERT_TRUE(server->stop());
    EXPECT_EQ(server->statistics().requests, 1U);
    EXPECT_TRUE(server->stop()) << "a second stop is nothing to do";
}

TEST_F(ServerTest, RunEndsOnASignal) {
    Result<Server> server = start_over(driver, target(), {});
    ASSERT_TRUE(server);
    std::raise(SIGTERM);
    EXPECT_TRUE(server->run());
    EXPECT_FALSE(driver->device_exists());
}

TEST_F(ServerTest, RunEndsWhenSomebodyElseStopsTheDevice) {
    Result<Server> server = start_over(driver, target(), {});
    ASSERT_TRUE(server);
    std::thread somebody{[this] { driver->take_back_tags(); }};
    EXPECT_TRUE(server->run());
    somebody.join();
    EXPECT_FALSE(driver->device_exists());
}

TEST_F(ServerTest, InvalidGeometryTouchesNoDriver) {
    const Result<Server> server =
        start_over(driver, target({.size_bytes = 4096, .logical_block_size = 100}), {});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().kind, ErrorKind::usage);
    EXPECT_FALSE(driver->device_exists());
}

TEST_F(ServerTest, InvalidOptionsAreUsageErrors) {
    for (const ServerOptions& wrong : {ServerOptions{.queues = 0}, ServerOptions{.queues = 4097},
                                       ServerOptions{.depth = 0}, ServerOptions{.depth = 4097}}) {
        const Result<Server> server = start_over(driver, target(), wrong);
        ASSERT_FALSE(server);
        EXPECT_EQ(server.error().kind, ErrorKind::usage);
    }
}

TEST_F(ServerTest, PartitionScanIsLeftOutWhereTheDriverCan) {
    Result<Server> server = start_over(driver, target(), {.partition_scan = false});
    ASSERT_TRUE(server);
    EXPECT_EQ(driver->granted_features(), UBLK_F_NO_AUTO_PART_SCAN);
}

// Whatever step fails, the device must be gone afterwards and the error be that step's.
class FailingStep : public ServerTest, public testing::WithParamInterface<std::uint32_t> {};

TEST_P(FailingStep, LeavesNoDevice) {
    driver->fail_control(GetParam(), -EPERM);
    const Result<Server> server = start_over(driver, target(), {.timeout = 5000ms});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, EPERM);
    EXPECT_FALSE(driver->device_exists());
}

INSTANTIATE_TEST_SUITE_P(Server, FailingStep,
                         testing::Values(UBLK_U_CMD_GET_FEATURES, UBLK_U_CMD_ADD_DEV,
                                         UBLK_U_CMD_SET_PARAMS, UBLK_U_CMD_GET_QUEUE_AFFINITY,
                                         UBLK_U_CMD_START_DEV));

TEST_F(ServerTest, RefusedFetchLeavesNoDevice) {
    driver->fail_fetch(-EINVAL);
    const Result<Server> server = start_over(driver, target(), {.timeout = 5000ms});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, EINVAL);
    EXPECT_FALSE(driver->device_exists());
}

} // namespace
} // namespace ublk
