// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "rbd/ceph_cluster.h"
#include "support/target_bench.h"

namespace ublk::targets {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t MiB = 1U << 20;

// Of a process that has to hold an image until it is killed: what it is to be told.
constexpr const char* hold_variable = "UBLK_TEST_HOLD_IMAGE_OF";

std::size_t threads_that_take_signals() {
    std::size_t count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream status(task.path() / "status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with("SigBlk:"))
                count += !(std::stoull(line.substr(7), nullptr, 16) & (1U << (SIGTERM - 1)));
    }
    return count;
}

class RbdTarget : public testing::Test {
protected:
    static void SetUpTestSuite() {
        if (!std::getenv(hold_variable))
            cluster_ = std::make_unique<test::CephCluster>();
    }
    static void TearDownTestSuite() { cluster_.reset(); }

    // An image of each test's own.
    std::string make_image(const std::string& options = "--size 16M") {
        static int number = 0;
        std::string name = "image" + std::to_string(++number);
        EXPECT_TRUE(cluster_->rbd("create " + name + " " + options));
        return name;
    }
    Result<std::unique_ptr<Target>> try_open(std::vector<std::string> words,
                                             const GeometryRequest& request = {}) {
        const auto gives_conf = [](const std::string& word) { return word.starts_with("conf="); };
        if (std::none_of(words.begin(), words.end(), gives_conf))
            words.push_back("conf=" + cluster_->conf());
        return test::create_target("rbd", words, request);
    }
    std::unique_ptr<Target> open(const std::vector<std::string>& words,
                                 const GeometryRequest& request = {}) {
        auto target = try_open(words, request);
        EXPECT_TRUE(target) << target.error().message();
        return target ? *std::move(target) : nullptr;
    }
    // To a test that is only run by start_again(), of the image of the test that does so.
    struct Told {
        std::string image;
        std::string conf;
    };
    static Told what_was_told() {
        const char* variable = std::getenv(hold_variable);
        EXPECT_NE(variable, nullptr) << "run the test that starts this one";
        const std::string words = variable ? variable : " ";
        const auto at = words.find(' ');
        return {words.substr(0, at), words.substr(at + 1)};
    }
    // This program once more, for one test that is only run so.
    static pid_t start_again(const std::string& test, const std::string& image) {
        const std::string variable =
            std::string(hold_variable) + "=" + image + " " + cluster_->conf();
        std::string filter = "--gtest_filter=*" + test;
        std::vector<char*> environment{const_cast<char*>(variable.c_str()), nullptr};
        std::vector<char*> arguments{const_cast<char*>("again"), filter.data(),
                                     const_cast<char*>("--gtest_also_run_disabled_tests"), nullptr};
        pid_t process = 0;
        EXPECT_EQ(::posix_spawn(&process, "/proc/self/exe", nullptr, nullptr, arguments.data(),
                                environment.data()),
                  0);
        return process;
    }
    // The one line that a user gets, which is all that is said.
    std::string refusal(const std::vector<std::string>& words, int code) {
        testing::internal::CaptureStderr();
        auto target = try_open(words);
        EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
        if (target) {
            ADD_FAILURE() << "it was let in";
            return {};
        }
        EXPECT_EQ(target.error().code, code) << target.error().message();
        const std::string message = target.error().message();
        EXPECT_THAT(message, Not(HasSubstr("\n")));
        return message;
    }
    static std::uint64_t size_of(const std::string& image) {
        return std::stoull(
            cluster_->ask("rbd -c " + cluster_->conf() + " info " + image +
                          " --format json | sed 's/.*\"size\":\\([0-9]*\\).*/\\1/'"));
    }

    static std::unique_ptr<test::CephCluster> cluster_;
    std::vector<std::byte> data_ = test::pattern(8192, 3);
    std::vector<std::byte> got_ = test::pattern(8192, 9);
    const std::vector<std::byte> zeroes_ = std::vector<std::byte>(8192);
};

std::unique_ptr<test::CephCluster> RbdTarget::cluster_;

TEST_F(RbdTarget, StoresInTheImage) {
    const std::string image = make_image();
    {
        const auto target = open({"image=" + image});
        ASSERT_TRUE(target);
        EXPECT_EQ(target->geometry().size_bytes, 16 * MiB);
        EXPECT_EQ(target->persistence(), Persistence::backing);
        test::TargetBench bench{*target};
        EXPECT_EQ(bench.write(4096, data_), 8192);
        EXPECT_EQ(bench.read(4096, got_), 8192);
        EXPECT_EQ(got_, data_);
    }
    const std::string file = cluster_->directory() + "/" + image;
    ASSERT_TRUE(cluster_->rbd("export " + image + " " + file));
    std::ifstream exported(file, std::ios::binary);
    exported.seekg(4096);
    exported.read(reinterpret_cast<char*>(got_.data()), 8192);
    EXPECT_EQ(got_, data_);
}

TEST_F(RbdTarget, GeometryFollowsTheStripes) {
    const auto plain = open({"image=" + make_image()})->geometry();
    EXPECT_EQ(plain.io_opt, 4 * MiB);
    EXPECT_EQ(plain.io_min, 0U);
    EXPECT_EQ(plain.logical_block_size, 512U);
    EXPECT_EQ(plain.discard.granularity, 64U << 10);
    EXPECT_TRUE(plain.volatile_cache && plain.fua);

    const auto striped =
        open({"image=" +
              make_image("--size 16M --object-size 1M --stripe-unit 64K --stripe-count 4")})
            ->geometry();
    EXPECT_EQ(striped.io_opt, 256U << 10);
    EXPECT_EQ(striped.io_min, 64U << 10);
}

TEST_F(RbdTarget, GranularityIsWhatTheImageSays) {
    const std::string image = make_image();
    ASSERT_TRUE(
        cluster_->rbd("config image set " + image + " rbd_discard_granularity_bytes 131072"));
    EXPECT_EQ(open({"image=" + image})->geometry().discard.granularity, 128U << 10);
}

TEST_F(RbdTarget, DiscardsAndWritesZeroes) {
    const auto target = open({"image=" + make_image()});
    test::TargetBench bench{*target};
    const auto noise = test::pattern(256 << 10, 1);
    for (const std::uint64_t place : {std::uint64_t{0}, 4 * MiB}) {
        EXPECT_EQ(bench.write(place, noise), 256 << 10);
        EXPECT_EQ(bench.flush(), 0);
    }
    EXPECT_EQ(bench.discard(0, 64 << 10), 0);
    EXPECT_EQ(bench.read((64 << 10) - 8192, got_), 8192);
    EXPECT_EQ(got_, zeroes_);
    EXPECT_EQ(bench.read(64 << 10, got_), 8192);
    EXPECT_EQ(got_, test::pattern(8192, 1)) << "a pattern repeats every 256 bytes";

    EXPECT_EQ(bench.write_zeroes(4 * MiB + 512, 8192), 0);
    EXPECT_EQ(bench.read(4 * MiB + 512, got_), 8192);
    EXPECT_EQ(got_, zeroes_);
    EXPECT_EQ(bench.write_zeroes(4 * MiB + 16384, 8192, UBLK_IO_F_NOUNMAP), 0);
    EXPECT_EQ(bench.read(4 * MiB + 16384, got_), 8192);
    EXPECT_EQ(got_, zeroes_);
    EXPECT_EQ(bench.read(4 * MiB + 16384 + 8192, got_), 8192);
    EXPECT_NE(got_, zeroes_);
}

TEST_F(RbdTarget, WritesThroughWhenAskedTo) {
    const auto target = open({"image=" + make_image()});
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.write(0, data_, UBLK_IO_F_FUA), 8192);
    EXPECT_EQ(bench.read(0, got_), 8192);
    EXPECT_EQ(got_, data_);
}

// Requests of all kinds, many at a time and none in the place of another, against what memory says.
class Load {
public:
    explicit Load(Target& target) : bench_(target, depth, CopyMode::driver) {}

    void round() {
        std::vector<std::uint64_t> places;
        for (unsigned tag = 0; tag < depth; ++tag)
            places.push_back(tag * share + random_() % (share - longest) / 512 * 512);
        std::vector<bool> writes;
        for (unsigned tag = 0; tag < depth; ++tag) {
            const std::uint64_t length = 512 + random_() % longest / 512 * 512;
            writes.push_back(random_() % 2 == 0);
            lengths_[tag] = std::min<std::uint64_t>(length, longest);
            if (writes[tag]) {
                auto& pages = bench_.driver().pages(0, tag);
                pages.resize(lengths_[tag]);
                for (std::byte& byte : pages)
                    byte = static_cast<std::byte>(random_());
                std::copy(pages.begin(), pages.end(),
                          disk_.begin() + static_cast<long>(places[tag]));
            }
            bench_.submit(tag, {.op = static_cast<std::uint8_t>(writes[tag] ? UBLK_IO_OP_WRITE
                                                                            : UBLK_IO_OP_READ),
                                .sector = places[tag] / 512,
                                .sectors = static_cast<std::uint32_t>(lengths_[tag] / 512)});
        }
        bench_.finish_all();
        for (unsigned tag = 0; tag < depth; ++tag) {
            ASSERT_EQ(bench_.result(tag), static_cast<int>(lengths_[tag]));
            const auto& pages = bench_.driver().pages(0, tag);
            ASSERT_TRUE(std::equal(pages.begin(), pages.begin() + static_cast<long>(lengths_[tag]),
                                   disk_.begin() + static_cast<long>(places[tag])));
        }
    }
    // All that was ever written.
    void verify() {
        std::vector<std::byte> piece(longest);
        for (std::uint64_t place = 0; place < disk_.size(); place += longest) {
            ASSERT_EQ(bench_.read(place, piece), static_cast<int>(longest));
            ASSERT_TRUE(
                std::equal(piece.begin(), piece.end(), disk_.begin() + static_cast<long>(place)));
        }
    }

private:
    static constexpr unsigned depth = 8;
    static constexpr std::uint64_t share = 2 * MiB; // of each tag
    static constexpr std::uint64_t longest = 256U << 10;

    test::TargetBench bench_;
    std::vector<std::byte> disk_ = std::vector<std::byte>(16 * MiB);
    std::vector<std::uint64_t> lengths_ = std::vector<std::uint64_t>(depth);
    std::mt19937_64 random_{20};
};

TEST_F(RbdTarget, KeepsWhatManyRequestsWriteAtATime) {
    const auto target = open({"image=" + make_image()});
    Load load{*target};
    for (int i = 0; i < 30 && !HasFatalFailure(); ++i)
        load.round();
    load.verify();
}

TEST_F(RbdTarget, GoesOnWhenAnOsdIsKilled) {
    const auto target = open({"image=" + make_image()});
    Load load{*target};
    load.round();
    ASSERT_TRUE(cluster_->mini_ceph("kill", "osd.1"));
    const auto until = Clock::now() + 5s;
    while (Clock::now() < until && !HasFatalFailure())
        load.round();
    load.verify();
    ASSERT_TRUE(cluster_->mini_ceph("revive", "osd.1"));
    load.round();
    load.verify();
}

TEST_F(RbdTarget, SnapshotIsReadOnlyAndStaysAsItWas) {
    const std::string image = make_image();
    {
        const auto target = open({"image=" + image});
        test::TargetBench bench{*target};
        EXPECT_EQ(bench.write(0, data_), 8192);
        ASSERT_TRUE(cluster_->rbd("snap create " + image + "@before"));
        EXPECT_EQ(bench.write(0, test::pattern(8192, 77)), 8192);
    }
    ASSERT_TRUE(cluster_->rbd("resize " + image + " --size 32M"));
    const auto snapshot = open({"image=" + image, "snapshot=before"});
    EXPECT_TRUE(snapshot->geometry().read_only);
    EXPECT_EQ(snapshot->geometry().size_bytes, 16 * MiB);
    test::TargetBench bench{*snapshot};
    EXPECT_EQ(bench.read(0, got_), 8192);
    EXPECT_EQ(got_, data_);
    EXPECT_LT(bench.write(0, data_), 0);
    EXPECT_FALSE(snapshot->resize(32 * MiB));

    const auto other = open({"image=" + image});
    EXPECT_NE(snapshot->backings().front().things, other->backings().front().things);
    EXPECT_EQ(snapshot->backings().front().access, BackingUse::Access::reads);
}

TEST_F(RbdTarget, ImageOfANamespaceIsAnother) {
    ASSERT_TRUE(cluster_->rbd("namespace create rbd/apart"));
    ASSERT_TRUE(cluster_->rbd("create rbd/apart/same --size 16M"));
    ASSERT_TRUE(cluster_->rbd("create rbd/same --size 8M"));
    const auto apart = open({"image=same", "namespace=apart"});
    const auto plain = open({"image=same"});
    EXPECT_EQ(apart->geometry().size_bytes, 16 * MiB);
    EXPECT_EQ(plain->geometry().size_bytes, 8 * MiB);
    EXPECT_NE(apart->backings().front().things, plain->backings().front().things);
    test::TargetBench bench{*apart};
    EXPECT_EQ(bench.write(0, data_), 8192);
    test::TargetBench other{*plain};
    EXPECT_EQ(other.read(0, got_), 8192);
    EXPECT_EQ(got_, zeroes_);
}

TEST_F(RbdTarget, IsTheSameBackingUnderAnyName) {
    const std::string image = make_image();
    const auto one = open({"image=" + image}, {.read_only = true})->backings();
    ASSERT_TRUE(cluster_->rbd("rename " + image + " " + image + "-renamed"));
    const auto other = open({"image=" + image + "-renamed"}, {.read_only = true})->backings();
    EXPECT_EQ(one.front().things, other.front().things);
}

TEST_F(RbdTarget, SecondWriterIsRefused) {
    const std::string image = make_image();
    const auto first = open({"image=" + image});
    const std::string message = refusal({"image=" + image}, EBUSY);
    EXPECT_THAT(message, HasSubstr("lock rbd/" + image));
    EXPECT_THAT(message, HasSubstr("127.0.0.1:0/"));
    EXPECT_TRUE(open({"image=" + image}, {.read_only = true})) << "who only reads needs no lock";
    test::TargetBench bench{*first};
    EXPECT_EQ(bench.write(0, data_), 8192);
}

TEST_F(RbdTarget, LockIsGivenBackAtTheEnd) {
    const std::string image = make_image();
    EXPECT_TRUE(open({"image=" + image})->finish());
    EXPECT_TRUE(open({"image=" + image}));
}

TEST_F(RbdTarget, ImageWithoutTheFeatureIsRemarkedOn) {
    const auto target = open({"image=" + make_image("--size 16M --image-feature layering")});
    ASSERT_EQ(target->remarks().size(), 1U);
    EXPECT_THAT(target->remarks().front(), HasSubstr("exclusive-lock"));
    EXPECT_TRUE(open({"image=" + make_image()})->remarks().empty());
}

TEST_F(RbdTarget, CacheThatTheImageAsksForIsNoPersistence) {
    const std::string image = make_image();
    ASSERT_TRUE(cluster_->rbd("config image set " + image + " rbd_cache true"));
    const auto target = open({"image=" + image});
    EXPECT_EQ(target->persistence(), Persistence::flushed);
    EXPECT_EQ(target->remarks().size(), 1U);
}

// Holds an image until it is killed; run as a process of its own by the test below.
TEST_F(RbdTarget, DISABLED_HoldsAnImage) {
    const Told told = what_was_told();
    const auto target = test::create_target("rbd", {"image=" + told.image, "conf=" + told.conf});
    ASSERT_TRUE(target) << target.error().message();
    test::TargetBench bench{**target};
    EXPECT_EQ(bench.write(0, data_), 8192);
    std::ofstream(told.conf + ".held") << "yes";
    ::pause();
}

TEST_F(RbdTarget, LockOfAKilledOwnerIsTakenOver) {
    const std::string image = make_image();
    const pid_t owner = start_again("DISABLED_HoldsAnImage", image);
    const std::string held = cluster_->conf() + ".held";
    for (const auto until = Clock::now() + 30s;
         !std::filesystem::exists(held) && Clock::now() < until;)
        ::poll(nullptr, 0, 20);
    EXPECT_TRUE(std::filesystem::exists(held));
    ::kill(owner, SIGKILL);
    ::waitpid(owner, nullptr, 0);

    const auto target = open({"image=" + image});
    ASSERT_TRUE(target);
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.read(0, got_), 8192);
    EXPECT_EQ(got_, data_);
    EXPECT_EQ(bench.write(0, zeroes_), 8192);
    EXPECT_THAT(cluster_->ask("ceph -c " + cluster_->conf() + " osd blocklist ls 2>&1 | head -n 1"),
                HasSubstr("127.0.0.1:0/"))
        << "the dead one is not shut out";
}

TEST_F(RbdTarget, WhoIsShutOutSaysSoOnce) {
    const auto target = open({"image=" + make_image()});
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.write(0, data_), 8192);
    const std::string owner = cluster_->ask("rbd -c " + cluster_->conf() + " status " +
                                            target->backings().front().name.substr(6) +
                                            " | sed -n "
                                            "'s/.*watcher=\\([^ ]*\\).*/\\1/p'");
    ASSERT_TRUE(cluster_->ceph("osd blocklist add " + owner));
    testing::internal::CaptureStderr();
    for (const auto until = Clock::now() + 20s; bench.write(0, data_) > 0 && Clock::now() < until;)
        ;
    EXPECT_LT(bench.write(0, data_), 0);
    EXPECT_LT(bench.write(0, data_), 0);
    const std::string said = testing::internal::GetCapturedStderr();
    EXPECT_THAT(said, HasSubstr("shut us out"));
    EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
    ASSERT_TRUE(cluster_->ceph("osd blocklist rm " + owner));
}

TEST_F(RbdTarget, ResizeMakesTheImageLongerAndNeverShorter) {
    const std::string image = make_image();
    const auto target = open({"image=" + image});
    const auto grown = target->resize(24 * MiB);
    ASSERT_TRUE(grown) << grown.error().message();
    EXPECT_EQ(*grown, 24 * MiB);
    EXPECT_EQ(size_of(image), 24 * MiB);
    EXPECT_EQ(*target->resize(8 * MiB), 8 * MiB);
    EXPECT_EQ(size_of(image), 24 * MiB);
    EXPECT_EQ(*target->resize(std::nullopt), 24 * MiB);
    test::TargetBench bench{*target};
    bench.allow_up_to(24 * MiB);
    EXPECT_EQ(bench.write(24 * MiB - 8192, data_), 8192);
}

TEST_F(RbdTarget, ResizeByOthersIsSeen) {
    const std::string image = make_image();
    const auto target = open({"image=" + image});
    pollfd event{target->size_events(), POLLIN, 0};
    ASSERT_GE(event.fd, 0);
    ASSERT_TRUE(cluster_->rbd("snap create " + image + "@none"));
    EXPECT_EQ(::poll(&event, 1, 200), 0) << "the size is what it was";
    ASSERT_TRUE(cluster_->rbd("resize " + image + " --size 40M"));
    EXPECT_EQ(::poll(&event, 1, 10000), 1);
    EXPECT_EQ(*target->resize(std::nullopt), 40 * MiB);
}

TEST_F(RbdTarget, DiskKeepsItsSizeWhenItIsTakenOver) {
    const std::string image = make_image();
    EXPECT_EQ(open({"image=" + image}, {.size_bytes = 8 * MiB})->geometry().size_bytes, 8 * MiB);
    const auto refused = try_open({"image=" + image}, {.size_bytes = 32 * MiB});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ENODATA);
}

TEST_F(RbdTarget, ReadsBehindTheEndOfAShrunkImageFail) {
    const std::string image = make_image();
    const auto target = open({"image=" + image});
    test::TargetBench bench{*target};
    ASSERT_TRUE(cluster_->rbd("resize " + image + " --size 8M --allow-shrink"));
    EXPECT_LT(bench.read(12 * MiB, got_), 0);
    EXPECT_LT(bench.read(8 * MiB - 4096, got_), 0);
    EXPECT_EQ(bench.read(8 * MiB - 8192, got_), 8192);
}

// The OSDs answer again when nobody waits any more.
TEST_F(RbdTarget, StopsWhileNothingAnswers) {
    auto target = open({"image=" + make_image()});
    {
        test::TargetBench bench{*target};
        EXPECT_EQ(bench.write(0, data_), 8192);
        cluster_->signal_osds(SIGSTOP);
        bench.submit(0, {.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 16});
        bench.driver().pages(0, 1).assign(data_.begin(), data_.end());
        bench.submit(1, {.op = UBLK_IO_OP_WRITE, .sector = 64, .sectors = 16});
        const auto asked = Clock::now();
        bench.queue().ask_to_end();
        bench.finish_all();
        EXPECT_LT(Clock::now() - asked, 2s);
        EXPECT_EQ(bench.result(0), -EIO);
        EXPECT_EQ(bench.result(1), -EIO);
    }
    testing::internal::CaptureStderr();
    const auto asked = Clock::now();
    EXPECT_TRUE(target->finish());
    EXPECT_LT(Clock::now() - asked, 2s);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("does not answer"));
    target.reset();
    cluster_->signal_osds(SIGCONT);
}

// What the threads of the library use is destroyed by exit(), like all that is static.
TEST_F(RbdTarget, DISABLED_EndsWhileNothingAnswers) {
    const Told told = what_was_told();
    static const std::string destroyed = told.conf + ".destroyed";
    ASSERT_EQ(std::atexit([] { std::ofstream(destroyed) << "yes"; }), 0);
    const auto target =
        test::create_target("rbd", {"image=" + told.image, "conf=" + told.conf, "timeout=1s"});
    std::exit(target ? 0 : 7);
}

TEST_F(RbdTarget, EndsCleanlyWhileNothingAnswers) {
    const std::string image = make_image();
    cluster_->signal_osds(SIGSTOP);
    int status = -1;
    EXPECT_GT(::waitpid(start_again("DISABLED_EndsWhileNothingAnswers", image), &status, 0), 0);
    cluster_->signal_osds(SIGCONT);
    EXPECT_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, 7);
    EXPECT_FALSE(std::filesystem::exists(cluster_->conf() + ".destroyed"));
}

TEST_F(RbdTarget, ThreadsOfTheLibraryTakeNoSignals) {
    const std::size_t before = threads_that_take_signals();
    const auto target = open({"image=" + make_image()});
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.write(0, data_), 8192);
    EXPECT_EQ(threads_that_take_signals(), before);
}

TEST_F(RbdTarget, ClientNeedsNoMoreThanTheProfile) {
    const std::string keyring = cluster_->directory() + "/app.keyring";
    ASSERT_TRUE(cluster_->ceph("auth get-or-create client.app mon 'profile rbd' osd "
                               "'profile rbd pool=rbd' -o " +
                               keyring));
    const std::string image = make_image();
    for (const char* client : {"client=app", "client=client.app"}) {
        const auto target = open({"image=" + image, client, "keyring=" + keyring});
        ASSERT_TRUE(target);
        test::TargetBench bench{*target};
        EXPECT_EQ(bench.write(0, data_), 8192);
    }
}

TEST_F(RbdTarget, ClientThatMayNotIsTold) {
    const std::string keyring = cluster_->directory() + "/guest.keyring";
    ASSERT_TRUE(cluster_->ceph("auth get-or-create client.guest mon 'allow r' -o " + keyring));
    EXPECT_THAT(refusal({"image=" + make_image(), "client=guest", "keyring=" + keyring}, EPERM),
                HasSubstr("profile rbd"));
}

TEST_F(RbdTarget, WhatDoesNotExistIsNamed) {
    const std::string image = make_image();
    EXPECT_THAT(refusal({"image=none"}, ENOENT), HasSubstr("image=none"));
    EXPECT_THAT(refusal({"image=" + image, "pool=none"}, ENOENT), HasSubstr("pool=none"));
    EXPECT_THAT(refusal({"image=" + image, "namespace=none"}, ENOENT), HasSubstr("namespace=none"));
    EXPECT_THAT(refusal({"image=" + image, "snapshot=none"}, ENOENT), HasSubstr("snapshot=none"));
    EXPECT_THAT(refusal({"image=" + image, "conf=/none"}, ENOENT), HasSubstr("conf=/none"));
    EXPECT_THAT(refusal({"image=" + image, "keyring=/none"}, ENOENT), HasSubstr("keyring=/none"));
    EXPECT_THAT(refusal({"image=" + image, "client=none"}, EACCES), HasSubstr("client.none"));
}

TEST_F(RbdTarget, WordsThatMakeNoSenseAreRefused) {
    for (const char* image : {"image=rbd/image", "image=image@snapshot"})
        EXPECT_THAT(refusal({image}, EINVAL), HasSubstr("snapshot="));
    EXPECT_THAT(refusal({"image=x", "timeout=1h"}, EINVAL), HasSubstr("timeout="));
    EXPECT_THAT(refusal({"image=x", "client=osd.x.y", "conf=" + cluster_->keyring()}, ENOENT),
                HasSubstr(cluster_->keyring()));
}

TEST_F(RbdTarget, WrongKeyIsRefusedAndNotShown) {
    const std::string keyring = cluster_->directory() + "/wrong.keyring";
    ASSERT_EQ(std::system(("ceph-authtool --create-keyring " + keyring +
                           " --gen-key -n client.admin >/dev/null")
                              .c_str()),
              0);
    const std::string key =
        cluster_->ask("ceph-authtool " + keyring + " -n client.admin --print-key");
    const std::string message = refusal({"image=any", "keyring=" + keyring}, EACCES);
    EXPECT_THAT(message, HasSubstr("client.admin"));
    EXPECT_THAT(message, Not(HasSubstr(key)));
}

TEST_F(RbdTarget, ClusterThatCannotBeReachedIsWaitedForSoLong) {
    const std::string conf = cluster_->directory() + "/elsewhere.conf";
    std::ofstream(conf) << "[global]\nmon host = [v2:127.0.0.1:1]\nkeyring = "
                        << cluster_->keyring() << "\n";
    const auto asked = Clock::now();
    EXPECT_THAT(refusal({"image=any", "conf=" + conf, "timeout=2s"}, ETIMEDOUT), HasSubstr(conf));
    EXPECT_LT(Clock::now() - asked, 6s);
}

TEST_F(RbdTarget, ClusterThatStopsAnsweringIsWaitedForSoLong) {
    const std::string image = make_image();
    cluster_->signal_osds(SIGSTOP);
    const auto asked = Clock::now();
    EXPECT_THAT(refusal({"image=" + image, "timeout=1s"}, ETIMEDOUT), HasSubstr("rbd/" + image));
    EXPECT_LT(Clock::now() - asked, 5s);
    cluster_->signal_osds(SIGCONT);
}

} // namespace
} // namespace ublk::targets
