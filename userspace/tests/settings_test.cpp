// SPDX-License-Identifier: GPL-2.0-or-later
// What can be changed while a disk is in use: how words become settings, and how a filter that
// serves hears of them.
#include "targets/settings.h"

#include <atomic>
#include <chrono>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include <thread>

#include "support/target_bench.h"
#include "support/temporary_directory.h"
#include "targets/published.h"
#include "targets/stack.h"

namespace ublk::targets {
namespace {

using namespace std::chrono_literals;
using test::TargetBench;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using Words = std::vector<std::string>;

constexpr std::array known{
    OptionInfo{"file", OptionType::path, "", "", true},
    OptionInfo{"size", OptionType::size, "", ""},
    OptionInfo{"wait", OptionType::duration, "5ms", ""},
};

Settings settings_of(const Words& words) {
    auto values = parse_options(known, words);
    EXPECT_TRUE(values);
    return {known, *values};
}

TEST(Settings, WhatIsNotNamedStays) {
    Settings settings = settings_of({"file=/a", "size=4K"});
    const auto changed = settings.changed_by(Words{"wait=1ms"});
    ASSERT_TRUE(changed);
    EXPECT_EQ(changed->text("size"), "4K");
    EXPECT_EQ(changed->nanoseconds("wait"), 1'000'000U);
    EXPECT_EQ(settings.reply()[2].second, "5ms") << "not yet";
    settings.accept(*changed);
    EXPECT_THAT(settings.reply(),
                ElementsAre(Pair("file", "/a"), Pair("size", "4K"), Pair("wait", "1ms")));
}

TEST(Settings, NothingBehindTheKeyIsTheDefault) {
    Settings settings = settings_of({"file=/a", "size=4K", "wait=9s"});
    const auto changed = settings.changed_by(Words{"size=", "wait="});
    ASSERT_TRUE(changed);
    settings.accept(*changed);
    EXPECT_THAT(settings.reply(),
                ElementsAre(Pair("file", "/a"), Pair("size", ""), Pair("wait", "5ms")));
}

TEST(Settings, BadWordsAreRefused) {
    const Settings settings = settings_of({"file=/a"});
    for (const Words& words :
         {Words{"size"}, Words{"size=much"}, Words{"colour=red"}, Words{"colour="}, Words{"file="},
          Words{"wait=1ms", "wait=2ms"}, Words{"wait=1ms", "wait="}, Words{"wait=", "wait="},
          Words{""}, Words{"="}}) {
        const auto refused = settings.changed_by(words);
        EXPECT_FALSE(refused) << words.front();
        EXPECT_EQ(refused.error().kind, ErrorKind::usage);
        EXPECT_FALSE(refused.error().hint.empty());
    }
}

// Each is a copy of one number: a mixture shows.
struct Wide {
    std::array<std::uint64_t, 8> words{};
};

TEST(Published, IsNeverReadInPieces) {
    Published<Wide> published{Wide{}};
    std::atomic<bool> enough{false};
    std::thread writer{[&] {
        for (std::uint64_t number = 1; !enough.load(); ++number) {
            Wide wide;
            wide.words.fill(number);
            published.set(wide);
        }
    }};
    std::uint64_t last = 0;
    for (int i = 0; i < 200000; ++i) {
        const Wide wide = published.get();
        for (const std::uint64_t word : wide.words)
            ASSERT_EQ(word, wide.words[0]);
        ASSERT_GE(wide.words[0], last) << "never an older one";
        last = wide.words[0];
    }
    enough = true;
    writer.join();
}

std::unique_ptr<Target> ram_behind(const std::string& filter) {
    Stack stack = *parse_child("ram size=1M");
    auto layer = parse_filter(filter);
    EXPECT_TRUE(layer) << layer.error().message();
    stack.filters.push_back(*layer);
    auto target = build(stack, {});
    EXPECT_TRUE(target) << target.error().message();
    return *std::move(target);
}

TEST(ChangedDelay, HoldsForWhatComes) {
    const auto target = ram_behind("delay:read=2ms");
    TargetBench bench{*target};
    std::vector<std::byte> data(4096);
    EXPECT_THAT(
        *target->command("delay", Words{"read=5ms", "flush=1s"}),
        ElementsAre(Pair("read", "5ms"), Pair("write", ""), Pair("flush", "1s"), Pair("trim", "")));
    bench.read(0, data);
    EXPECT_EQ(bench.driver().slept(), 5ms);
    EXPECT_TRUE(target->command("delay", Words{"read="}));
    bench.read(0, data);
    EXPECT_EQ(bench.driver().slept(), 5ms) << "it is off";
}

TEST(ChangedDelay, ReachesThoseWhoWait) {
    const auto target = ram_behind("delay:read=3600s");
    TargetBench bench{*target};
    bench.submit(0, {.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8});
    bench.queue().step(0);
    bench.queue().step(0);
    EXPECT_FALSE(bench.result(0));
    EXPECT_TRUE(target->command("delay", Words{"read=1s"}));
    bench.finish_all();
    EXPECT_EQ(bench.result(0), 4096);
    EXPECT_EQ(bench.driver().slept(), 1s);
}

// Without the waits that are left: a server that is to end does not take an hour.
TEST(ChangedDelay, DoesNotHoldUpTheEnd) {
    const auto target = ram_behind("delay:read=3600s");
    TargetBench bench{*target};
    bench.submit(0, {.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8});
    bench.queue().step(0);
    // What the queue calls when it has been asked to end; here it would never hear of that, since
    // a sleep in the bench is over at once.
    static_cast<void>(target->end(Ring{bench.queue()}));
    bench.finish_all();
    EXPECT_EQ(bench.result(0), 4096);
    EXPECT_LT(bench.driver().slept(), 60s);
}

TEST(ChangedDelay, RefusesBadWordsAndStaysAsItIs) {
    const auto target = ram_behind("delay:read=2ms");
    TargetBench bench{*target};
    EXPECT_FALSE(target->command("delay", Words{"read=1ms", "write=5"}));
    EXPECT_FALSE(target->command("rate", {}));
    std::vector<std::byte> data(4096);
    bench.read(0, data);
    EXPECT_EQ(bench.driver().slept(), 2ms);
    EXPECT_EQ(target->command("delay", {})->front().second, "2ms");
}

TEST(ChangedError, KeepsWhatIsNotNamed) {
    const auto target = ram_behind("error:op=read,errno=ENOSPC,count=2");
    TargetBench bench{*target};
    std::vector<std::byte> data(4096);
    EXPECT_EQ(bench.read(0, data), -ENOSPC);
    EXPECT_TRUE(target->command("error", Words{"errno=ENOLINK"}));
    EXPECT_EQ(bench.write(0, data), 4096);
    EXPECT_EQ(bench.read(0, data), -ENOLINK);
    EXPECT_EQ(bench.read(0, data), 4096) << "the count went on";
    EXPECT_TRUE(target->command("error", Words{"count=1", "op="}));
    EXPECT_EQ(bench.write(0, data), -ENOLINK);
    EXPECT_EQ(bench.read(0, data), 4096);
}

TEST(ChangedError, RefusesWhatNoOptionSaysAndStaysAsItIs) {
    const auto target = ram_behind("error:op=read,errno=ENOSPC");
    TargetBench bench{*target};
    for (const char* word : {"op=sing", "errno=EVIL", "percent=101", "from=x"})
        EXPECT_FALSE(target->command("error", Words{"op=write", word})) << word;
    std::vector<std::byte> data(4096);
    EXPECT_EQ(bench.read(0, data), -ENOSPC);
    EXPECT_EQ(target->command("error", {})->front().second, "read");
}

TEST(ChangedError, SameSeedIsTheSameChance) {
    const auto target = ram_behind("error:percent=50,seed=7");
    TargetBench bench{*target};
    std::vector<std::byte> data(512);
    const auto outcomes = [&] {
        std::vector<bool> failed;
        for (int i = 0; i < 64; ++i)
            failed.push_back(bench.read(0, data) < 0);
        return failed;
    };
    const auto first = outcomes();
    EXPECT_TRUE(target->command("error", Words{"seed=7"}));
    EXPECT_EQ(outcomes(), first);
    EXPECT_NE(outcomes(), first);
}

TEST(ChangedRate, FreesThoseWhoWait) {
    const auto target = ram_behind("rate:requests=1,burst=0ms");
    TargetBench bench{*target, 4};
    const test::BlockRequest read{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};
    for (unsigned tag = 0; tag < 4; ++tag)
        bench.submit(tag, read);
    bench.queue().step(0);
    bench.queue().step(0);
    EXPECT_TRUE(target->command("rate", Words{"requests="}));
    bench.finish_all();
    for (unsigned tag = 0; tag < 4; ++tag)
        EXPECT_EQ(bench.result(tag), 4096);
    EXPECT_LT(bench.driver().slept(), 3s) << "six by the old rate";
}

TEST(ChangedRate, TakesNewLimitsAndTellsThem) {
    const auto target = ram_behind("rate");
    TargetBench bench{*target};
    std::vector<std::byte> data(64 << 10);
    bench.read(0, data);
    EXPECT_EQ(bench.driver().slept(), 0s);
    EXPECT_THAT(*target->command("rate", Words{"bytes=16K", "burst=0ms"}),
                ElementsAre(Pair("bytes", "16K"), Pair("requests", ""), Pair("burst", "0ms")));
    bench.read(0, data);
    bench.read(0, data);
    EXPECT_GT(bench.driver().slept(), 2s);
    Metrics metrics;
    target->measure(metrics);
    EXPECT_EQ(metrics.entries().front().name, "throttled_requests");
    EXPECT_EQ(metrics.entries().front().value, 1U);
}

TEST(ChangedLog, ToldOnlyOfWhatIsSlow) {
    const test::TemporaryDirectory root;
    const auto target = ram_behind("log:file=" + root.path("log"));
    TargetBench bench{*target};
    std::vector<std::byte> data(4096);
    bench.read(0, data);
    EXPECT_TRUE(target->command("log", Words{"slower=3600s"}));
    bench.read(4096, data);
    EXPECT_TRUE(target->command("log", Words{"slower="}));
    bench.read(8192, data);
    std::ifstream file{root.path("log")};
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_THAT(text.str(), HasSubstr("offset=0 "));
    EXPECT_THAT(text.str(), testing::Not(HasSubstr("offset=4096 ")));
    EXPECT_THAT(text.str(), HasSubstr("offset=8192 "));
    EXPECT_THAT(target->command("log", Words{"file=/other"}).error().message(),
                HasSubstr("cannot open"));
}

TEST(LogFile, IsARegularFile) {
    const test::TemporaryDirectory root;
    Stack stack = *parse_child("ram size=1M");
    for (const std::string& name : {std::string("/dev/null"), root.path()}) {
        stack.filters = {*parse_filter("log:file=" + name)};
        const auto refused = build(stack, {});
        ASSERT_FALSE(refused) << name;
        EXPECT_THAT(refused.error().message(), HasSubstr("regular file"));
    }
}

TEST(FixedFilters, SayWhyTheyStayAsTheyAre) {
    const auto part = ram_behind("offset:start=64K");
    EXPECT_THAT(*part->command("offset", {}), ElementsAre(Pair("start", "64K"), Pair("size", "")));
    EXPECT_EQ(part->command("offset", Words{"start=0"}).error().kind, ErrorKind::usage);
    const auto fixed = ram_behind("readonly");
    EXPECT_TRUE(fixed->command("readonly", {})->empty());
    EXPECT_EQ(fixed->command("readonly", Words{"off=yes"}).error().kind, ErrorKind::usage);
}

} // namespace
} // namespace ublk::targets
