// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/launch.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "daemon/file.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;

Deadline soon() { return Clock::now() + 20s; }

TEST(Launch, ReturnsWhatTheServerSaysAboutItsDevice) {
    auto server = launch(
        [](const Launcher& launcher) {
            static_cast<void>(launcher.report_ready({3, "loop", 1 << 20, ::getpid()}, soon()));
        },
        soon());
    ASSERT_TRUE(server);
    EXPECT_EQ(server->ready().number, 3);
    EXPECT_EQ(server->ready().target, "loop");
    EXPECT_EQ(server->ready().size_bytes, 1U << 20);
    EXPECT_NE(server->ready().server, ::getpid());
    server->accept();
}

TEST(Launch, PassesAnErrorOnWhole) {
    auto server = launch(
        [](const Launcher& launcher) {
            launcher.report_error({EBUSY, "file=/x", "look elsewhere", ErrorKind::backend});
        },
        soon());
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, EBUSY);
    EXPECT_EQ(server.error().step, "file=/x");
    EXPECT_EQ(server.error().hint, "look elsewhere");
    EXPECT_EQ(server.error().kind, ErrorKind::backend);
}

TEST(Launch, PassesFileNamesOnThatAreNoText) {
    auto server = launch(
        [](const Launcher& launcher) {
            launcher.report_error({ENOENT, "file=/\xff\\xff"});
        },
        soon());
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().step, "file=/\xff\\xff");
}

TEST(Launch, SaysHowAServerDiedThatSaidNothing) {
    auto killed = launch([](const Launcher&) { ::raise(SIGKILL); }, soon());
    ASSERT_FALSE(killed);
    EXPECT_EQ(killed.error().kind, ErrorKind::backend);
    EXPECT_THAT(killed.error().hint, testing::HasSubstr("killed by signal 9"));

    auto exited = launch([](const Launcher&) { ::_exit(3); }, soon());
    ASSERT_FALSE(exited);
    EXPECT_THAT(exited.error().hint, testing::HasSubstr("exited with code 3"));
}

TEST(Launch, EndsAServerThatIsNotReadyInTime) {
    auto server = launch(
        [](const Launcher&) {
            for (;;)
                ::pause();
        },
        Clock::now() + 10ms);
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, ETIMEDOUT);
}

TEST(Launch, KillsAServerThatIsNotReadyInTimeAndMustNotTakeItsDeviceDown) {
    const test::TemporaryDirectory directory;
    static const std::string* mark = nullptr;
    const std::string path = directory.path("ended");
    mark = &path;
    auto server = launch(
        [](const Launcher&) {
            std::signal(SIGTERM, [](int) {
                static_cast<void>(::open(mark->c_str(), O_CREAT | O_CLOEXEC, 0644));
                ::_exit(0);
            });
            for (;;)
                ::pause();
        },
        Clock::now() + 10ms, Late::killed);
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code, ETIMEDOUT);
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Launch, TellsTheServerWhetherItWasAccepted) {
    const test::TemporaryDirectory directory;
    const auto serve = [&](const Launcher& launcher) {
        auto accepted = launcher.report_ready({0, "null", 512, ::getpid()}, soon());
        static_cast<void>(write_file(directory.path("verdict"), accepted ? "accepted" : "refused"));
    };

    // Dropped without being accepted: the server has ended when the destructor returns.
    ASSERT_TRUE(launch(serve, soon()));
    EXPECT_EQ(read_word(directory.path("verdict")), "refused");

    auto server = launch(serve, soon());
    ASSERT_TRUE(server);
    const ProcessHandle process(server->ready().server);
    ASSERT_TRUE(server->confirm());
    ASSERT_TRUE(server->confirm());
    server->accept();
    EXPECT_TRUE(process.wait_until_gone(soon()));
    EXPECT_EQ(read_word(directory.path("verdict")), "accepted");
}

TEST(Launch, DoesNotConfirmAServerThatDiedAfterItsReport) {
    auto server = launch(
        [](const Launcher& launcher) {
            static_cast<void>(launcher.report_ready({0, "null", 512, ::getpid()}, soon()));
        },
        soon());
    ASSERT_TRUE(server);
    ::kill(server->ready().server, SIGKILL);
    const auto alive = server->confirm();
    ASSERT_FALSE(alive);
    EXPECT_EQ(alive.error().kind, ErrorKind::backend);
}

TEST(Launch, ServerHasItsOwnSessionAndNoneOfOurDescriptors) {
    std::array<int, 2> inherited{};
    ASSERT_EQ(::pipe(inherited.data()), 0);
    auto server = launch(
        [&](const Launcher& launcher) {
            const bool own_session = ::getsid(0) == ::getpid();
            const bool closed = ::fcntl(inherited[1], F_GETFD) < 0;
            const bool null = read_link("/proc/self/fd/1") == "/dev/null";
            static_cast<void>(launcher.report_ready(
                {own_session && closed && null ? 1 : 0, "null", 0, 0}, soon()));
        },
        soon());
    ::close(inherited[0]);
    ::close(inherited[1]);
    ASSERT_TRUE(server);
    EXPECT_EQ(server->ready().number, 1);
}

} // namespace
} // namespace ublk::daemon
