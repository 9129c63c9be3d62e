// SPDX-License-Identifier: GPL-2.0-or-later
// What becomes of I/O on an nbd disk when its server dies, is silent, comes back, or comes back as
// something else.
#include <atomic>
#include <chrono>
#include <filesystem>
#include <ostream>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ublk/retry.h>

#include "support/nbd_disk.h"
#include "support/nbd_server.h"
#include "support/temporary_directory.h"

namespace ublk::targets {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using test::NbdDisk;
using test::NbdProxy;
using test::NbdServer;
using test::pattern;
using testing::HasSubstr;

constexpr std::size_t block = 16384;

class NbdReconnect : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    std::string image_ = directory_.create_file("image", 4 << 20);
    std::vector<std::byte> data_ = pattern(block, 3);

    std::string socket(const std::string& name = "s") const { return directory_.path(name); }
    std::vector<std::string> nbdkit(const std::vector<std::string>& more = {}) const {
        // With more threads nbdkit 1.32 can end by an assertion of its own when a connection is
        // cut.
        std::vector<std::string> words{"nbdkit", "--threads=1", "file", image_};
        words.insert(words.end(), more.begin(), more.end());
        return words;
    }

    static void wait_for(const NbdDisk& disk, std::string_view name, std::uint64_t least) {
        const auto seen = retry_until(
            Clock::now() + 60s, [&] { return disk.measured(name); },
            [&](std::uint64_t value) { return value < least; });
        EXPECT_GE(seen, least) << name;
    }

    // Does what ends connections, and waits until one is lost. Those of others may be noticed
    // later: how many are lost by then says nothing.
    template <class End> static void lose_some(const NbdDisk& disk, End&& end) {
        const std::uint64_t before = disk.measured("connections_lost");
        end();
        wait_for(disk, "connections_lost", before + 1);
    }

    // Two queues write and read while `disturb` is at work; all must be well at the end.
    template <class Disturb> void load(NbdDisk& disk, Disturb&& disturb) {
        std::atomic<bool> enough{false};
        std::atomic<unsigned> errors{0};
        const auto use = [&](unsigned queue) {
            for (unsigned round = 0; !enough || round < 20; ++round) {
                const auto place = [&](unsigned tag) {
                    return ((round % 20) * 8 + queue * 4 + tag) * block;
                };
                for (unsigned tag = 0; tag < NbdDisk::depth; ++tag)
                    disk.submit_write(queue, tag, place(tag), pattern(block, round % 20 + tag));
                for (unsigned tag = 0; tag < NbdDisk::depth; ++tag)
                    errors += disk.wait(queue, tag) != static_cast<int>(block);
                disk.submit(queue, 0, UBLK_IO_OP_FLUSH, 0, 0);
                errors += disk.wait(queue, 0) != 0;
                errors += disk.read(place(1), block, queue, 1) != pattern(block, round % 20 + 1);
            }
        };
        std::thread first{use, 0U};
        std::thread second{use, 1U};
        disturb();
        enough = true;
        first.join();
        second.join();
        EXPECT_EQ(errors, 0U);
        for (unsigned round = 0; round < 20; ++round)
            for (unsigned i = 0; i < 8; ++i)
                EXPECT_EQ(disk.read((round * 8 + i) * block, block), pattern(block, round + i % 4));
    }
};

TEST_F(NbdReconnect, ServerThatIsKilledUnderLoadIsMissedByNobody) {
    NbdServer server{socket(), nbdkit()};
    NbdDisk disk{{"uri=" + server.uri()}, 2};
    load(disk, [&] {
        for (unsigned death = 0; death < 5; ++death) {
            lose_some(disk, [&] { server.kill(); });
            server.start();
            wait_for(disk, "connections_up", 2);
        }
    });
    EXPECT_GE(disk.measured("connections_lost"), 5U);
    EXPECT_EQ(disk.measured("requests_failed_waiting"), 0U);
}

TEST_F(NbdReconnect, ServerThatShutsDownUnderLoadIsMissedByNobody) {
    NbdServer server{socket(), nbdkit()};
    NbdDisk disk{{"uri=" + server.uri()}, 2};
    load(disk, [&] {
        for (unsigned death = 0; death < 5; ++death) {
            lose_some(disk, [&] { server.terminate(); });
            server.start();
            wait_for(disk, "connections_up", 2);
        }
    });
}

TEST_F(NbdReconnect, SharedConnectionComesBackForAllQueues) {
    const std::vector<std::string> words{"nbdkit", "--filter=multi-conn", "file", image_,
                                         "multi-conn-mode=disable"};
    NbdServer server{socket(), words};
    NbdDisk disk{{"uri=" + server.uri()}, 2};
    load(disk, [&] {
        for (unsigned death = 0; death < 5; ++death) {
            lose_some(disk, [&] { server.kill(); });
            server.start();
            wait_for(disk, "connections_up", 1);
        }
    });
    EXPECT_EQ(disk.measured("connections_lost"), 5U);
}

TEST_F(NbdReconnect, RepliesThatAreCutAreAskedForAgain) {
    const NbdServer server{socket(), nbdkit()};
    NbdProxy proxy{socket("proxy"), socket()};
    NbdDisk disk{{"uri=" + proxy.uri()}, 2};
    load(disk, [&] {
        for (unsigned cut = 0; cut < 5; ++cut) {
            lose_some(disk, [&] { proxy.set(NbdProxy::Mode::cut); });
            proxy.set(NbdProxy::Mode::pass);
            wait_for(disk, "connections_up", 2);
        }
    });
    EXPECT_GE(disk.measured("requests_sent_again"), 5U);
}

TEST_F(NbdReconnect, SilentServerIsLeftAndSaid) {
    const NbdServer server{socket(), nbdkit()};
    NbdProxy proxy{socket("proxy"), socket()};
    testing::internal::CaptureStderr();
    {
        NbdDisk disk{{"uri=" + proxy.uri(), "timeout=400ms", "open-timeout=400ms"}};
        EXPECT_EQ(disk.write(0, data_), static_cast<int>(block));
        proxy.set(NbdProxy::Mode::swallow);
        disk.submit_write(0, 0, block, data_);
        wait_for(disk, "connections_lost", 1);
        EXPECT_FALSE(disk.driver().result(0, 0)) << "it waits";
        proxy.set(NbdProxy::Mode::pass);
        EXPECT_EQ(disk.wait(), static_cast<int>(block));
        EXPECT_EQ(disk.read(block, block), data_);
    }
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr("lost: the server has not answered for 0.4 s; 1 requests wait"));
    EXPECT_THAT(said, HasSubstr("is back after"));
}

TEST_F(NbdReconnect, SlowServerIsNotLeftAsLongAsItAnswersSomething) {
    const NbdServer server{socket(),
                           {"nbdkit", "--filter=noparallel", "--filter=delay", "file", image_,
                            "serialize=requests", "rdelay=400ms"}};
    NbdDisk disk{{"uri=" + server.uri(), "timeout=800ms"}};
    for (unsigned tag = 0; tag < NbdDisk::depth; ++tag)
        disk.submit(0, tag, UBLK_IO_OP_READ, tag * block, block);
    for (unsigned tag = 0; tag < NbdDisk::depth; ++tag)
        EXPECT_EQ(disk.wait(0, tag), static_cast<int>(block));
    EXPECT_EQ(disk.measured("connections_lost"), 0U);
}

TEST_F(NbdReconnect, WaitingEndsWithAnErrorAndTheNextServerEndsThat) {
    NbdServer server{socket(), nbdkit()};
    testing::internal::CaptureStderr();
    {
        NbdDisk disk{{"uri=" + server.uri(), "reconnect-delay=300ms"}};
        server.kill();
        EXPECT_EQ(disk.write(0, data_), -EIO) << "once 300 ms are over";
        EXPECT_EQ(disk.write(0, data_), -EIO) << "at once";
        server.start();
        wait_for(disk, "connections_up", 1);
        EXPECT_EQ(disk.write(0, data_), static_cast<int>(block));
        EXPECT_EQ(disk.read(0, block), data_);
    }
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr("no way back yet: "));
    EXPECT_THAT(said, HasSubstr("is given up: I/O fails until there is a server again"));
}

TEST_F(NbdReconnect, ServerThatFallsOverEachRequestIsNotAskedForEver) {
    const NbdServer server{socket(), nbdkit()};
    NbdProxy proxy{socket("proxy"), socket()};
    NbdDisk disk{{"uri=" + proxy.uri(), "reconnect-delay=2s"}};
    // Handshakes are cut, too, so let none of them be: what is cut is what follows.
    proxy.set(NbdProxy::Mode::cut_replies);
    EXPECT_EQ(disk.write(0, data_), -EIO);
    EXPECT_LE(proxy.connections(), 20U) << "with pauses in between";
    proxy.set(NbdProxy::Mode::pass);
    wait_for(disk, "connections_up", 1);
    EXPECT_EQ(disk.write(0, data_), static_cast<int>(block));
}

struct Other {
    const char* name;
    std::vector<std::string> words; // "%" is the image
    bool shrinks = false;
    const char* said;
};

void PrintTo(const Other& other, std::ostream* out) { *out << other.name; }

class NbdComesBack : public NbdReconnect, public testing::WithParamInterface<Other> {};

TEST_P(NbdComesBack, AsSomethingElseAndIsRefused) {
    const std::vector<std::string> first{"nbdkit", "--filter=exportname", "file", image_,
                                         "exportdesc=fixed:first"};
    NbdServer server{socket(), first};
    testing::internal::CaptureStderr();
    {
        NbdDisk disk{{"uri=" + server.uri(), "reconnect-delay=1s"}};
        EXPECT_EQ(disk.write(0, data_), static_cast<int>(block));
        server.kill();
        if (GetParam().shrinks)
            std::filesystem::resize_file(image_, 2 << 20);
        std::vector<std::string> words = GetParam().words;
        for (std::string& word : words)
            if (word == "%")
                word = image_;
        server.start_as(words);
        EXPECT_EQ(disk.write(0, pattern(block, 77)), -EIO);
        EXPECT_GE(disk.measured("servers_refused"), 1U);
        server.kill();
        std::filesystem::resize_file(image_, 4 << 20);
        server.start_as(first);
        wait_for(disk, "connections_up", 1);
        EXPECT_EQ(disk.read(0, block), data_) << "nothing was written to what was refused";
    }
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(GetParam().said));
}

INSTANTIATE_TEST_SUITE_P(
    Each, NbdComesBack,
    testing::Values(Other{"Smaller",
                          {"nbdkit", "--filter=exportname", "file", "%", "exportdesc=fixed:first"},
                          true,
                          "the export has 2097152 bytes by now, the disk 4194304"},
                    Other{"ReadOnly",
                          {"nbdkit", "-r", "--filter=exportname", "file", "%",
                           "exportdesc=fixed:first"},
                          false,
                          "the export is read-only by now"},
                    Other{"AnotherExport",
                          {"nbdkit", "--filter=exportname", "file", "%", "exportdesc=fixed:second"},
                          false,
                          "it is another export: described as 'second', not 'first'"},
                    Other{"WithoutZeroes",
                          {"nbdkit", "--filter=nozero", "--filter=exportname", "file", "%",
                           "exportdesc=fixed:first"},
                          false,
                          "the export does not know write-zeroes any more"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(NbdReconnect, LargerExportStandsIn) {
    NbdServer server{socket(), nbdkit()};
    NbdDisk disk{{"uri=" + server.uri()}};
    server.kill();
    std::filesystem::resize_file(image_, 8 << 20);
    server.start();
    EXPECT_EQ(disk.write(0, data_), static_cast<int>(block));
    EXPECT_EQ(disk.server().resize({})->after, 8U << 20);
    EXPECT_EQ(disk.write((8 << 20) - block, data_), static_cast<int>(block));
}

// A second of patience, and one for this machine.
TEST_F(NbdReconnect, StopEndsAReadThatIsUnderWay) {
    const NbdServer server{socket(), nbdkit()};
    for (const bool shared : {false, true}) {
        const std::string name = shared ? "shared" : "several";
        NbdProxy proxy{socket(name), socket()};
        NbdDisk disk{{"uri=" + proxy.uri(), "connections=" + std::string(shared ? "1" : "2")}, 2};
        proxy.set(NbdProxy::Mode::swallow);
        disk.submit(1, 0, UBLK_IO_OP_READ, 0, block);
        const auto before = Clock::now();
        EXPECT_TRUE(disk.server().stop());
        EXPECT_LT(Clock::now() - before, 2s);
        EXPECT_EQ(disk.wait(1, 0), -EIO);
    }
}

TEST_F(NbdReconnect, StopDoesNotWaitForALostServer) {
    NbdServer server{socket(), nbdkit()};
    NbdDisk disk{{"uri=" + server.uri()}, 2};
    disk.submit_write(0, 0, 0, data_);
    EXPECT_EQ(disk.wait(), static_cast<int>(block));
    server.kill();
    wait_for(disk, "connections_lost", 2);
    disk.submit(0, 0, UBLK_IO_OP_READ, 0, block);
    const auto before = Clock::now();
    EXPECT_TRUE(disk.server().stop());
    EXPECT_LT(Clock::now() - before, 2s);
    EXPECT_EQ(disk.wait(0, 0), -EIO);
}

TEST_F(NbdReconnect, StopEndsAnAttemptToConnect) {
    const NbdServer server{socket(), nbdkit()};
    NbdProxy proxy{socket("proxy"), socket()};
    NbdDisk disk{{"uri=" + proxy.uri(), "timeout=200ms"}};
    proxy.set(NbdProxy::Mode::swallow);
    disk.submit(0, 0, UBLK_IO_OP_READ, 0, block);
    wait_for(disk, "connections_lost", 1);
    const auto before = Clock::now();
    EXPECT_TRUE(disk.server().stop());
    EXPECT_LT(Clock::now() - before, 2s);
}

} // namespace
} // namespace ublk::targets
