// SPDX-License-Identifier: GPL-2.0-or-later
// What goes through a stack goes through every filter by one rule: requests and answers, geometry,
// size, recovery, and what a target is asked beside.
#include "targets/stack.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ublk/filter.h>

#include "support/target_bench.h"
#include "support/telling_target.h"
#include "support/temporary_directory.h"
#include "support/test_target.h"
#include "targets/registry.h"

namespace ublk::targets {
namespace {

using test::pattern;
using test::TargetBench;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint64_t KiB = 1024;
constexpr std::uint64_t MiB = 1024 * KiB;

// What it is asked, and one answer for all of it.
class Probe final : public test::TellingTarget {
public:
    explicit Probe(Geometry geometry) : geometry_(geometry) {}

    Geometry geometry() const override { return geometry_; }
    Async<Answer> serve(Ring, Request request) override {
        seen.push_back(request);
        if (answer)
            co_return *answer;
        if (request.op == Op::zone_append)
            co_return request.done().at(request.offset + 4096);
        if (request.op == Op::report_zones)
            for (unsigned i = 0; i < request.zones_wanted(); ++i) {
                const std::uint64_t start = request.offset + i * geometry_.zones.size_bytes;
                request.report(i, Zone{.start = start,
                                       .length = geometry_.zones.size_bytes,
                                       .capacity = geometry_.zones.size_bytes,
                                       .write_pointer = start});
            }
        co_return request.done();
    }

    std::optional<Answer> answer{};
    std::vector<Request> seen{};

private:
    Geometry geometry_;
};

class Watching final : public Filter {
public:
    using Filter::Filter;
    Async<Answer> serve(Ring ring, Request request) override {
        const Answer answer = co_await next().serve(ring, request);
        results.push_back(answer.result());
        co_return answer;
    }

    std::vector<int> results{};
};

struct Stacked {
    std::unique_ptr<Target> target;
    Probe* probe;
    Watching* top;
};

Result<std::unique_ptr<Target>> put(const std::string& filter, std::unique_ptr<Target> inner) {
    auto layer = parse_filter(filter);
    EXPECT_TRUE(layer) << layer.error().message();
    const TargetInfo& info = **find_filter(layer->name);
    std::vector<std::string> words;
    for (const auto& [key, value] : layer->options)
        words.push_back(key + "=" + value);
    auto values = parse_options(info.options, words);
    EXPECT_TRUE(values);
    std::vector<std::unique_ptr<Target>> below;
    below.push_back(std::move(inner));
    return info.wrap(std::move(below), *values, {});
}

// A filter between one that sees its answers and a target that sees its requests.
Stacked stacked(const std::string& filter, Geometry geometry) {
    auto owned = std::make_unique<Probe>(geometry);
    Probe* probe = owned.get();
    auto target = put(filter, std::move(owned));
    EXPECT_TRUE(target) << target.error().message();
    auto top = std::make_unique<Watching>(*std::move(target));
    Watching* watching = top.get();
    return {std::move(top), probe, watching};
}

struct Known {
    std::string text; // "%" stands for a directory
    std::uint64_t shift = 0;
    bool writes = true; // lets them through
    bool zones = true;  // stands on a zoned target
};

const std::vector<Known> filters_known{
    {"delay"},
    {"delay:read=1us,write=1us,flush=1us,trim=1us"},
    {"error:count=0"},
    {"error:percent=0"},
    {"log:file=%"},
    {"offset:start=64K,size=512K", 64 * KiB, true, false},
    {"offset:start=64K", 64 * KiB, true, false},
    {"rate"},
    {"rate:bytes=1G,requests=1000000"},
    {"readonly", 0, false},
};

class StackRules : public testing::Test {
protected:
    test::TemporaryDirectory root_;

    std::string in_root(std::string text) const {
        const auto place = text.find('%');
        return place == std::string::npos ? text : text.replace(place, 1, root_.path("log"));
    }
    std::string image(std::uint64_t size = MiB) const {
        const std::string path = root_.path("image");
        std::ofstream{path}.put('\0');
        std::filesystem::resize_file(path, size);
        return path;
    }
    Stack on_loop(const std::string& filter, const std::string& path) const {
        Stack stack = *parse_child("loop file=" + path + " direct=no");
        stack.filters.push_back(*parse_filter(in_root(filter)));
        return stack;
    }
};

constexpr std::array block_requests{
    test::BlockRequest{.op = UBLK_IO_OP_READ, .sector = 16, .sectors = 8},
    test::BlockRequest{.op = UBLK_IO_OP_WRITE, .sector = 16, .sectors = 8},
    test::BlockRequest{.op = UBLK_IO_OP_WRITE, .sector = 16, .sectors = 8, .flags = UBLK_IO_F_FUA},
    test::BlockRequest{.op = UBLK_IO_OP_FLUSH},
    test::BlockRequest{.op = UBLK_IO_OP_DISCARD, .sector = 128, .sectors = 128},
    test::BlockRequest{.op = UBLK_IO_OP_WRITE_ZEROES, .sector = 128, .sectors = 128},
    test::BlockRequest{
        .op = UBLK_IO_OP_WRITE_ZEROES, .sector = 128, .sectors = 128, .flags = UBLK_IO_F_NOUNMAP},
};

bool is_let_through(const Known& filter, const test::BlockRequest& request) {
    return filter.writes || request.op == UBLK_IO_OP_READ;
}

TEST_F(StackRules, RequestsGoThroughUnchanged) {
    for (const Known& filter : filters_known)
        for (const test::BlockRequest& request : block_requests) {
            if (!is_let_through(filter, request))
                continue;
            SCOPED_TRACE(filter.text + ", operation " + std::to_string(request.op));
            auto [target, probe, top] = stacked(in_root(filter.text), test::everything_allowed());
            TargetBench bench{*target};
            bench.driver().pages(0, 0).assign(std::size_t{request.sectors} * 512, std::byte{1});
            EXPECT_GE(bench.request(request), 0);
            ASSERT_EQ(probe->seen.size(), 1U);
            const Request& seen = probe->seen.front();
            EXPECT_EQ(static_cast<unsigned>(seen.op), request.op);
            EXPECT_EQ(seen.length, request.sectors * 512U);
            EXPECT_EQ(seen.offset, seen.op == Op::flush ? 0 : request.sector * 512 + filter.shift);
            EXPECT_EQ(seen.fua, (request.flags & UBLK_IO_F_FUA) != 0);
            EXPECT_EQ(seen.no_unmap, (request.flags & UBLK_IO_F_NOUNMAP) != 0);
            EXPECT_EQ(seen.data.size(), has_data(seen.op) ? seen.length : 0);
        }
}

TEST_F(StackRules, AnswersComeBackUnchanged) {
    for (const Known& filter : filters_known)
        for (const test::BlockRequest& request : block_requests)
            for (const int result : {-EIO, -ENOSPC, -EOPNOTSUPP, 512, 0}) {
                if (!is_let_through(filter, request))
                    continue;
                SCOPED_TRACE(filter.text + ", operation " + std::to_string(request.op) + ": " +
                             std::to_string(result));
                auto [target, probe, top] =
                    stacked(in_root(filter.text), test::everything_allowed());
                probe->answer = Answer{result};
                TargetBench bench{*target};
                bench.request(request);
                EXPECT_THAT(top->results, ElementsAre(result));
                EXPECT_EQ(probe->seen.size(), 1U) << "nobody tries again";
            }
}

TEST_F(StackRules, WhatChangesZonesGoesThroughAndComesBack) {
    for (const Known& filter : filters_known) {
        if (!filter.zones || !filter.writes)
            continue;
        SCOPED_TRACE(filter.text);
        auto [target, probe, top] = stacked(in_root(filter.text), test::zoned());
        TargetBench bench{*target, 4, CopyMode::user};
        EXPECT_EQ(bench.append(64 * KiB, pattern(4096, 1)), 4096);
        EXPECT_EQ(bench.appended_at(), 64 * KiB + 4096);
        for (const unsigned op : {UBLK_IO_OP_ZONE_OPEN, UBLK_IO_OP_ZONE_CLOSE,
                                  UBLK_IO_OP_ZONE_FINISH, UBLK_IO_OP_ZONE_RESET})
            EXPECT_EQ(bench.zone(op, 128 * KiB), 0) << op;
        EXPECT_EQ(bench.zone(UBLK_IO_OP_ZONE_RESET_ALL, 0), 0);
        EXPECT_EQ(probe->seen.size(), 6U);
        EXPECT_EQ(probe->seen[1].offset, 128 * KiB);
    }
}

TEST_F(StackRules, ZonesAreReportedThroughEveryFilter) {
    for (const Known& filter : filters_known) {
        if (!filter.zones)
            continue;
        SCOPED_TRACE(filter.text);
        auto [target, probe, top] = stacked(in_root(filter.text), test::zoned());
        TargetBench bench{*target, 4, CopyMode::user};
        const auto zones = bench.report(64 * KiB, 3);
        ASSERT_EQ(zones.size(), 3U);
        EXPECT_EQ(zones[2].start, 3 * 64 * KiB / 512);
    }
}

TEST_F(StackRules, ReadOnlyFilterRefusesWhatChangesZones) {
    auto [target, probe, top] = stacked("readonly", test::zoned());
    TargetBench bench{*target, 4, CopyMode::user};
    EXPECT_EQ(bench.append(0, pattern(4096, 1)), -EROFS);
    for (const unsigned op : {UBLK_IO_OP_ZONE_OPEN, UBLK_IO_OP_ZONE_FINISH, UBLK_IO_OP_ZONE_RESET,
                              UBLK_IO_OP_ZONE_RESET_ALL})
        EXPECT_EQ(bench.zone(op, 0), -EROFS) << op;
    EXPECT_THAT(probe->seen, IsEmpty());
}

TEST_F(StackRules, ErrorsAreInjectedAboveAndBelowEveryFilter) {
    for (const Known& filter : filters_known) {
        SCOPED_TRACE(filter.text);
        auto probe = std::make_unique<Probe>(test::everything_allowed());
        const Probe& seen = *probe;
        auto below =
            put(in_root(filter.text), *put("error:op=read,errno=ENOSPC,count=1", std::move(probe)));
        ASSERT_TRUE(below);
        auto target = put("error:op=read,errno=ENOLINK,from=4K,to=8K", *std::move(below));
        TargetBench bench{**target};
        std::vector<std::byte> data(4096);
        EXPECT_EQ(bench.read(0, data), -ENOSPC) << "from below";
        EXPECT_EQ(bench.read(4096, data), -ENOLINK) << "from above";
        EXPECT_THAT(seen.seen, IsEmpty());
        EXPECT_EQ(bench.read(0, data), 4096);
        EXPECT_EQ(seen.seen.size(), 1U);
    }
}

TEST_F(StackRules, WhatATargetIsAskedBesideGoesThrough) {
    for (const Known& filter : filters_known) {
        SCOPED_TRACE(filter.text);
        auto [target, probe, top] = stacked(in_root(filter.text), test::everything_allowed());
        const bool has_file = filter.text.find("log") == 0;
        EXPECT_EQ(target->data_access(), DataAccess::ring);
        EXPECT_EQ(target->persistence(), Persistence::flushed);
        EXPECT_EQ(target->is_direct(), true);
        EXPECT_THAT(target->remarks(), ElementsAre("it is slow"));
        EXPECT_THAT(target->paths(), ElementsAre("/disk"));
        EXPECT_EQ(target->backings().size(), has_file ? 2U : 1U);
        EXPECT_EQ(target->backings().back().name, "file=/disk");
        EXPECT_EQ(test::descriptors_of(*target).size(), has_file ? 2U : 1U);
        EXPECT_EQ(test::descriptors_of(*target).back(), 7);
        EXPECT_EQ(target->command("rebuild", {})->front().first, "rebuild");
        Metrics metrics;
        target->measure(metrics);
        ASSERT_FALSE(metrics.entries().empty());
        EXPECT_EQ(metrics.entries().back().name, "told") << "what is behind comes last";
        { const TargetBench bench{*target}; }
        EXPECT_THAT(probe->calls, ElementsAre("begin", "end"));
        EXPECT_EQ(target->finish().error().code, ENOSPC);
    }
}

// Those that say nothing of themselves leave it as it is.
TEST_F(StackRules, GeometryGoesThrough) {
    Geometry below = test::everything_allowed();
    below.logical_block_size = 1024;
    below.io_min = 8192;
    below.io_opt = 65536;
    below.chunk_bytes = 32768;
    below.dma_alignment = 1024;
    below.virtual_boundary_mask = 4095;
    below.rotational = true;
    below.discard = {.max_bytes = 1U << 19, .granularity = 8192};
    below.segments = {.boundary_mask = 65535, .max_bytes = 8192, .max_segments = 4};
    for (const Known& filter : filters_known) {
        SCOPED_TRACE(filter.text);
        const Geometry above = stacked(in_root(filter.text), below).target->geometry();
        EXPECT_TRUE(validate(above));
        EXPECT_EQ(above.logical_block_size, below.logical_block_size);
        EXPECT_EQ(above.physical_block_size, below.physical_block_size);
        EXPECT_EQ(above.io_min, below.io_min);
        EXPECT_EQ(above.io_opt, below.io_opt);
        EXPECT_EQ(above.max_io_bytes, below.max_io_bytes);
        EXPECT_EQ(above.chunk_bytes, below.chunk_bytes);
        EXPECT_EQ(above.dma_alignment, below.dma_alignment);
        EXPECT_EQ(above.virtual_boundary_mask, below.virtual_boundary_mask);
        EXPECT_EQ(above.rotational, below.rotational);
        EXPECT_EQ(above.segments.boundary_mask, below.segments.boundary_mask);
        EXPECT_EQ(above.segments.max_segments, below.segments.max_segments);
        EXPECT_EQ(above.read_only, !filter.writes);
        EXPECT_EQ(above.volatile_cache, filter.writes);
        EXPECT_EQ(above.fua, filter.writes);
        EXPECT_EQ(above.discard.max_bytes, filter.writes ? below.discard.max_bytes : 0U);
        EXPECT_EQ(above.max_write_zeroes_bytes, filter.writes ? below.max_write_zeroes_bytes : 0U);
    }
}

// A part begins where it begins, and what is below has its granules where it has them.
TEST_F(StackRules, GranulesOfDiscardsDoNotMoveWithAPart) {
    Geometry below = test::everything_allowed();
    below.discard = {.max_bytes = 1U << 20, .granularity = 65536, .alignment = 4096};
    EXPECT_EQ(stacked("offset:start=8K", below).target->geometry().discard.alignment, 61440U);
    EXPECT_EQ(stacked("offset:start=64K", below).target->geometry().discard.alignment, 4096U);
    EXPECT_EQ(stacked("offset:start=68K", below).target->geometry().discard.alignment, 0U);
}

TEST_F(StackRules, PartsBeginWhereNoChunkIsCut) {
    Geometry below = test::everything_allowed();
    below.chunk_bytes = 65536;
    const auto cut = put("offset:start=4K", std::make_unique<Probe>(below));
    ASSERT_FALSE(cut);
    EXPECT_THAT(cut.error().message(), HasSubstr("65536"));
    EXPECT_TRUE(put("offset:start=128K", std::make_unique<Probe>(below)));
}

TEST_F(StackRules, DisksGrowThroughEveryFilterThatLetsThem) {
    for (const Known& filter : filters_known) {
        SCOPED_TRACE(filter.text);
        const std::string path = image();
        auto target = build(on_loop(filter.text, path), {});
        ASSERT_TRUE(target);
        const bool fixed = filter.text.find("size=") != std::string::npos;
        const auto grown = (*target)->resize(3 * MiB);
        EXPECT_EQ(grown.ok(), filter.writes && !fixed);
        EXPECT_EQ(std::filesystem::file_size(path), grown.ok() ? 3 * MiB + filter.shift : MiB)
            << "what was refused has changed nothing";
        if (grown) {
            EXPECT_EQ(*grown, 3 * MiB);
            EXPECT_EQ((*target)->geometry().size_bytes, MiB - filter.shift) << "as it was made";
        }
    }
}

TEST_F(StackRules, DisksBecomeAsLargeAsTheirBackingThroughEveryFilter) {
    for (const Known& filter : filters_known) {
        SCOPED_TRACE(filter.text);
        const std::string path = image();
        auto target = build(on_loop(filter.text, path), {});
        ASSERT_TRUE(target);
        std::filesystem::resize_file(path, 3 * MiB);
        const auto grown = (*target)->resize(std::nullopt);
        if (filter.text.find("size=") == std::string::npos) {
            EXPECT_EQ(*grown, 3 * MiB - filter.shift);
        } else {
            EXPECT_EQ(grown.error().kind, ErrorKind::usage);
        }
    }
}

TEST_F(StackRules, GrownBackingsDoNotHinderTheNextServer) {
    for (const Known& filter : filters_known) {
        SCOPED_TRACE(filter.text);
        const Stack stack = on_loop(filter.text, image());
        const std::uint64_t size = (*build(stack, {}))->geometry().size_bytes;
        image(3 * MiB);
        const auto again = build(stack, {.size_bytes = size});
        ASSERT_TRUE(again) << again.error().message();
        EXPECT_EQ((*again)->geometry().size_bytes, size);
    }
}

TEST_F(StackRules, ResizedDisksComeBackAsTheyWereLast) {
    for (const Known& filter : filters_known) {
        SCOPED_TRACE(filter.text);
        Stack stack = *parse_child("null size=1M");
        stack.filters.push_back(*parse_filter(in_root(filter.text)));
        const bool fixed = filter.text.find("size=") != std::string::npos;
        const std::uint64_t size = fixed ? 512 * KiB : 2 * MiB;
        const auto again = build(stack, {.size_bytes = size});
        ASSERT_TRUE(again) << again.error().message();
        EXPECT_EQ((*again)->geometry().size_bytes, size);
    }
}

TEST_F(StackRules, ShorterBackingsAreRefusedByName) {
    for (const Known& filter : filters_known) {
        SCOPED_TRACE(filter.text);
        if (filter.text.find("size=") != std::string::npos)
            continue;
        const auto again = build(on_loop(filter.text, image()), {.size_bytes = 2 * MiB});
        ASSERT_FALSE(again);
        EXPECT_EQ(again.error().code, ENODATA);
        EXPECT_THAT(again.error().message(), HasSubstr("loop: file="));
    }
}

TEST_F(StackRules, TwoFiltersDeepSizesAreSharedOut) {
    Stack stack = on_loop("offset:start=64K", image());
    stack.filters.push_back(*parse_filter("offset:start=128K"));
    const std::uint64_t size = (*build(stack, {}))->geometry().size_bytes;
    EXPECT_EQ(size, MiB - 192 * KiB);
    image(2 * MiB);
    auto again = build(stack, {.size_bytes = size});
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ((*again)->geometry().size_bytes, size);
    EXPECT_EQ(*(*again)->resize(3 * MiB), 3 * MiB);
    EXPECT_EQ(std::filesystem::file_size(root_.path("image")), 3 * MiB + 192 * KiB);
}

} // namespace
} // namespace ublk::targets
