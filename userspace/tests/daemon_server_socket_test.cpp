// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/server_socket.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <unistd.h>

#include "daemon/json.h"
#include "daemon/server_commands.h"
#include "server_with_driver.h"
#include "support/fake_driver.h"
#include "support/temporary_directory.h"
#include "support/test_target.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

class ServerSocketTest : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    // Longer than the address of a socket can be.
    StateDirectory state_{Paths{.state = root_.path(std::string(150, 'd'))}};

    void SetUp() override { ASSERT_TRUE(state_.create()); }

    static Deadline soon() { return Clock::now() + 20s; }

    // Asks from another thread, as another process does.
    Result<json> ask(const ServerSocket& socket, const json& command,
                     const ServerSocket::Answer& answer) {
        Result<json> reply{json{}};
        std::thread asker{[&] { reply = send_command(state_, 3, command, soon()); }};
        pollfd event{socket.descriptor(), POLLIN, 0};
        EXPECT_EQ(::poll(&event, 1, 20000), 1);
        socket.answer_one(answer);
        asker.join();
        return reply;
    }
};

TEST_F(ServerSocketTest, CarriesACommandThereAndTheAnswerBack) {
    auto socket = ServerSocket::open(state_, 3);
    ASSERT_TRUE(socket) << socket.error().message();
    const auto reply = ask(*socket, {{"what", "size"}}, [](const json& command) -> Result<json> {
        EXPECT_EQ(command.at("what"), "size");
        return json{{"size", 7}};
    });
    ASSERT_TRUE(reply) << reply.error().message();
    EXPECT_EQ(reply->at("size"), 7);
}

TEST_F(ServerSocketTest, CarriesAnErrorWhole) {
    auto socket = ServerSocket::open(state_, 3);
    ASSERT_TRUE(socket);
    const auto reply = ask(*socket, {}, [](const json&) -> Result<json> {
        return Error{ENOSPC, "grow", "buy a disk", ErrorKind::backend};
    });
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().code, ENOSPC);
    EXPECT_EQ(reply.error().hint, "buy a disk");
    EXPECT_EQ(reply.error().kind, ErrorKind::backend);
}

// He was told that it failed: the server was stopped, or had something else to wait for.
TEST_F(ServerSocketTest, WhoeverHasGivenUpIsNotObeyed) {
    auto socket = ServerSocket::open(state_, 3);
    ASSERT_TRUE(socket);
    const auto reply = send_command(state_, 3, {{"what", "size"}}, Clock::now() + 10ms);
    EXPECT_EQ(reply.error().code, ETIMEDOUT);
    socket->answer_one([](const json&) -> Result<json> {
        ADD_FAILURE() << "obeyed";
        return json{};
    });
}

TEST_F(ServerSocketTest, OneThatAServerLeftBehindIsReplacedAndUntilThenRefused) {
    ASSERT_TRUE(ServerSocket::open(state_, 3));
    EXPECT_EQ(send_command(state_, 3, {}, soon()).error().code, ECONNREFUSED);
    EXPECT_TRUE(ServerSocket::open(state_, 3));
}

TEST_F(ServerSocketTest, WithoutAServerThereIsNothingToAsk) {
    EXPECT_EQ(send_command(state_, 3, {}, soon()).error().code, ENOENT);
}

TEST_F(ServerSocketTest, WhoeverAsksNothingOnlyWastesHisTime) {
    auto socket = ServerSocket::open(state_, 3);
    ASSERT_TRUE(socket);
    socket->answer_one([](const json&) -> Result<json> {
        ADD_FAILURE() << "nobody has asked";
        return json{};
    });
}

// A disk that can have any size.
class Elastic final : public Target {
public:
    Geometry geometry() const override { return {.size_bytes = 1U << 20}; }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override {
        return size.value_or(5U << 20);
    }
};

class ServerCommandsTest : public ServerSocketTest {
protected:
    std::shared_ptr<test::FakeDriver> driver_ = std::make_shared<test::FakeDriver>();

    void SetUp() override {
        ServerSocketTest::SetUp();
        driver_->available_features |= UBLK_F_UPDATE_SIZE;
    }
    ServerRecord record_{};
    std::uint64_t other_mark_ = 0; // none: that of the device
    DeviceInfo asked_for(DeviceInfo device) const {
        if (other_mark_)
            device.mark = other_mark_;
        return device;
    }
    Result<Resized> resize(const SizeRequest& request) {
        auto server = start_with_driver(driver_, std::make_unique<Elastic>(), {.number = 3});
        EXPECT_TRUE(server) << server.error().message();
        auto socket = ServerSocket::open(state_, 3);
        EXPECT_TRUE(socket);
        Result<Resized> outcome{Resized{}};
        std::thread asker{[&] {
            const DeviceInfo device = asked_for(server->info());
            outcome = ask_to_resize({state_, device, soon()}, request);
            ::kill(::getpid(), SIGTERM); // to the process: only its own thread would see raise()
        }};
        const auto answer = [&] {
            socket->answer_one([&](const json& command) {
                return execute_command({*server, state_, record_, {}}, command);
            });
        };
        EXPECT_TRUE(server->run({{socket->descriptor(), answer}}));
        asker.join();
        return outcome;
    }
};

// Of a target that changes as it serves.
class Turncoat final : public Target {
public:
    explicit Turncoat(const std::atomic<bool>& direct) : direct_(direct) {}
    Geometry geometry() const override { return test::everything_allowed(); }
    Async<Answer> serve(Ring ring, Request request) override {
        return test::succeed(ring, request);
    }
    std::optional<bool> is_direct() const override { return direct_; }
    std::vector<std::string> remarks() const override {
        return direct_ ? std::vector<std::string>{} : std::vector<std::string>{"byte \xff"};
    }

private:
    const std::atomic<bool>& direct_;
};

TEST_F(ServerCommandsTest, StatusIsThatOfNow) {
    std::atomic<bool> direct{true};
    auto server = start_with_driver(driver_, std::make_unique<Turncoat>(direct), {.number = 3});
    ASSERT_TRUE(server) << server.error().message();
    auto socket = ServerSocket::open(state_, 3);
    ASSERT_TRUE(socket);
    const auto ask = [&] {
        Result<ServerStatus> status{ServerStatus{}};
        std::thread asker{[&] { status = ask_for_status({state_, server->info(), soon()}); }};
        pollfd event{socket->descriptor(), POLLIN, 0};
        EXPECT_EQ(::poll(&event, 1, 20000), 1);
        socket->answer_one([&](const json& command) {
            return execute_command({*server, state_, record_, {}}, command);
        });
        asker.join();
        return status;
    };
    const auto before = ask();
    ASSERT_TRUE(before) << before.error().message();
    EXPECT_EQ(before->direct, true);
    EXPECT_TRUE(before->remarks.empty());
    EXPECT_EQ(before->short_for_seconds, 0U);
    direct = false;
    const auto after = ask();
    ASSERT_TRUE(after) << after.error().message();
    EXPECT_EQ(after->direct, false);
    EXPECT_EQ(after->remarks, std::vector<std::string>{"byte \xff"});
}

TEST_F(ServerCommandsTest, ServerIsResizedWhileItRuns) {
    const auto resized = resize({.bytes = 3U << 20});
    ASSERT_TRUE(resized) << resized.error().message();
    EXPECT_EQ(resized->before, 1U << 20);
    EXPECT_EQ(resized->after, 3U << 20);
    EXPECT_EQ(driver_->params().basic.dev_sectors, 6144U);
}

TEST_F(ServerCommandsTest, OtherDevicesOfItsNumberAreNotMeant) {
    other_mark_ = 99;
    const auto refused = resize({.bytes = 3U << 20});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ENODEV);
    EXPECT_EQ(driver_->params().basic.dev_sectors, 2048U);
}

TEST_F(ServerCommandsTest, SizeOfTheBackingIsAskedForByNone) {
    EXPECT_EQ(resize({})->after, 5U << 20);
}

TEST_F(ServerCommandsTest, ShrinkingIsRefusedThere) {
    EXPECT_EQ(resize({.bytes = 4096}).error().kind, ErrorKind::usage);
}

TEST_F(ServerCommandsTest, ShrinkingIsDoneThereIfAskedFor) {
    EXPECT_EQ(resize({.bytes = 4096, .may_shrink = true})->after, 4096U);
}

TEST_F(ServerCommandsTest, NonsenseIsAnError) {
    auto server = start_with_driver(driver_, std::make_unique<Elastic>(), {});
    ASSERT_TRUE(server);
    for (const char* text :
         {"null", "{}", "[]", "7", "{\"resize\":{}}", "{\"mark\":0,\"resize\":{}}",
          "{\"mark\":0,\"settings\":{}}", "{\"mark\":0,\"settings\":{\"layer\":7}}",
          "{\"mark\":0,\"command\":[]}", "{\"mark\":0,\"dance\":{}}",
          "{\"mark\":0,\"resize\":{\"bytes\":\"x\",\"may_shrink\":true}}"}) {
        const auto answer = execute_command({*server, state_, record_, {}}, parse_json(text));
        ASSERT_FALSE(answer) << text;
        EXPECT_EQ(answer.error().code, EBADMSG);
    }
}

} // namespace
} // namespace ublk::daemon
