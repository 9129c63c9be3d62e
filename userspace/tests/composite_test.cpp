// SPDX-License-Identifier: GPL-2.0-or-later
// One rule for each thing that a stack of several targets says of itself.
#include <ublk/composite.h>

#include <cerrno>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/target_bench.h"

namespace ublk {
namespace {

using test::TargetBench;
using testing::ElementsAre;
using testing::HasSubstr;

Geometry combined(const Geometry& one, const Geometry& other) {
    const std::vector<Geometry> forth{one, other};
    const std::vector<Geometry> back{other, one};
    auto whole = combine(forth);
    auto same = combine(back);
    EXPECT_TRUE(whole) << whole.error().message();
    EXPECT_TRUE(same && validate(*whole));
    EXPECT_EQ(whole->size_bytes, same->size_bytes);
    EXPECT_EQ(whole->fua, same->fua);
    EXPECT_EQ(whole->discard.max_bytes, same->discard.max_bytes);
    return *whole;
}

constexpr Geometry small{.size_bytes = 1 << 20};
constexpr Geometry large{.size_bytes = 8 << 20,
                         .logical_block_size = 4096,
                         .io_min = 8192,
                         .io_opt = 65536,
                         .max_io_bytes = 1 << 20,
                         .dma_alignment = 4096};

TEST(Combine, TakesTheSmallestSizeAndTheLargestBlocks) {
    const Geometry whole = combined(small, large);
    EXPECT_EQ(whole.size_bytes, 1U << 20);
    EXPECT_EQ(whole.logical_block_size, 4096U);
    EXPECT_EQ(whole.io_min, 8192U);
    EXPECT_EQ(whole.io_opt, 65536U);
    EXPECT_EQ(whole.max_io_bytes, small.max_io_bytes);
    EXPECT_EQ(whole.dma_alignment, 4096U);
}

TEST(Combine, RoundsToWholeBlocksOrRefuses) {
    Geometry odd = small;
    odd.size_bytes = (1 << 20) - 512;
    EXPECT_EQ(combined(odd, large).size_bytes, (1U << 20) - 4096);
    odd.size_bytes = 512;
    const std::vector<Geometry> parts{odd, large};
    const auto none = combine(parts);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, EINVAL);
}

TEST(Combine, DiscardsAndZeroesOnlyWhatAllCan) {
    Geometry able = small;
    able.discard = {.max_bytes = 1 << 20, .granularity = 65536};
    able.max_write_zeroes_bytes = 1 << 20;
    EXPECT_EQ(combined(able, small).discard.max_bytes, 0U);
    EXPECT_EQ(combined(able, small).max_write_zeroes_bytes, 0U);
    Geometry other = able;
    other.discard = {.max_bytes = 1 << 19, .granularity = 4096};
    EXPECT_EQ(combined(able, other).discard.max_bytes, 1U << 19);
    EXPECT_EQ(combined(able, other).discard.granularity, 65536U);
}

TEST(Combine, CachesWhatOneCaches) {
    struct Case {
        bool cache, fua, other_cache, other_fua, want_cache, want_fua;
    };
    for (const Case& one : std::vector<Case>{{false, false, false, false, false, false},
                                             {true, true, false, false, true, true},
                                             {true, false, false, false, true, false},
                                             {true, true, true, true, true, true},
                                             {true, true, true, false, true, false}}) {
        Geometry first = small;
        Geometry second = small;
        first.volatile_cache = one.cache;
        first.fua = one.fua;
        second.volatile_cache = one.other_cache;
        second.fua = one.other_fua;
        EXPECT_EQ(combined(first, second).volatile_cache, one.want_cache);
        EXPECT_EQ(combined(first, second).fua, one.want_fua);
    }
}

TEST(Combine, IsReadOnlyIfOneIs) {
    Geometry fixed = small;
    fixed.read_only = true;
    EXPECT_TRUE(combined(fixed, small).read_only);
    EXPECT_FALSE(combined(small, small).read_only);
}

TEST(Combine, NamesTheChildThatDoesNotFit) {
    Geometry zoned = small;
    zoned.zones.size_bytes = 65536;
    const std::vector<Geometry> parts{small, zoned};
    const auto none = combine(parts);
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message(), HasSubstr("child 1: "));
    Geometry one = small;
    Geometry other = small;
    one.chunk_bytes = 3 * 4096;
    other.chunk_bytes = 4 * 4096;
    const std::vector<Geometry> chunks{one, other};
    EXPECT_FALSE(combine(chunks));
}

// Says what it is told to, and remembers what it is asked.
struct Said {
    DataAccess access = DataAccess::ring;
    Persistence persistence = Persistence::backing;
    std::optional<bool> direct{};
    bool fails_to_begin = false;
    bool fails_to_finish = false;
    int begun = 0;
    int ended = 0;
    int finished = 0;
};

class Part final : public Target {
public:
    Part(Said* said, std::string name) : said_(said), name_(std::move(name)) {}
    Geometry geometry() const override { return small; }
    Async<Answer> serve(Ring, Request request) override { co_return request.done(); }
    DataAccess data_access() const override { return said_->access; }
    Persistence persistence() const override { return said_->persistence; }
    std::vector<BackingUse> backings() const override { return {{.name = name_}}; }
    std::optional<bool> is_direct() const override { return said_->direct; }
    std::vector<std::string> remarks() const override { return {"is " + name_}; }
    Async<Result<void>> begin(Ring) override {
        if (said_->fails_to_begin)
            co_return Error{ECONNREFUSED, "connect"};
        ++said_->begun;
        co_return Result<void>{};
    }
    Async<void> end(Ring) override {
        ++said_->ended;
        co_return;
    }
    Result<void> finish() override {
        ++said_->finished;
        if (said_->fails_to_finish)
            return Error{EIO, "store"};
        return {};
    }
    Result<Reply> command(std::string_view name, std::span<const std::string>) override {
        return Reply{{std::string(name), name_}};
    }
    void measure(Metrics& metrics) const override { metrics.add("part", "count", 7); }
    std::vector<std::string> paths() const override { return {"/" + name_}; }

private:
    Said* said_;
    std::string name_;
};

class Both final : public Composite {
public:
    using Composite::Composite;
    Geometry geometry() const override { return part(0).geometry(); }
    Async<Answer> serve(Ring ring, Request request) override {
        return part(0).serve(ring, request);
    }
};

std::unique_ptr<Both> both_of(Said& one, Said& other) {
    std::vector<std::unique_ptr<Target>> parts;
    parts.push_back(std::make_unique<Part>(&one, "a"));
    parts.push_back(std::make_unique<Part>(&other, "b"));
    return std::make_unique<Both>(std::move(parts));
}

TEST(Composite, LooksAtTheDataIfOnePartDoes) {
    for (const DataAccess one : {DataAccess::ring, DataAccess::memory})
        for (const DataAccess other : {DataAccess::ring, DataAccess::memory}) {
            Said first{.access = one};
            Said second{.access = other};
            const bool looks = one == DataAccess::memory || other == DataAccess::memory;
            EXPECT_EQ(both_of(first, second)->data_access(),
                      looks ? DataAccess::memory : DataAccess::ring);
        }
}

TEST(Composite, KeepsNoMoreThanThePartThatKeepsTheLeast) {
    const std::vector<Persistence> rising{Persistence::process, Persistence::flushed,
                                          Persistence::backing};
    for (std::size_t one = 0; one < rising.size(); ++one)
        for (std::size_t other = 0; other < rising.size(); ++other) {
            Said first{.persistence = rising[one]};
            Said second{.persistence = rising[other]};
            EXPECT_EQ(both_of(first, second)->persistence(), rising[std::min(one, other)]);
        }
}

TEST(Composite, IsDirectOrNotIfAllAreSo) {
    for (const std::optional<bool> one : {std::optional<bool>{}, {true}, {false}})
        for (const std::optional<bool> other : {std::optional<bool>{}, {true}, {false}}) {
            Said first{.direct = one};
            Said second{.direct = other};
            const auto wanted = !one ? other : !other || *one == *other ? one : std::nullopt;
            EXPECT_EQ(both_of(first, second)->is_direct(), wanted);
        }
}

TEST(Composite, HasWhatAllPartsHave) {
    Said one;
    Said other;
    const auto both = both_of(one, other);
    ASSERT_EQ(both->backings().size(), 2U);
    EXPECT_EQ(both->backings()[1].name, "b");
    EXPECT_THAT(both->remarks(), ElementsAre("child 0: is a", "child 1: is b"));
    EXPECT_THAT(both->paths(), ElementsAre("/a", "/b"));
    Metrics metrics;
    both->measure(metrics);
    ASSERT_EQ(metrics.entries().size(), 2U);
    EXPECT_EQ(metrics.entries()[1].layer, "1/part");
}

TEST(Composite, ReachesThePartsByTheirNumbers) {
    Said one;
    Said other;
    const auto both = both_of(one, other);
    const auto reply = both->command("1/error", {});
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->front(), (std::pair<std::string, std::string>{"error", "b"}));
    EXPECT_FALSE(both->command("2/error", {}));
    EXPECT_FALSE(both->command("error", {}));
}

TEST(Composite, BeginsAndEndsAll) {
    Said one;
    Said other;
    const auto both = both_of(one, other);
    { const TargetBench bench{*both}; }
    EXPECT_EQ(one.begun + other.begun, 2);
    EXPECT_EQ(one.ended + other.ended, 2);
    EXPECT_TRUE(both->finish());
    EXPECT_EQ(one.finished + other.finished, 2);
}

TEST(Composite, FinishesAllAndTellsTheFirstError) {
    Said one{.fails_to_finish = true};
    Said other{.fails_to_finish = true};
    const auto finished = both_of(one, other)->finish();
    ASSERT_FALSE(finished);
    EXPECT_THAT(finished.error().message(), HasSubstr("child 0: store"));
    EXPECT_EQ(other.finished, 1);
}

TEST(Composite, DoesWithoutThoseThatAreMissing) {
    Said said{.persistence = Persistence::flushed};
    std::vector<std::unique_ptr<Target>> parts;
    parts.push_back(std::make_unique<Part>(&said, "a"));
    parts.push_back(nullptr);
    Both both{std::move(parts)};
    EXPECT_EQ(both.persistence(), Persistence::flushed);
    EXPECT_EQ(both.data_access(), DataAccess::ring);
    ASSERT_EQ(both.backings().size(), 2U);
    EXPECT_TRUE(both.backings()[1].name.empty());
    { const TargetBench bench{both}; }
    EXPECT_EQ(said.ended, 1);
    EXPECT_TRUE(both.finish());
    EXPECT_FALSE(both.command("1/error", {}));
}

} // namespace
} // namespace ublk
