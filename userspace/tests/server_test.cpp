// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/server.h>

#include <atomic>
#include <csignal>
#include <future>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <thread>

#include <ublk/retry.h>
#include <ublk/unique_fd.h>

#include "server_with_driver.h"
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
            start_with_driver(driver, target(), {.queues = 2, .depth = 8, .timeout = 5000ms});
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

// What the kernel does for a ring, and threads that it makes for that, may have to reclaim memory.
TEST_F(ServerTest, ProcessIsPreparedBeforeItHasARing) {
    const Result<Server> server = start_with_driver(driver, target(), {});
    ASSERT_TRUE(server);
    EXPECT_EQ(driver->first_calls(), (std::vector<std::string>{"process", "control"}));
}

TEST_F(ServerTest, TellsTheDriverTheGeometry) {
    Result<Server> server = start_with_driver(driver, target(), {});
    ASSERT_TRUE(server);
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
    EXPECT_TRUE(driver->params().basic.attrs & UBLK_ATTR_VOLATILE_CACHE);
}

TEST_F(ServerTest, StatisticsOutliveTheQueues) {
    Result<Server> server = start_with_driver(driver, target(), {});
    ASSERT_TRUE(server);
    driver->issue(0, 0, read_4k);
    driver->wait_for_result(0, 0);
    ASSERT_TRUE(server->stop());
    EXPECT_EQ(server->statistics().requests, 1U);
    EXPECT_TRUE(server->stop()) << "a second stop is nothing to do";
}

TEST_F(ServerTest, CountsOfAllQueuesAreOneSum) {
    Result<Server> server = start_with_driver(driver, target(), {.queues = 2, .depth = 8});
    ASSERT_TRUE(server);
    for (unsigned queue = 0; queue < 2; ++queue) {
        driver->issue(queue, 0, read_4k);
        driver->wait_for_result(queue, 0);
    }
    EXPECT_EQ(server->statistics().of(Op::read).requests, 2U);
    EXPECT_EQ(server->statistics().of(Op::read).bytes, 8192U);
}

// Obeys, or takes its time.
class Commanded final : public Target {
public:
    Geometry geometry() const override { return {.size_bytes = 1U << 20}; }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
    Result<Reply> command(std::string_view name, std::span<const std::string> words) override {
        if (name == "wait")
            free.wait(false);
        return Reply{{std::string(name), words.empty() ? "" : words.front()}};
    }
    void measure(Metrics& metrics) const override { metrics.add("commanded", "counted", 7); }

    std::atomic<bool> free{false};
};

TEST_F(ServerTest, CommandsAndMeasurementsReachTheTarget) {
    Result<Server> server = start_with_driver(driver, std::make_unique<Commanded>(), {});
    ASSERT_TRUE(server);
    const auto reply = server->command("say", {"hello"});
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(*reply, (Reply{{"say", "hello"}}));
    ASSERT_EQ(server->metrics().entries().size(), 1U);
    EXPECT_EQ(server->metrics().entries()[0].value, 7U);
}

TEST_F(ServerTest, CommandThatTakesTooLongIsNotWaitedFor) {
    auto owned = std::make_unique<Commanded>();
    Commanded& target = *owned;
    Result<Server> server = start_with_driver(driver, std::move(owned), {.timeout = 100ms});
    ASSERT_TRUE(server);
    EXPECT_EQ(server->command("wait", {}).error().code, ETIMEDOUT);
    EXPECT_EQ(server->command("say", {}).error().code, EBUSY);
    target.free = true;
    target.free.notify_all();
    EXPECT_TRUE(retry_until(
        std::chrono::steady_clock::now() + 20s, [&] { return server->command("say", {}); },
        [](const Result<Reply>& reply) { return !reply; }));
}

TEST_F(ServerTest, RunEndsOnASignal) {
    Result<Server> server = start_with_driver(driver, target(), {});
    ASSERT_TRUE(server);
    std::raise(SIGTERM);
    EXPECT_EQ(*server->run(), End::removed);
    EXPECT_FALSE(driver->device_exists());
}

TEST_F(ServerTest, SignalRemovesNoDiskThatIsInUseUnlessItComesAgain) {
    driver->available_features |= UBLK_F_SAFE_STOP_DEV;
    Result<Server> server = start_with_driver(driver, target(), {});
    ASSERT_TRUE(server);
    unsigned asked = 0;
    driver->before_control([&](std::uint32_t opcode) {
        if (opcode == UBLK_U_CMD_TRY_STOP_DEV && ++asked == 1)
            std::raise(SIGTERM); // it has been consumed, so it is another one
    });
    driver->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -EBUSY);
    testing::internal::CaptureStderr();
    std::raise(SIGTERM);
    EXPECT_EQ(*server->run(), End::removed);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("/dev/ublkb0: "));
    EXPECT_GT(asked, 0U);
    EXPECT_FALSE(driver->device_exists());
}

TEST_F(ServerTest, SignalRemovesNoMountedDiskOfADriverThatDoesNotKnow) {
    Result<Server> server = start_with_driver(driver, target(), {});
    ASSERT_TRUE(server);
    driver->refuse_claims(EBUSY);
    bool told = false;
    driver->before_control([&](std::uint32_t opcode) {
        if (opcode == UBLK_U_CMD_GET_FEATURES && !std::exchange(told, true))
            std::raise(SIGTERM);
        EXPECT_TRUE(told || opcode != UBLK_U_CMD_STOP_DEV);
    });
    std::raise(SIGTERM);
    EXPECT_EQ(*server->run(), End::removed);
    EXPECT_TRUE(told);
}

TEST_F(ServerTest, NextServerIsPreparedForBeforeThereIsADisk) {
    int number = -1;
    Result<Server> server = start_with_driver(
        driver, target(),
        {.number = 3, .before_disk = [&](const DeviceInfo& info, const CopyChoice& copy) {
             EXPECT_NE(driver->info().state, UBLK_S_DEV_LIVE);
             EXPECT_EQ(copy.mode, CopyMode::driver);
             number = info.number;
             return Result<void>{};
         }});
    ASSERT_TRUE(server) << server.error().message();
    EXPECT_EQ(number, 3);
}

TEST_F(ServerTest, NoDiskIsMadeWithoutThat) {
    Result<Server> server = start_with_driver(
        driver, target(), {.before_disk = [](const DeviceInfo&, const CopyChoice&) -> Result<void> {
            return Error{ENOSPC, "write it down"};
        }});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, ENOSPC);
    EXPECT_FALSE(driver->device_exists());
}

// Before it is open its number may become another's.
TEST_F(ServerTest, DeviceThatAnotherOneHasReplacedIsLeftAlone) {
    driver->before_open([&] {
        driver->replace_device(78);
        return ENOENT;
    });
    EXPECT_FALSE(start_with_driver(driver, target(), {.mark = 77}));
    EXPECT_TRUE(driver->device_exists());
}

TEST_F(ServerTest, RunEndsWhenSomebodyElseStopsTheDevice) {
    Result<Server> server = start_with_driver(driver, target(), {});
    ASSERT_TRUE(server);
    std::thread somebody{[this] { driver->take_back_tags(); }};
    EXPECT_TRUE(server->run());
    somebody.join();
    EXPECT_FALSE(driver->device_exists());
}

// What a target still has to do when it goes, such as a last commit, is part of the server's end:
// the process may exit right after it.
TEST_F(ServerTest, TargetHasGoneWhenTheServerHas) {
    class Mortal final : public Target {
    public:
        explicit Mortal(std::atomic<bool>& gone) : gone_(gone) {}
        ~Mortal() override { gone_ = true; }
        Geometry geometry() const override { return test::everything_allowed(); }
        Async<Answer> serve(Ring ring, Request request) override {
            return test::succeed(ring, request);
        }

    private:
        std::atomic<bool>& gone_;
    };
    constexpr int rounds = 1000;
    int too_late = 0;
    for (int round = 0; round < rounds; ++round) {
        std::atomic<bool> gone = false;
        {
            auto fresh = std::make_shared<FakeDriver>();
            const auto server =
                start_with_driver(fresh, std::make_unique<Mortal>(gone), {.queues = 2, .depth = 1});
            ASSERT_TRUE(server) << server.error().message();
        }
        too_late += !gone;
        while (!gone) // it lives on this stack
            std::this_thread::yield();
    }
    EXPECT_EQ(too_late, 0) << "of " << rounds;
}

// What could not be stored is not passed over, and the device goes all the same.
TEST_F(ServerTest, ErrorOfTheTargetsEndIsThatOfTheServers) {
    class Losing final : public Target {
    public:
        Geometry geometry() const override { return test::everything_allowed(); }
        Async<Answer> serve(Ring ring, Request request) override {
            return test::succeed(ring, request);
        }
        Result<void> finish() override { return Error{ENOSPC, "store the rest"}; }
    };
    auto server = start_with_driver(driver, std::make_unique<Losing>(), {});
    ASSERT_TRUE(server);
    const auto stopped = server->stop();
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().step, "store the rest");
    EXPECT_FALSE(driver->device_exists());
}

TEST_F(ServerTest, InvalidGeometryTouchesNoDriver) {
    const Result<Server> server =
        start_with_driver(driver, target({.size_bytes = 4096, .logical_block_size = 100}), {});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().kind, ErrorKind::usage);
    EXPECT_FALSE(driver->device_exists());
}

TEST_F(ServerTest, InvalidOptionsAreUsageErrors) {
    for (const ServerOptions& wrong : {ServerOptions{.queues = 0}, ServerOptions{.queues = 4097},
                                       ServerOptions{.depth = 0}, ServerOptions{.depth = 4097}}) {
        const Result<Server> server = start_with_driver(driver, target(), wrong);
        ASSERT_FALSE(server);
        EXPECT_EQ(server.error().kind, ErrorKind::usage);
    }
}

TEST_F(ServerTest, PartitionScanIsLeftOutWhereTheDriverCan) {
    Result<Server> server = start_with_driver(driver, target(), {.partition_scan = false});
    ASSERT_TRUE(server);
    EXPECT_EQ(driver->granted_features(), UBLK_F_NO_AUTO_PART_SCAN);
}

TEST_F(ServerTest, RunHandlesWhatElseItIsToWaitFor) {
    Result<Server> server = start_with_driver(driver, target(), {});
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
    explicit Elastic(std::uint64_t backing, const Geometry& geometry = {.size_bytes = 1U << 20},
                     int size_events = -1)
        : backing_(backing), geometry_(geometry), size_events_(size_events) {}
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
    int size_events() const override { return size_events_; }
    static inline int resizes = 0;

private:
    std::uint64_t backing_;
    Geometry geometry_;
    int size_events_;
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
        auto server = start_with_driver(driver, std::make_unique<Elastic>(backing), {});
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

// Runs a server whose backing says once that it has another size, and tells what it prints.
class BackingThatTells : public ResizeTest {
protected:
    std::string run_with(std::uint64_t backing) {
        const UniqueFd told{::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
        auto server = start_with_driver(
            driver, std::make_unique<Elastic>(backing, Geometry{.size_bytes = MiB}, told.get()),
            {});
        EXPECT_TRUE(server);
        const UniqueFd enough{::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)};
        testing::internal::CaptureStderr();
        EXPECT_TRUE(server->run({{enough.get(), [&] {
                                      eventfd_t value = 0;
                                      ::eventfd_read(enough.get(), &value);
                                      std::raise(SIGTERM);
                                  }}}));
        eventfd_t left = 0;
        EXPECT_LT(::eventfd_read(told.get(), &left), 0) << "nobody has listened";
        return testing::internal::GetCapturedStderr();
    }
};

TEST_F(BackingThatTells, GrowsTheDisk) {
    EXPECT_THAT(run_with(4 * MiB), testing::HasSubstr("/dev/ublkb0: has 4194304 bytes now"));
    EXPECT_EQ(driver->params().basic.dev_sectors, 8192U);
}

TEST_F(BackingThatTells, ShrinksNoDisk) {
    EXPECT_THAT(run_with(MiB / 2), testing::HasSubstr("--shrink"));
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
}

TEST_F(BackingThatTells, OfTheSameSizeChangesNothing) {
    EXPECT_EQ(run_with(MiB), "");
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
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
    auto server = start_with_driver(driver, std::make_unique<Elastic>(2 * MiB, test::zoned()), {});
    ASSERT_TRUE(server) << server.error().message();
    const auto refused = server->resize({.bytes = 2 * MiB});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EOPNOTSUPP);
    EXPECT_EQ(refused.error().kind, ErrorKind::backend);
    EXPECT_EQ(Elastic::resizes, 0);
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
}

TEST_F(ResizeTest, TargetOfOneSizeSaysSo) {
    auto server = start_with_driver(driver, target(), {});
    ASSERT_TRUE(server);
    EXPECT_EQ(server->resize({}).error().code, EOPNOTSUPP);
}

// Whatever step fails, the device must be gone afterwards and the error be that step's.
class FailingStep : public ServerTest, public testing::WithParamInterface<std::uint32_t> {};

TEST_P(FailingStep, LeavesNoDevice) {
    driver->fail_control(GetParam(), -EPERM);
    const Result<Server> server = start_with_driver(driver, target(), {.timeout = 5000ms});
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
    const Result<Server> server = start_with_driver(driver, target(), {.timeout = 5000ms});
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, EINVAL);
    EXPECT_FALSE(driver->device_exists());
}

// As if its file system were frozen.
class StuckTarget final : public Target {
public:
    explicit StuckTarget(std::shared_future<void> thawed) : thawed_(std::move(thawed)) {}
    Geometry geometry() const override { return test::everything_allowed(); }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
    Result<std::uint64_t> resize(std::optional<std::uint64_t> bytes) override {
        thawed_.wait();
        return *bytes;
    }

private:
    std::shared_future<void> thawed_;
};

TEST_F(ServerTest, ResizeOfABackingThatDoesNotAnswerEnds) {
    driver->available_features |= UBLK_F_UPDATE_SIZE;
    std::promise<void> thaw;
    Result<Server> server = start_with_driver(
        driver, std::make_unique<StuckTarget>(thaw.get_future().share()), {.timeout = 1000ms});
    ASSERT_TRUE(server) << server.error().message();
    const SizeRequest larger{.bytes = 4U << 20};
    const Result<Resized> first = server->resize(larger);
    ASSERT_FALSE(first);
    EXPECT_EQ(first.error().code, ETIMEDOUT);
    const Result<Resized> second = server->resize(larger);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EBUSY);
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U) << "the device keeps its size";
    thaw.set_value();
    for (int i = 0; i < 1000; ++i) {
        const Result<Resized> third = server->resize(larger);
        if (third || third.error().code != EBUSY) {
            ASSERT_TRUE(third) << third.error().message();
            EXPECT_EQ(third->after, 4U << 20);
            return;
        }
        std::this_thread::sleep_for(1ms);
    }
    FAIL() << "it stays busy";
}

} // namespace
} // namespace ublk
