// SPDX-License-Identifier: GPL-2.0-or-later
#include "null.h"

#include <gtest/gtest.h>

#include "support/target_bench.h"

namespace ublk {
namespace {

std::unique_ptr<Target> create(std::vector<std::string> words,
                               const GeometryRequest& request = {}) {
    Result<OptionValues> values = parse_options(targets::null_info.options, words);
    EXPECT_TRUE(values);
    Result<std::unique_ptr<Target>> target = targets::null_info.create(*values, request);
    EXPECT_TRUE(target);
    return std::move(*target);
}

TEST(NullTarget, HasTheSizeAskedFor) {
    EXPECT_EQ(create({"size=3M"})->geometry().size_bytes, 3U << 20);
    EXPECT_EQ(create({})->geometry().size_bytes, 1U << 30);
}

TEST(NullTarget, AppliesTheGeometryRequest) {
    EXPECT_EQ(create({}, {.logical_block_size = 4096})->geometry().logical_block_size, 4096U);
}

TEST(NullTarget, AnswersEveryOperationThatItAnnounces) {
    const std::unique_ptr<Target> target = create({});
    test::TargetBench bench{*target};
    std::vector<std::byte> data(4096);
    EXPECT_EQ(bench.write(0, data), 4096);
    EXPECT_EQ(bench.read(0, data), 4096);
    EXPECT_EQ(bench.discard(0, 4096), 0);
    EXPECT_EQ(bench.write_zeroes(0, 4096), 0);
}

TEST(NullTarget, TakesAnySizeButMustBeTold) {
    const std::unique_ptr<Target> target = create({});
    EXPECT_EQ(*target->resize(5ULL << 30), 5ULL << 30);
    EXPECT_EQ(target->resize({}).error().kind, ErrorKind::usage);
    EXPECT_EQ(create({"size=1M"}, {.size_bytes = 3U << 20})->geometry().size_bytes, 3U << 20);
}

TEST(NullTarget, SizeMustBeWholeBlocks) {
    Result<OptionValues> values =
        parse_options(targets::null_info.options, std::vector<std::string>{"size=1000"});
    ASSERT_TRUE(values);
    EXPECT_FALSE(targets::null_info.create(*values, {}));
}

} // namespace
} // namespace ublk
