// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/filter.h>

#include <array>
#include <fstream>
#include <gtest/gtest.h>
#include <regex>
#include <set>
#include <sys/mman.h>
#include <unistd.h>

#include <ublk/unique_fd.h>

#include "support/allocation_counter.h"
#include "support/target_bench.h"
#include "support/telling_target.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::TargetBench;
using test::TestTarget;

// What a filter sees is what the target behind it has answered.
struct Seen {
    int result = 0;
};

class Watching final : public Filter {
public:
    Watching(std::unique_ptr<Target> next, Seen* seen) : Filter(std::move(next)), seen_(seen) {}
    Async<Answer> serve(Ring ring, Request request) override {
        const Answer answer = co_await next().serve(ring, request);
        seen_->result = answer.result();
        co_return answer;
    }

private:
    Seen* seen_;
};

class Waiting final : public Filter {
public:
    using Filter::Filter;
    Async<Answer> serve(Ring ring, Request request) override {
        co_await ring.yield();
        co_return co_await next().serve(ring, request);
    }
};

class Untouched final : public Filter {
public:
    using Filter::Filter;
    Async<Answer> serve(Ring ring, Request request) override { return next().serve(ring, request); }
};

using Serve = Async<Answer> (*)(Ring, Request);

std::unique_ptr<Target> target_of(Serve serve) {
    return std::make_unique<TestTarget<Serve>>(serve);
}

constexpr test::BlockRequest read_4k{.op = UBLK_IO_OP_READ, .sector = 0, .sectors = 8};

TEST(Filter, SeesTheAnswerAndHandsItOn) {
    Seen seen;
    Watching filter{std::make_unique<Untouched>(target_of(test::succeed)), &seen};
    TargetBench bench{filter};
    EXPECT_EQ(bench.request(read_4k), 4096);
    EXPECT_EQ(seen.result, 4096);
    EXPECT_EQ(bench.flush(), 0);
    EXPECT_EQ(seen.result, 0);
}

TEST(Filter, SeesErrorsAndShortAnswers) {
    Seen seen;
    Watching failing{target_of([](Ring, Request) -> Async<Answer> { co_return -ENOSPC; }), &seen};
    TargetBench first{failing};
    EXPECT_EQ(first.request(read_4k), -ENOSPC);
    EXPECT_EQ(seen.result, -ENOSPC);
    Watching cut{target_of([](Ring, Request) -> Async<Answer> { co_return 512; }), &seen};
    TargetBench second{cut};
    EXPECT_EQ(second.request(read_4k), -EIO) << "all or nothing, says the library";
    EXPECT_EQ(seen.result, 512);
}

TEST(Filter, MayWaitBeforeItHandsOn) {
    Waiting filter{std::make_unique<Untouched>(target_of(test::succeed))};
    TargetBench bench{filter};
    EXPECT_EQ(bench.discard(0, 4096), 0);
}

TEST(Filter, AllocatesNothing) {
    Seen seen;
    Watching filter{std::make_unique<Waiting>(target_of(test::succeed)), &seen};
    TargetBench bench{filter};
    bench.request(read_4k);
    const std::uint64_t before = test::heap_allocations();
    for (int i = 0; i < 100; ++i)
        bench.request(read_4k);
    EXPECT_EQ(test::heap_allocations() - before, 0U);
    EXPECT_EQ(bench.queue().statistics().frame_heap_allocations, 0U);
}

// Each layer gets the file that it has added.
class OwnFile final : public Filter {
public:
    OwnFile(std::unique_ptr<Target> next, int descriptor)
        : Filter(std::move(next)), descriptor_(descriptor), file_(descriptor) {}
    void register_files(FileTable& files) override {
        file_ = files.add(descriptor_);
        Filter::register_files(files);
    }
    Async<Answer> serve(Ring ring, Request request) override {
        co_await ring.write(file_, std::as_bytes(std::span{"outer", 5}), 0);
        co_return co_await next().serve(ring, request);
    }

private:
    int descriptor_;
    File file_;
};

TEST(Filter, LayersWriteToTheirOwnFiles) {
    const UniqueFd inner{::memfd_create("inner", MFD_CLOEXEC)};
    const UniqueFd outer{::memfd_create("outer", MFD_CLOEXEC)};
    ASSERT_EQ(::ftruncate(inner.get(), 1 << 20), 0);
    const auto path = "/proc/self/fd/" + std::to_string(inner.get());
    auto loop = test::create_target("loop", {"file=" + path, "direct=no"});
    ASSERT_TRUE(loop) << loop.error().message();
    OwnFile filter{*std::move(loop), outer.get()};
    TargetBench bench{filter};
    EXPECT_EQ(bench.write(0, test::pattern(4096, 1)), 4096);
    std::array<char, 5> text{};
    ASSERT_EQ(::pread(outer.get(), text.data(), text.size(), 0), 5);
    EXPECT_EQ(std::string_view(text.data(), 5), "outer");
    std::vector<std::byte> there(4096);
    ASSERT_EQ(::pread(inner.get(), there.data(), there.size(), 0), 4096);
    EXPECT_EQ(there, test::pattern(4096, 1));
}

// Answers each question in a way of its own.
class Telling final : public test::TellingTarget {
public:
    Geometry geometry() const override { return {.size_bytes = 12288}; }
    Async<Answer> serve(Ring, Request request) override { co_return request.done(); }
    Result<std::uint64_t> resize(std::optional<std::uint64_t> size) override { return *size + 1; }
};

TEST(Filter, HandsOnWhatItDoesNotChange) {
    Untouched filter{std::make_unique<Telling>()};
    EXPECT_EQ(filter.geometry().size_bytes, 12288U);
    EXPECT_EQ(filter.data_access(), DataAccess::ring);
    EXPECT_EQ(filter.persistence(), Persistence::flushed);
    ASSERT_EQ(filter.backings().size(), 1U);
    EXPECT_EQ(filter.backings()[0].name, "file=/disk");
    EXPECT_EQ(filter.is_direct(), true);
    EXPECT_EQ(filter.remarks(), std::vector<std::string>{"it is slow"});
    EXPECT_EQ(filter.paths(), std::vector<std::string>{"/disk"});
    EXPECT_EQ(*filter.resize(5), 6U);
    EXPECT_EQ(test::descriptors_of(filter), std::vector<int>{7});
    EXPECT_EQ(filter.command("rebuild", {})->front().first, "rebuild");
    Metrics metrics;
    filter.measure(metrics);
    ASSERT_EQ(metrics.entries().size(), 1U);
    EXPECT_EQ(metrics.entries()[0].name, "told");
}

TEST(Filter, HandsTheLifeOfAQueueAndOfTheTargetOn) {
    auto owned = std::make_unique<Telling>();
    const Telling& target = *owned;
    Untouched filter{std::move(owned)};
    { const TargetBench bench{filter}; }
    EXPECT_EQ(target.calls, (std::vector<std::string>{"begin", "end"}));
    EXPECT_EQ(filter.finish().error().code, ENOSPC);
    EXPECT_EQ(target.calls.back(), "finish");
}

std::set<std::string> names_in(const std::string& path, const std::regex& function) {
    std::ifstream file{UBLK_SOURCE_DIR "/userspace/include/ublk/" + path};
    EXPECT_TRUE(file) << path;
    std::set<std::string> names;
    std::smatch match;
    for (std::string line; std::getline(file, line);)
        if (std::regex_search(line, match, function))
            names.insert(match[1]);
    return names;
}

// What a filter does not know of ends there: its target would seem to have none.
TEST(Filter, KnowsWhateverATargetCanBeAsked) {
    auto asked = names_in("target.h", std::regex{R"(^ *virtual .*\b(\w+)\()"});
    EXPECT_EQ(asked.erase("serve"), 1U) << "the author's";
    asked.erase("Target"); // the destructor
    EXPECT_GT(asked.size(), 10U);
    const auto known = names_in("filter.h", std::regex{R"(^ *[\w:].*\b(\w+)\(.*override)"});
    EXPECT_EQ(known, asked);
}

} // namespace
} // namespace ublk
