// SPDX-License-Identifier: GPL-2.0-or-later
// Every filter over every target, and what each of them changes.
#include "targets/stack.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/allocation_counter.h"
#include "support/target_bench.h"
#include "targets/registry.h"

namespace ublk::targets {
namespace {

using namespace std::chrono_literals;
using test::pattern;
using test::TargetBench;
using testing::HasSubstr;

class Directory {
public:
    Directory() { EXPECT_TRUE(::mkdtemp(path_.data())); }
    ~Directory() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_ = testing::TempDir() + "stack-XXXXXX";
};

std::string image(const Directory& directory, const std::string& name = "image") {
    const std::string path = directory.file(name);
    std::ofstream{path}.put('\0');
    EXPECT_EQ(::truncate(path.c_str(), 1 << 20), 0);
    return path;
}

Stack stack_of(const std::string& child, const std::vector<std::string>& filters) {
    Stack stack = *parse_child(child);
    for (const std::string& filter : filters) {
        auto layer = parse_filter(filter);
        EXPECT_TRUE(layer) << layer.error().message();
        stack.filters.push_back(*layer);
    }
    return stack;
}

std::unique_ptr<Target> built(const Stack& stack, const GeometryRequest& request = {}) {
    auto target = build(stack, request);
    EXPECT_TRUE(target) << target.error().message();
    return *std::move(target);
}

struct Filtered {
    std::string filter; // "%" stands for a directory
    bool writes = true; // lets them through
};

const std::vector<Filtered> filters_known{
    {"delay:read=1us,write=1us"},
    {"error:count=0"},
    {"log:file=%/log"},
    {"offset:start=64K,size=512K"},
    {"rate:bytes=1G,requests=1000000"},
    {"readonly", false},
};

const std::vector<std::string> targets_known{"ram size=1M", "loop file=%/image direct=no",
                                             "zoned size=1M zone-size=64K", "null size=1M"};

std::string in(std::string text, const Directory& directory) {
    const auto place = text.find('%');
    return place == std::string::npos ? text : text.replace(place, 1, directory.file("."));
}

bool keeps_data(const std::string& target) { return target.find("null") != 0; }
bool is_zoned(const std::string& target) { return target.find("zoned") == 0; }

// What is written comes back, or is refused.
void expect_verified(TargetBench& bench, const Target& target, bool writes, bool kept) {
    std::vector<std::byte> there(8192);
    if (!writes) {
        EXPECT_EQ(bench.write(0, pattern(8192, 1)), -EROFS);
        EXPECT_EQ(bench.read(0, there), 8192);
        return;
    }
    EXPECT_EQ(bench.write(0, pattern(8192, 1)), 8192);
    EXPECT_EQ(bench.read(0, there), 8192);
    if (kept) {
        EXPECT_EQ(there, pattern(8192, 1));
    }
    if (target.geometry().volatile_cache) {
        EXPECT_EQ(bench.flush(), 0);
    }
}

TEST(Stack, EveryFilterStandsOnEveryTarget) {
    for (const Filtered& outer : filters_known)
        for (const std::string& name : targets_known) {
            SCOPED_TRACE(outer.filter + " on " + name);
            const Directory directory;
            image(directory);
            const bool no_parts = is_zoned(name) && outer.filter.find("offset") == 0;
            const Stack stack = stack_of(in(name, directory), {in(outer.filter, directory)});
            auto target = build(stack, {});
            ASSERT_EQ(target.ok(), !no_parts) << target.error().message();
            if (no_parts)
                continue;
            TargetBench bench{**target, 4, is_zoned(name) ? CopyMode::user : CopyMode::driver};
            expect_verified(bench, **target, outer.writes, keeps_data(name));
        }
}

TEST(Stack, FiltersStandOnFilters) {
    for (const Filtered& outer : filters_known)
        for (const Filtered& inner : filters_known) {
            SCOPED_TRACE(outer.filter + " on " + inner.filter);
            const Directory directory;
            std::string outermost = in(outer.filter, directory);
            if (outer.filter.find("offset") == 0)
                outermost = "offset:start=64K,size=64K";
            auto target = built(stack_of("loop file=" + image(directory) + " direct=no",
                                         {outermost, in(inner.filter, directory)}));
            TargetBench bench{*target};
            expect_verified(bench, *target, outer.writes && inner.writes, true);
        }
}

TEST(Stack, EveryFilterIsTested) {
    for (const TargetInfo* info : filters())
        EXPECT_TRUE(std::any_of(filters_known.begin(), filters_known.end(), [&](const auto& known) {
            return known.filter.substr(0, known.filter.find(':')) == info->name;
        })) << info->name;
}

TEST(Stack, AllocatesNothingPerRequest) {
    const Directory directory;
    auto target = built(stack_of("loop file=" + image(directory) + " direct=no",
                                 {"delay:read=1us", "rate:bytes=1G", "error:count=0"}));
    TargetBench bench{*target};
    std::vector<std::byte> there(4096);
    bench.read(0, there);
    const std::uint64_t before = test::heap_allocations();
    for (int i = 0; i < 100; ++i)
        bench.read(0, there);
    EXPECT_EQ(test::heap_allocations() - before, 0U);
    EXPECT_EQ(bench.queue().statistics().frame_heap_allocations, 0U);
}

TEST(Stack, ErrorsNameTheLayer) {
    const auto no_file = build(stack_of("loop file=/nowhere", {"delay"}), {});
    ASSERT_FALSE(no_file);
    EXPECT_THAT(no_file.error().message(), HasSubstr("loop: "));
    const auto outside = build(stack_of("ram size=1M", {"offset:start=2M"}), {});
    ASSERT_FALSE(outside);
    EXPECT_THAT(outside.error().message(), HasSubstr("offset: "));
    const auto unknown = parse_filter("delya");
    ASSERT_FALSE(unknown);
    EXPECT_THAT(unknown.error().message(), HasSubstr("delay"));
    const auto bad = parse_filter("delay:read=fast");
    ASSERT_FALSE(bad);
    EXPECT_THAT(bad.error().message(), HasSubstr("delay: option read=fast"));
}

TEST(Stack, IsDescribedFromTheOutside) {
    EXPECT_EQ(describe(stack_of("ram size=1M", {"delay", "readonly"})), "delay,readonly,ram");
}

TEST(Stack, WordsCanHoldWhatSeparatesThem) {
    EXPECT_EQ(parse_filter("log:file=/a\\,b")->options.at("file"), "/a,b");
    EXPECT_EQ(parse_child("loop file=/a\\ b")->target.options.at("file"), "/a b");
    EXPECT_EQ(parse_filter("log:file=/a\\,b\\\\c")->options.at("file"), "/a,b\\c");
    EXPECT_EQ(*parse_filter("readonly"), Layer{"readonly"});
    EXPECT_EQ(*parse_filter("delay:read=1ms,write=2ms"),
              (Layer{"delay", {{"read", "1ms"}, {"write", "2ms"}}}));
}

Stack mirror_of(const std::vector<std::string>& children,
                const std::vector<std::string>& filters = {}) {
    Stack stack = stack_of("mirror", filters);
    for (const std::string& text : children) {
        auto child = parse_child(text);
        EXPECT_TRUE(child) << child.error().message();
        stack.children.push_back(*child);
    }
    return stack;
}

TEST(Stack, EveryFilterStandsOnAMirrorAndUnderOne) {
    for (const Filtered& filter : filters_known) {
        SCOPED_TRACE(filter.filter);
        const Directory directory;
        const std::string words = in(filter.filter, directory);
        const auto leg = [&](const std::string& name) {
            const std::string path = image(directory, name);
            EXPECT_EQ(::truncate(path.c_str(), 4 << 20), 0);
            return "loop file=" + path + " direct=no";
        };
        {
            auto above = built(mirror_of({leg("a"), leg("b")}, {words}));
            if (filter.writes) { // a new mirror of what cannot be written is none
                TargetBench bench{*above};
                expect_verified(bench, *above, true, true);
            }
        }
        std::string narrow = words;
        if (filter.filter.find("offset") == 0)
            narrow = "offset:start=64K,size=3M";
        auto below = built(mirror_of({leg("c") + " | " + narrow, leg("d")}));
        EXPECT_EQ(below->geometry().read_only, !filter.writes);
        if (filter.writes) {
            TargetBench bench{*below};
            expect_verified(bench, *below, true, true);
        }
    }
}

TEST(Stack, ChildrenHaveFiltersOfTheirOwn) {
    const auto child = parse_child("ram size=1M | readonly | delay:read=1ms");
    ASSERT_TRUE(child);
    ASSERT_EQ(child->filters.size(), 2U);
    EXPECT_EQ(child->filters[0].name, "readonly") << "the outermost";
    EXPECT_EQ(describe(mirror_of({"ram size=1M", "ram size=2M | delay"})), "mirror(ram,delay,ram)");
    EXPECT_EQ(
        *child,
        (Stack{{"ram", {{"size", "1M"}}}, {}, {Layer{"readonly"}, {"delay", {{"read", "1ms"}}}}}));
    EXPECT_EQ(*parse_child("missing"), Stack{{"missing"}});
    EXPECT_EQ(*parse_child("loop file=/a\\ b | log:file=/a\\ b"),
              (Stack{{"loop", {{"file", "/a b"}}}, {}, {{"log", {{"file", "/a b"}}}}}));
    for (const char* text : {"", "ram size=1M |", "ram size=1M | | readonly", "| readonly",
                             "ram size=1M | readonly delay", "ram size=1M | delya", "mirrow"})
        EXPECT_FALSE(parse_child(text)) << text;
}

TEST(Stack, ErrorsNameTheChild) {
    const auto none = build(mirror_of({"ram size=4M", "loop file=/nowhere | delay"}), {});
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message(), HasSubstr("mirror: child 1: loop: "));
    const auto outside = build(mirror_of({"ram size=4M | offset:start=8M", "ram size=4M"}), {});
    ASSERT_FALSE(outside);
    EXPECT_THAT(outside.error().message(), HasSubstr("mirror: child 0: offset: "));
    const auto alone = build(stack_of("mirror", {}), {});
    ASSERT_FALSE(alone);
    EXPECT_THAT(alone.error().message(), HasSubstr("--child"));
    Stack childless = stack_of("ram size=1M", {});
    childless.children.push_back(*parse_child("ram size=1M"));
    EXPECT_FALSE(build(childless, {})) << "it stands on nothing";
}

TEST(Stack, DoesWithoutAChildOnlyIfTheDiskIsThere) {
    const Stack stack = mirror_of({"ram size=4M", "loop file=/nowhere"});
    EXPECT_FALSE(build(stack, {}));
    EXPECT_TRUE(build(stack, {.size_bytes = 3U << 20}));
    EXPECT_TRUE(build(mirror_of({"ram size=4M", "missing"}), {}));
    EXPECT_FALSE(build(mirror_of({"missing", "missing"}), {}));
}

TEST(DelayFilter, MakesEachOperationTakeLonger) {
    auto target = built(stack_of("ram size=1M", {"delay:read=2ms,write=30ms"}));
    TargetBench bench{*target};
    std::vector<std::byte> there(4096);
    bench.read(0, there);
    EXPECT_EQ(bench.driver().slept(), 2ms);
    bench.write(0, there);
    EXPECT_EQ(bench.driver().slept(), 32ms);
}

TEST(ErrorFilter, FailsWhatItIsToldTo) {
    auto target =
        built(stack_of("ram size=1M", {"error:op=write+flush,errno=ENOSPC,from=64K,to=128K"}));
    TargetBench bench{*target};
    std::vector<std::byte> data(8192);
    EXPECT_EQ(bench.write(0, data), 8192);
    EXPECT_EQ(bench.write(64 << 10, data), -ENOSPC);
    EXPECT_EQ(bench.write((64 << 10) - 4096, data), -ENOSPC) << "it overlaps";
    EXPECT_EQ(bench.write(128 << 10, data), 8192);
    EXPECT_EQ(bench.read(64 << 10, data), 8192);
}

TEST(ErrorFilter, CountsAndEnds) {
    auto target = built(stack_of("ram size=1M", {"error:count=2"}));
    TargetBench bench{*target};
    std::vector<std::byte> data(4096);
    EXPECT_EQ(bench.read(0, data), -EIO);
    EXPECT_EQ(bench.read(0, data), -EIO);
    EXPECT_EQ(bench.read(0, data), 4096);
    Metrics metrics;
    target->measure(metrics);
    ASSERT_EQ(metrics.entries().size(), 1U);
    EXPECT_EQ(metrics.entries()[0].value, 2U);
}

TEST(ErrorFilter, FailsAsManyAsWasSaid) {
    auto target = built(stack_of("ram size=1M", {"error:percent=25,seed=7"}));
    TargetBench bench{*target};
    std::vector<std::byte> data(512);
    int failed = 0;
    for (int i = 0; i < 1000; ++i)
        failed += bench.read(0, data) < 0;
    EXPECT_GT(failed, 180);
    EXPECT_LT(failed, 320);
}

TEST(ReadonlyFilter, SaysSoToTheDriver) {
    auto target = built(stack_of("ram size=1M", {"readonly"}));
    EXPECT_TRUE(target->geometry().read_only);
    EXPECT_EQ(target->geometry().discard.max_bytes, 0U);
}

TEST(OffsetFilter, ShiftsWhatIsReadAndWritten) {
    const Directory directory;
    const std::string path = image(directory);
    auto target = built(stack_of("loop file=" + path + " direct=no", {"offset:start=64K"}));
    EXPECT_EQ(target->geometry().size_bytes, (1U << 20) - (64U << 10));
    TargetBench bench{*target};
    EXPECT_EQ(bench.write(4096, pattern(4096, 9)), 4096);
    std::ifstream file{path, std::ios::binary};
    std::vector<std::byte> there(4096);
    file.seekg((64 << 10) + 4096);
    file.read(reinterpret_cast<char*>(there.data()), 4096);
    EXPECT_EQ(there, pattern(4096, 9));
}

TEST(OffsetFilter, GrowsWithWhatItIsTheRestOf) {
    const Directory directory;
    auto target =
        built(stack_of("loop file=" + image(directory) + " direct=no", {"offset:start=64K"}));
    const auto grown = target->resize(2U << 20);
    ASSERT_TRUE(grown) << grown.error().message();
    EXPECT_EQ(*grown, 2U << 20);
    auto fixed = built(stack_of("ram size=1M", {"offset:start=0,size=64K"}));
    EXPECT_FALSE(fixed->resize(128U << 10));
}

TEST(RateFilter, MakesWhoIsTooFastWait) {
    auto target = built(stack_of("ram size=1M", {"rate:bytes=1M,burst=0ms"}));
    TargetBench bench{*target};
    std::vector<std::byte> data(256 << 10);
    for (int i = 0; i < 4; ++i)
        bench.read(0, data);
    // The fake driver's time stands still while it sleeps: each waits for all before it.
    EXPECT_GE(bench.driver().slept(), 1400ms);
    EXPECT_LE(bench.driver().slept(), 1501ms);
}

TEST(LogFilter, WritesALineForEachRequest) {
    const Directory directory;
    const std::string path = directory.file("log");
    {
        auto target = built(stack_of("ram size=1M", {"log:file=" + path}));
        TargetBench bench{*target};
        std::vector<std::byte> data(4096);
        bench.write(8192, data);
        bench.read(0, data);
    }
    std::ifstream file{path};
    std::string first;
    std::string second;
    std::getline(file, first);
    std::getline(file, second);
    EXPECT_THAT(first, HasSubstr("write offset=8192 length=4096 result=4096"));
    EXPECT_THAT(second, HasSubstr("read offset=0 length=4096 result=4096"));
}

} // namespace
} // namespace ublk::targets
