// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/server.h>

#include <csignal>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <thread>

#include <ublk/unique_fd.h>

#include "server_over.h"
#include "support/fake_driver.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::FakeDriver;
using namespace std::chrono_literals;

constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};

std::unique_ptr<Target> target(const Geometry& geometry = test::everything_allowed()) {
    return std::make_unique<test::TestTarget<Async<Answer> (*)(Ring, Request)>>(&test::succeed,
                                                                                geometry);
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
    EXPECT_EQ(*server->run(), End::removed);
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

TEST_F(ServerTest, RunHandlesWhatElseItIsToWaitFor) {
    Result<Server> server = start_over(driver, target(), {});
    ASSERT_TRUE(server);
    const UniqueFd event{::eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK)};
    eventfd_t seen = 0;
    const auto handle = [&] {
        ::eventfd_read(event.get(), &seen);
        std::raise(SIGTERM);
    };
    EXPECT_TRUE(server->run({{event.get(), handle}}));
    EXPECT_EQ(seen, 3U);
}

// A disk of which the test says how large it can get.
class Elastic final : public Target {
public:
    explicit Elastic(std::uint64_t backing, const Geometry& geometry = {.size_bytes = 1U << 20})
        : backing_(backing), geometry_(geometry) {}
    Geometry geometry() const override { return geometry_; }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        if (size && *size > backing_)
            return Error{ENOSPC, "resize"};
        ++resizes;
        return size.value_or(backing_);
    }
    static inline int resizes = 0;

private:
    std::uint64_t backing_;
    Geometry geometry_;
};

class ResizeTest : public ServerTest {
protected:
    static constexpr std::uint64_t MiB = 1U << 20;
    static constexpr test::BlockRequest behind_1_MiB{
        .op = UBLK_IO_OP_READ, .sector = 2048, .sectors = 8};

    void SetUp() override {
        driver->available_features |= UBLK_F_UPDATE_SIZE;
        Elastic::resizes = 0;
    }
    Server start(std::uint64_t backing) {
        auto server = start_over(driver, std::make_unique<Elastic>(backing), {});
        EXPECT_TRUE(server);
        return *std::move(server);
    }
    int read_behind_1_MiB() {
        driver->issue(0, 0, behind_1_MiB);
        return driver->wait_for_result(0, 0);
    }
};

TEST_F(ResizeTest, GrowsAsFarAsAskedForAndServesWhatIsNew) {
    Server server = start(4 * MiB);
    EXPECT_EQ(read_behind_1_MiB(), -EINVAL);
    const auto resized = server.resize({.bytes = 2 * MiB});
    ASSERT_TRUE(resized) << resized.error().message();
    EXPECT_EQ(resized->before, MiB);
    EXPECT_EQ(resized->after, 2 * MiB);
    EXPECT_EQ(driver->params().basic.dev_sectors, 4096U);
    EXPECT_EQ(read_behind_1_MiB(), 4096);
}

TEST_F(ResizeTest, WithoutASizeTheBackingDecides) {
    Server server = start(4 * MiB);
    EXPECT_EQ(server.resize({})->after, 4 * MiB);
    EXPECT_EQ(driver->params().basic.dev_sectors, 8192U);
}

TEST_F(ResizeTest, ShrinksOnlyIfItMayAndGoesOnServingWhatIsUnderWay) {
    Server server = start(2 * MiB);
    ASSERT_TRUE(server.resize({}));
    const auto refused = server.resize({.bytes = MiB});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    EXPECT_EQ(driver->params().basic.dev_sectors, 4096U);
    EXPECT_EQ(Elastic::resizes, 1) << "the target was asked for what is not to be";

    EXPECT_EQ(server.resize({.bytes = MiB, .may_shrink = true})->after, MiB);
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
    EXPECT_EQ(read_behind_1_MiB(), 4096);
}

TEST_F(ResizeTest, BackingThatBecameSmallerDoesNotShrinkTheDiskByItself) {
    Server server = start(MiB / 2);
    EXPECT_FALSE(server.resize({}));
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
    EXPECT_EQ(server.resize({.may_shrink = true})->after, MiB / 2);
}

TEST_F(ResizeTest, NothingToDoIsDoneWithoutTheDriver) {
    Server server = start(4 * MiB);
    driver->fail_control(UBLK_U_CMD_UPDATE_SIZE, -EIO);
    const auto resized = server.resize({.bytes = MiB});
    ASSERT_TRUE(resized);
    EXPECT_EQ(resized->after, resized->before);
}

TEST_F(ResizeTest, OddSizesAreRefusedBeforeTheTargetSeesThem) {
    Server server = start(4 * MiB);
    for (const std::uint64_t odd : {std::uint64_t{0}, 2 * MiB + 1, 2 * MiB + 256})
        EXPECT_FALSE(server.resize({.bytes = odd, .may_shrink = true})) << odd;
    EXPECT_EQ(Elastic::resizes, 0);
}

TEST_F(ResizeTest, BackingOfPartsOfABlockIsRefused) {
    Server server = start(2 * MiB + 100);
    const auto refused = server.resize({});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::backend);
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
}

TEST_F(ResizeTest, ErrorOfTheTargetIsTold) {
    Server server = start(2 * MiB);
    EXPECT_EQ(server.resize({.bytes = 3 * MiB}).error().code, ENOSPC);
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
}

TEST_F(ResizeTest, DriverThatCannotIsAskedBeforeAnythingChanges) {
    driver->available_features = 0;
    Server server = start(4 * MiB);
    const auto refused = server.resize({});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::driver);
    EXPECT_EQ(Elastic::resizes, 0);
}

TEST_F(ResizeTest, ZonedDiskKeepsItsSizeWhateverItsTargetCan) {
    driver->available_features |= UBLK_F_ZONED | UBLK_F_USER_COPY;
    auto server = start_over(driver, std::make_unique<Elastic>(2 * MiB, test::zoned()), {});
    ASSERT_TRUE(server) << server.error().message();
    const auto refused = server->resize({.bytes = 2 * MiB});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EOPNOTSUPP);
    EXPECT_EQ(refused.error().kind, ErrorKind::backend);
    EXPECT_EQ(Elastic::resizes, 0);
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
}

TEST_F(ResizeTest, TargetOfOneSizeSaysSo) {
    auto server = start_over(driver, target(), {});
    ASSERT_TRUE(server);
    EXPECT_EQ(server->resize({}).error().code, EOPNOTSUPP);
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
