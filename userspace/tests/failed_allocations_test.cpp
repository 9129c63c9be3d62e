// SPDX-License-Identifier: GPL-2.0-or-later
// Memory runs out: whatever the library and the daemon do, each allocation fails once, the first,
// the second and so on until there is none left to fail. Nothing throws, nothing is left.
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ublk/filter.h>

#include "daemon/verb.h"
#include "server_with_driver.h"
#include "support/allocation_counter.h"
#include "support/fake_driver.h"
#include "support/temporary_directory.h"
#include "support/test_target.h"
#include "targets/registry.h"

namespace ublk {
namespace {

using test::FakeDriver;
using testing::HasSubstr;
using testing::StartsWith;

constexpr std::uint64_t most = 5000; // more than anything here has

class Lasting final : public Target {
public:
    Geometry geometry() const override { return test::everything_allowed(); }
    Persistence persistence() const override { return Persistence::backing; }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
};

// Calls attempt() with the first allocation failing, the second and so on; that returns what the
// attempt ended with when nothing fails any more.
template <class Attempt> void fail_each(Attempt&& attempt) {
    std::uint64_t nth = 0;
    do
        attempt(++nth);
    while (test::fail_allocation(0) && nth < most);
    EXPECT_GT(nth, 5U) << "nothing has failed";
    EXPECT_LT(nth, most);
}

TEST(FailedAllocations, ServerStartsOrLeavesNoDevice) {
    fail_each([](std::uint64_t nth) {
        auto driver = std::make_shared<FakeDriver>();
        auto target = std::make_unique<Lasting>();
        test::fail_allocation(nth);
        {
            const auto server =
                start_with_driver(driver, std::move(target), {.queues = 2, .depth = 4});
            EXPECT_TRUE(server || server.error().code == ENOMEM) << server.error().message();
        }
        EXPECT_FALSE(driver->device_exists()) << nth;
    });
}

TEST(FailedAllocations, DeviceThatCouldNotBeTakenOverGoesOnWaiting) {
    auto driver = std::make_shared<FakeDriver>();
    driver->available_features = UBLK_F_USER_RECOVERY | UBLK_F_QUIESCE;
    auto first =
        start_with_driver(driver, std::make_unique<Lasting>(), {.recovery = Recovery::queue});
    ASSERT_TRUE(first);
    driver->lose_server();
    ASSERT_EQ(*first->run(), End::left);
    fail_each([&](std::uint64_t nth) {
        auto target = std::make_unique<Lasting>();
        test::fail_allocation(nth);
        auto next = recover_with_driver(driver, 0, std::move(target), {});
        const bool failed = test::fail_allocation(0);
        EXPECT_TRUE(next || next.error().code == ENOMEM) << next.error().message();
        ASSERT_TRUE(driver->device_exists()) << nth;
        if (next) {
            driver->lose_server();
            EXPECT_EQ(*next->run(), End::left);
        }
        EXPECT_EQ(driver->info().state, UBLK_S_DEV_QUIESCED) << nth;
        if (failed) // for fail_each()
            test::remember_failure();
    });
}

TEST(FailedAllocations, CommandOfTheDriversSucceedsOrFails) {
    auto driver = std::make_shared<FakeDriver>();
    Result<Control> control = driver->open_control(Milliseconds{20});
    ASSERT_TRUE(control);
    static const std::string step = "a step with a name that is long";
    const std::vector<std::function<bool(Control&)>> commands{
        [](Control& c) { return c.features().ok(); },
        [](Control& c) { return c.require(step, 1).ok(); },
        [](Control& c) { return c.add({.number = 0}).ok(); },
        [](Control& c) { return c.info(7).ok(); },
        [](Control& c) { return c.list().ok(); },
        [](Control& c) { return c.set_geometry(0, test::everything_allowed()).ok(); },
        [](Control& c) { return c.geometry(7).ok(); },
        [](Control& c) { return c.queue_cpus(0, 0).ok(); },
        [](Control& c) { return c.start(7, 1).ok(); },
        [](Control& c) { return c.stop(7).ok(); },
        [](Control& c) { return c.stop_unless_open(7).ok(); },
        [](Control& c) { return c.quiesce(7, Milliseconds{1}).ok(); },
        [](Control& c) { return c.start_recovery(7).ok(); },
        [](Control& c) { return c.end_recovery(7, 1).ok(); },
        [](Control& c) { return c.set_size(7, 4096).ok(); },
        [](Control& c) { return c.unshare(7, 0).ok(); },
        [](Control& c) { return c.remove_without_waiting(7).ok(); },
        [](Control& c) { return c.remove(7).ok(); }};
    fail_each([&](std::uint64_t nth) {
        test::fail_allocation(nth);
        for (const auto& command : commands)
            EXPECT_NO_THROW(command(*control)) << nth;
    });
}

TEST(FailedAllocations, RequestIsServedOrFails) {
    constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};
    auto driver = std::make_shared<FakeDriver>();
    auto server = start_with_driver(driver, std::make_unique<Lasting>(), {.depth = 1});
    ASSERT_TRUE(server);
    for (std::uint64_t nth = 1; nth < 10; ++nth) {
        test::fail_allocation(nth);
        driver->issue(0, 0, read_4k);
        const int result = driver->wait_for_result(0, 0);
        test::fail_allocation(0);
        EXPECT_TRUE(result == 4096 || result == -EIO) << result;
    }
}

// Waits, so each has a coroutine of its own until the request is answered.
class PassOn final : public Filter {
public:
    using Filter::Filter;
    Async<Answer> serve(Ring ring, Request request) override {
        co_await ring.yield();
        co_return co_await next().serve(ring, request);
    }
};

TEST(FailedAllocations, DeepStackIsServedFromWhatWasSetAside) {
    constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};
    std::unique_ptr<Target> stack = std::make_unique<Lasting>();
    for (int filters = 0; filters < 12; ++filters)
        stack = std::make_unique<PassOn>(std::move(stack));
    auto driver = std::make_shared<FakeDriver>();
    auto server = start_with_driver(driver, std::move(stack), {.depth = 1});
    ASSERT_TRUE(server);
    for (std::uint64_t nth = 1; nth < 20; ++nth) {
        test::fail_allocation(nth);
        driver->issue(0, 0, read_4k);
        EXPECT_EQ(driver->wait_for_result(0, 0), 4096) << nth;
        EXPECT_FALSE(test::fail_allocation(0)) << nth;
    }
}

// The verbs that need no driver, or find none. JSON is left out: the library for it ends the
// program in places, for which ublkd has a handler.
TEST(FailedAllocations, VerbEndsWithOneLineAndAnExitCode) {
    const test::TemporaryDirectory directory;
    const daemon::Paths paths{.state = directory.path("state")};
    for (const std::vector<std::string>& words : {std::vector<std::string>{"targets"},
                                                  {"help", "add"},
                                                  {"version"},
                                                  {"list"},
                                                  {"show", "0"},
                                                  {"del", "0"},
                                                  {"stop", "0"},
                                                  {"quiesce", "0"},
                                                  {"resize", "0", "1G"},
                                                  {"features"},
                                                  {"frob"}}) {
        SCOPED_TRACE(words[0]);
        fail_each([&](std::uint64_t nth) {
            testing::internal::CaptureStdout();
            testing::internal::CaptureStderr();
            test::fail_allocation(nth);
            const daemon::Exit exit = daemon::run_command(words, paths);
            const bool failed = test::fail_allocation(0);
            const std::string errors = testing::internal::GetCapturedStderr();
            testing::internal::GetCapturedStdout();
            if (exit != daemon::Exit::ok) {
                EXPECT_THAT(errors, StartsWith("ublkd: ")) << nth;
                EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 1) << errors;
            }
            EXPECT_FALSE(std::filesystem::exists(directory.path("state")));
            if (failed)
                test::remember_failure();
        });
    }
}

} // namespace
} // namespace ublk
