// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/target_bench.h"

namespace ublk::targets {
namespace {

Result<std::unique_ptr<Target>> create(const std::vector<std::string>& words,
                                       const GeometryRequest& request = {}) {
    return test::create_target("ram", words, request);
}

bool all_zero(const std::vector<std::byte>& data) {
    return std::all_of(data.begin(), data.end(), [](std::byte b) { return b == std::byte{0}; });
}

std::int64_t allocated_bytes(Target& target) {
    struct stat file {};
    EXPECT_EQ(::fstat(test::descriptors_of(target).front(), &file), 0);
    return file.st_blocks * 512;
}

class RamTarget : public testing::Test {
protected:
    std::unique_ptr<Target> target_ = *create({"size=1M"});
    test::TargetBench bench_{*target_};
    std::vector<std::byte> data_ = test::pattern(8192, 3);
    std::vector<std::byte> got_ = test::pattern(8192, 9);
};

TEST_F(RamTarget, IsZeroAtFirst) {
    EXPECT_EQ(bench_.read(4096, got_), 8192);
    EXPECT_TRUE(all_zero(got_));
}

TEST_F(RamTarget, ReturnsWhatWasWritten) {
    EXPECT_EQ(bench_.write(512, data_), 8192);
    EXPECT_EQ(bench_.read(512, got_), 8192);
    EXPECT_EQ(got_, data_);
}

TEST_F(RamTarget, ServesItsLastBlock) {
    data_.resize(512);
    got_.resize(512);
    EXPECT_EQ(bench_.write((1 << 20) - 512, data_), 512);
    EXPECT_EQ(bench_.read((1 << 20) - 512, got_), 512);
    EXPECT_EQ(got_, data_);
}

TEST_F(RamTarget, DiscardZeroesAndGivesTheMemoryBack) {
    EXPECT_EQ(bench_.write(0, data_), 8192);
    const auto before = allocated_bytes(*target_);
    EXPECT_EQ(bench_.discard(0, 8192), 0);
    EXPECT_LT(allocated_bytes(*target_), before);
    EXPECT_EQ(bench_.read(0, got_), 8192);
    EXPECT_TRUE(all_zero(got_));
}

TEST_F(RamTarget, WriteZeroesTouchesItsRangeOnly) {
    EXPECT_EQ(bench_.write(0, data_), 8192);
    EXPECT_EQ(bench_.write_zeroes(512, 4096), 0);
    EXPECT_EQ(bench_.read(0, got_), 8192);
    std::fill_n(data_.begin() + 512, 4096, std::byte{0});
    EXPECT_EQ(got_, data_);
}

TEST_F(RamTarget, WriteZeroesWithoutUnmapKeepsTheMemory) {
    EXPECT_EQ(bench_.write(0, data_), 8192);
    const auto before = allocated_bytes(*target_);
    EXPECT_EQ(bench_.write_zeroes(0, 8192, UBLK_IO_F_NOUNMAP), 0);
    EXPECT_EQ(allocated_bytes(*target_), before);
    EXPECT_EQ(bench_.read(0, got_), 8192);
    EXPECT_TRUE(all_zero(got_));
}

TEST_F(RamTarget, PassesErrorsOfPunchingOn) {
    bench_.driver().fail_next_operation(IORING_OP_FALLOCATE, -EPERM);
    EXPECT_EQ(bench_.discard(0, 4096), -EPERM);
}

TEST_F(RamTarget, LosesNothingWithoutFlushSoHasNoVolatileCache) {
    EXPECT_FALSE(target_->geometry().volatile_cache);
    EXPECT_FALSE(target_->geometry().rotational);
}

TEST_F(RamTarget, GrowsWithoutLosingWhatItHas) {
    std::fill(data_.begin(), data_.end(), std::byte{7});
    EXPECT_EQ(bench_.write((1 << 20) - 8192, data_), 8192);
    ASSERT_EQ(*target_->resize(3U << 20), 3U << 20);
    EXPECT_EQ(bench_.read((1 << 20) - 8192, got_), 8192);
    EXPECT_EQ(got_, data_);
    test::TargetBench larger{*target_};
    larger.allow_up_to(3U << 20);
    EXPECT_EQ(larger.read((3 << 20) - 8192, got_), 8192);
    EXPECT_TRUE(all_zero(got_));
    EXPECT_EQ(larger.write((3 << 20) - 8192, data_), 8192);
    EXPECT_EQ(larger.read((3 << 20) - 8192, got_), 8192);
    EXPECT_EQ(got_, data_);
}

TEST_F(RamTarget, ShrinksWithoutLosingWhatItHas) {
    EXPECT_EQ(bench_.write((1 << 20) - 8192, data_), 8192);
    ASSERT_EQ(*target_->resize(4096), 4096U);
    ASSERT_EQ(*target_->resize(1U << 20), 1U << 20);
    EXPECT_EQ(bench_.read((1 << 20) - 8192, got_), 8192);
    EXPECT_EQ(got_, data_);
}

TEST_F(RamTarget, HasNoBackingThatCouldDecideAboutItsSize) {
    EXPECT_EQ(target_->persistence(), Persistence::process);
    EXPECT_EQ(target_->resize({}).error().kind, ErrorKind::usage);
}

TEST_F(RamTarget, SizeThatIsTooLargeChangesNothing) {
    EXPECT_FALSE(target_->resize(16777215ULL << 40));
    EXPECT_EQ(bench_.write((1 << 20) - 8192, data_), 8192);
}

TEST(RamTargetCreation, AppliesTheGeometryRequest) {
    const auto target = create({"size=1M"}, {.logical_block_size = 4096, .read_only = true});
    ASSERT_TRUE(target);
    EXPECT_EQ((*target)->geometry().logical_block_size, 4096U);
    EXPECT_TRUE((*target)->geometry().read_only);
}

TEST(RamTargetCreation, SizeMustBeWholeBlocksAndTheNextOneIsNamed) {
    const auto target = create({"size=5000"}, {.logical_block_size = 4096});
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().kind, ErrorKind::backend);
    EXPECT_EQ(target.error().hint, "use size=8192");
}

TEST(RamTargetCreation, SizeMustBeGivenAndNotZero) {
    EXPECT_EQ(create({}).error().kind, ErrorKind::usage);
    EXPECT_EQ(create({"size=0"}).error().kind, ErrorKind::usage);
}

TEST(RamTargetCreation, MoreThanTheAddressSpaceIsTooLarge) {
    for (const char* size : {"size=4194304T", "size=16777215T"}) {
        const auto target = create({size});
        ASSERT_FALSE(target) << size;
        EXPECT_EQ(target.error().kind, ErrorKind::backend);
        EXPECT_THAT(target.error().hint, testing::HasSubstr("too large"));
    }
}

TEST(RamTargetCreation, HugePagesThatAreNotThereAreSaidToBeMissing) {
    const auto target = create({"size=512T", "hugepages=yes"});
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().kind, ErrorKind::backend);
    EXPECT_EQ(target.error().step, "hugepages=yes");
    EXPECT_FALSE(target.error().hint.empty());
}

} // namespace
} // namespace ublk::targets
