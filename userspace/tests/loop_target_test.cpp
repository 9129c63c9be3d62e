// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ublk/unique_fd.h>

#include "support/target_bench.h"
#include "support/temporary_directory.h"

namespace ublk::targets {
namespace {

using testing::HasSubstr;

Result<std::unique_ptr<Target>> create(const std::vector<std::string>& words,
                                       const GeometryRequest& request = {}) {
    return test::create_target("loop", words, request);
}

std::vector<std::byte> bytes_of_file(const std::string& path, std::size_t offset,
                                     std::size_t length) {
    std::vector<std::byte> data(length);
    std::ifstream file(path, std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    file.read(reinterpret_cast<char*>(data.data()), static_cast<std::streamsize>(length));
    return data;
}

// A 1 MiB file, buffered: so the tests do not depend on what file system they run on.
class LoopTarget : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    std::string path_ = directory_.create_file("image", 1 << 20);
    std::vector<std::byte> data_ = test::pattern(8192, 3);
    std::vector<std::byte> got_ = test::pattern(8192, 9);

    std::unique_ptr<Target> open(std::vector<std::string> words = {},
                                 const GeometryRequest& request = {}) {
        words.push_back("file=" + path_);
        words.push_back("direct=no");
        auto target = create(words, request);
        EXPECT_TRUE(target) << target.error().message();
        return *std::move(target);
    }
};

TEST_F(LoopTarget, StoresInTheFile) {
    const auto target = open();
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.write(4096, data_), 8192);
    EXPECT_EQ(bytes_of_file(path_, 4096, 8192), data_);
    EXPECT_EQ(bench.read(4096, got_), 8192);
    EXPECT_EQ(got_, data_);
}

TEST_F(LoopTarget, GoesOnAfterShortTransfers) {
    const auto target = open();
    test::TargetBench bench{*target};
    bench.driver().limit_transfers(1000);
    EXPECT_EQ(bench.write(0, data_), 8192);
    EXPECT_EQ(bench.read(0, got_), 8192);
    EXPECT_EQ(got_, data_);
}

TEST_F(LoopTarget, ServesTheWindowOnly) {
    const auto target = open({"offset=64K", "sizelimit=128K"});
    EXPECT_EQ(target->geometry().size_bytes, 128U << 10);
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.write((128 << 10) - 8192, data_), 8192);
    EXPECT_EQ(bytes_of_file(path_, (192 << 10) - 8192, 8192), data_);
    EXPECT_EQ(bench.discard(0, 128 << 10), 0);
    EXPECT_EQ(bench.write_zeroes(0, 128 << 10), 0);
}

TEST_F(LoopTarget, DiscardOfTheWindowSparesWhatIsAround) {
    const auto whole = test::pattern(1 << 20, 5);
    std::ofstream(path_, std::ios::binary)
        .write(reinterpret_cast<const char*>(whole.data()), 1 << 20);
    const auto target = open({"offset=64K", "sizelimit=128K"});
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.discard(0, 128 << 10), 0);
    EXPECT_EQ(bytes_of_file(path_, 0, 64 << 10), test::pattern(64 << 10, 5));
    EXPECT_EQ(bytes_of_file(path_, 64 << 10, 128 << 10), std::vector<std::byte>(128 << 10));
    const auto after = bytes_of_file(path_, 192 << 10, 64 << 10);
    EXPECT_TRUE(std::equal(after.begin(), after.end(), whole.begin() + (192 << 10)));
}

TEST_F(LoopTarget, SizeLimitAboveTheFileIsTheFile) {
    EXPECT_EQ(open({"sizelimit=1G"})->geometry().size_bytes, 1U << 20);
}

TEST_F(LoopTarget, WriteZeroesKeepsSpaceAllocatedIfAskedTo) {
    const auto target = open();
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.write(0, data_), 8192);
    EXPECT_EQ(bench.flush(), 0);
    struct stat file {};
    ASSERT_EQ(::stat(path_.c_str(), &file), 0);
    const auto before = file.st_blocks;
    EXPECT_EQ(bench.write_zeroes(0, 8192, UBLK_IO_F_NOUNMAP), 0);
    ASSERT_EQ(::stat(path_.c_str(), &file), 0);
    EXPECT_GE(file.st_blocks, before);
    EXPECT_EQ(bytes_of_file(path_, 0, 8192), std::vector<std::byte>(8192));
}

TEST_F(LoopTarget, WritesZeroesItselfWhereTheFileSystemCannot) {
    const auto target = open();
    test::TargetBench bench{*target};
    const auto noise = test::pattern(256 << 10, 1);
    EXPECT_EQ(bench.write(0, noise), 256 << 10);
    bench.driver().fail_next_operation(IORING_OP_FALLOCATE, -EOPNOTSUPP); // punch
    bench.driver().fail_next_operation(IORING_OP_FALLOCATE, -EOPNOTSUPP); // zero range
    EXPECT_EQ(bench.write_zeroes(4096, 200 << 10), 0);
    auto expected = noise;
    std::fill_n(expected.begin() + 4096, 200 << 10, std::byte{0});
    EXPECT_EQ(bytes_of_file(path_, 0, 256 << 10), expected);

    // It has learned: a further error would be seen if it tried to allocate again.
    bench.driver().fail_next_operation(IORING_OP_FALLOCATE, -EIO);
    EXPECT_EQ(bench.write_zeroes(0, 4096), 0);
}

TEST_F(LoopTarget, DiscardThatTheBackingCannotDoIsNoError) {
    const auto target = open();
    test::TargetBench bench{*target};
    bench.driver().fail_next_operation(IORING_OP_FALLOCATE, -EOPNOTSUPP);
    EXPECT_EQ(bench.discard(0, 4096), 0);
    // It has learned: a further error would be seen if it tried again.
    bench.driver().fail_next_operation(IORING_OP_FALLOCATE, -EIO);
    EXPECT_EQ(bench.discard(0, 4096), 0);
}

TEST_F(LoopTarget, DirectIoThatFailsIsTriedThroughThePageCache) {
    const auto target = *create({"file=" + path_});
    if (!*target->is_direct())
        GTEST_SKIP() << "no direct I/O on " << path_;
    const int file = test::descriptors_of(*target).front();
    for (const int error : {-EINVAL, -EOPNOTSUPP}) {
        ASSERT_EQ(::fcntl(file, F_SETFL, ::fcntl(file, F_GETFL) | O_DIRECT), 0);
        EXPECT_EQ(target->is_direct(), true);
        EXPECT_TRUE(target->remarks().empty());
        test::TargetBench bench{*target};
        bench.driver().fail_next_operation(IORING_OP_WRITE, error);
        EXPECT_EQ(bench.write(4096, data_), 8192);
        EXPECT_FALSE(::fcntl(file, F_GETFL) & O_DIRECT);
        EXPECT_EQ(target->is_direct(), false);
        ASSERT_EQ(target->remarks().size(), 1U);
        EXPECT_THAT(target->remarks()[0], HasSubstr(path_ + ": direct I/O has failed"));
        // One that was under way meanwhile.
        bench.driver().fail_next_operation(IORING_OP_READ, error);
        EXPECT_EQ(bench.read(4096, got_), 8192);
        EXPECT_EQ(got_, data_);
    }
    test::TargetBench bench{*target};
    bench.driver().fail_next_operation(IORING_OP_READ, -EIO);
    EXPECT_EQ(bench.read(0, got_), -EIO);
}

TEST_F(LoopTarget, BufferedFileHasNoSecondTry) {
    const auto target = open();
    EXPECT_EQ(target->is_direct(), false);
    test::TargetBench bench{*target};
    bench.driver().fail_next_operation(IORING_OP_WRITE, -EINVAL);
    EXPECT_EQ(bench.write(0, data_), -EINVAL);
}

TEST_F(LoopTarget, FuaIsASyncWhereTheFileHasNone) {
    const auto target = open();
    test::TargetBench bench{*target};
    bench.driver().fail_next_operation(IORING_OP_WRITE, -EOPNOTSUPP);
    EXPECT_EQ(bench.write(0, data_, UBLK_IO_F_FUA), 8192);
    EXPECT_EQ(bytes_of_file(path_, 0, 8192), data_);
    bench.driver().fail_next_operation(IORING_OP_WRITE, -EOPNOTSUPP);
    bench.driver().fail_next_operation(IORING_OP_FSYNC, -EIO);
    EXPECT_EQ(bench.write(0, data_, UBLK_IO_F_FUA), -EIO);
    bench.driver().fail_next_operation(IORING_OP_WRITE, -EOPNOTSUPP);
    EXPECT_EQ(bench.write(0, data_), -EOPNOTSUPP);
}

TEST_F(LoopTarget, SaysWhatItsBackingIs) {
    const auto uses = open()->backings();
    ASSERT_EQ(uses.size(), 1U);
    EXPECT_EQ(uses[0].access, BackingUse::Access::writes);
    EXPECT_EQ(uses[0].name, "file=" + path_);
    struct stat file {};
    ASSERT_EQ(::stat(path_.c_str(), &file), 0);
    ASSERT_FALSE(uses[0].things.empty());
    EXPECT_EQ(uses[0].things[0].number, file.st_ino);
    EXPECT_EQ(open({}, {.read_only = true})->backings()[0].access, BackingUse::Access::reads);
}

TEST_F(LoopTarget, TableForOtherSectorsIsRemarkedUpon) {
    std::string header = "EFI PART";
    header.resize(32);
    header[24] = 1;
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(65536 + 4096).write(header.data(), 32);
    file.close();
    const auto remarks = open({"offset=64K"})->remarks();
    ASSERT_EQ(remarks.size(), 1U);
    EXPECT_THAT(remarks[0], testing::AllOf(HasSubstr(path_), HasSubstr("--block-size 4096")));
    EXPECT_TRUE(open({"offset=64K"}, {.logical_block_size = 4096})->remarks().empty());
    EXPECT_TRUE(open()->remarks().empty());
}

TEST_F(LoopTarget, BlocksOfAWindowThatAreNotAlignedAreNotAnnounced) {
    const Geometry whole = open()->geometry();
    auto shifted = open({"offset=512", "sizelimit=512K"});
    EXPECT_EQ(shifted->geometry().physical_block_size, 512U);
    EXPECT_FALSE(shifted->remarks().empty());
    if (whole.discard.granularity > 512) {
        EXPECT_EQ(shifted->geometry().discard.alignment, whole.discard.granularity - 512);
    }
    shifted.reset();
    EXPECT_EQ(open({"offset=64K"})->geometry().physical_block_size, whole.physical_block_size);
}

TEST_F(LoopTarget, PassesErrorsOn) {
    const auto target = open();
    test::TargetBench bench{*target};
    bench.driver().fail_next_operation(IORING_OP_WRITE, -ENOSPC);
    EXPECT_EQ(bench.write(0, data_), -ENOSPC);
    bench.driver().fail_next_operation(IORING_OP_READ, -EIO);
    EXPECT_EQ(bench.read(0, got_), -EIO);
    bench.driver().fail_next_operation(IORING_OP_FSYNC, -EIO);
    EXPECT_EQ(bench.flush(), -EIO);
    bench.driver().fail_next_operation(IORING_OP_FALLOCATE, -EIO);
    EXPECT_EQ(bench.write_zeroes(0, 4096), -EIO);
    bench.driver().fail_next_operation(IORING_OP_FALLOCATE, -ENOSPC);
    EXPECT_EQ(bench.discard(0, 4096), -ENOSPC);
}

TEST_F(LoopTarget, FileThatWasTruncatedFailsReadsBehindItsEnd) {
    const auto target = open();
    test::TargetBench bench{*target};
    std::filesystem::resize_file(path_, 512 << 10);
    EXPECT_EQ(bench.read(0, got_), 8192);
    EXPECT_EQ(bench.read(768 << 10, got_), -EIO);
    EXPECT_EQ(bench.read((512 << 10) - 4096, got_), -EIO);
}

TEST_F(LoopTarget, HasAVolatileCacheAndHonoursFua) {
    const auto target = open();
    EXPECT_TRUE(target->geometry().volatile_cache);
    EXPECT_TRUE(target->geometry().fua);
    test::TargetBench bench{*target};
    EXPECT_EQ(bench.write(0, data_, UBLK_IO_F_FUA), 8192);
    EXPECT_EQ(bench.flush(), 0);
}

TEST_F(LoopTarget, ReadOnlyDeviceHasNothingToFlushOrDiscard) {
    const Geometry geometry = open({}, {.read_only = true})->geometry();
    EXPECT_TRUE(geometry.read_only);
    EXPECT_FALSE(geometry.volatile_cache);
    EXPECT_EQ(geometry.discard.max_bytes, 0U);
    EXPECT_EQ(geometry.max_write_zeroes_bytes, 0U);
}

TEST_F(LoopTarget, ReadOnlyNeedsNoWritePermission) {
    ASSERT_EQ(::chmod(path_.c_str(), 0444), 0);
    EXPECT_TRUE(open({}, {.read_only = true}));
}

TEST_F(LoopTarget, LocksTheFileAgainstASecondWriter) {
    const auto first = open();
    const auto second = create({"file=" + path_});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EBUSY);
    EXPECT_THAT(second.error().hint, HasSubstr("ublkd list"));
    EXPECT_EQ(create({"file=" + path_}, {.read_only = true}).error().code, EBUSY);
}

TEST_F(LoopTarget, SharesTheFileAmongReaders) {
    const auto first = open({}, {.read_only = true});
    const auto second = open({}, {.read_only = true});
    EXPECT_EQ(create({"file=" + path_}).error().code, EBUSY);
}

TEST_F(LoopTarget, UnlocksTheFileAtItsEnd) {
    open().reset();
    EXPECT_TRUE(open());
}

TEST_F(LoopTarget, BlockSizeMayBeRaised) {
    const Geometry geometry = open({}, {.logical_block_size = 4096})->geometry();
    EXPECT_EQ(geometry.logical_block_size, 4096U);
    EXPECT_GE(geometry.physical_block_size, 4096U);
}

TEST_F(LoopTarget, DirectOrNotTheDataIsTheSame) {
    auto target = create({"file=" + path_});
    ASSERT_TRUE(target) << target.error().message();
    test::TargetBench bench{**target};
    EXPECT_EQ(bench.write(4096, data_), 8192);
    EXPECT_EQ(bench.read(4096, got_), 8192);
    EXPECT_EQ(got_, data_);
    EXPECT_EQ(bytes_of_file(path_, 4096, 8192), data_);
}

class LoopTargetResize : public LoopTarget {
protected:
    std::uintmax_t file_size() const { return std::filesystem::file_size(path_); }
    static constexpr std::uint64_t MiB = 1U << 20;
};

TEST_F(LoopTargetResize, FileIsMadeAsLongAsItHasToBe) {
    const auto target = open({"offset=64K"});
    EXPECT_EQ(*target->resize(3 * MiB), 3 * MiB);
    EXPECT_EQ(file_size(), 3 * MiB + 65536);
    test::TargetBench bench{*target};
    bench.allow_up_to(3 * MiB);
    EXPECT_EQ(bench.write(3 * MiB - 8192, data_), 8192);
    EXPECT_EQ(bytes_of_file(path_, 3 * MiB + 65536 - 8192, 8192), data_);
}

TEST_F(LoopTargetResize, FileIsNeverMadeShorter) {
    const auto target = open();
    EXPECT_EQ(*target->resize(MiB / 2), MiB / 2);
    EXPECT_EQ(file_size(), MiB);
}

TEST_F(LoopTargetResize, WithoutASizeTheFileDecides) {
    const auto target = open({"offset=64K"});
    std::filesystem::resize_file(path_, 2 * MiB);
    EXPECT_EQ(*target->resize({}), 2 * MiB - 65536);
    EXPECT_EQ(file_size(), 2 * MiB);
    std::filesystem::resize_file(path_, 1024);
    EXPECT_EQ(target->resize({}).error().kind, ErrorKind::backend);
}

TEST_F(LoopTargetResize, SizeLimitHoldsForGood) {
    const auto target = open({"sizelimit=1536K"});
    std::filesystem::resize_file(path_, 2 * MiB);
    EXPECT_EQ(*target->resize({}), 3 * MiB / 2);
    const auto refused = target->resize(2 * MiB);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    EXPECT_THAT(refused.error().hint, HasSubstr("sizelimit=1572864"));
}

TEST_F(LoopTargetResize, ReadOnlyFileStaysAsItIs) {
    const auto target = open({}, {.read_only = true});
    EXPECT_EQ(target->resize(2 * MiB).error().code, EROFS);
    EXPECT_EQ(file_size(), MiB);
    std::filesystem::resize_file(path_, 2 * MiB);
    EXPECT_EQ(*target->resize({}), 2 * MiB);
}

TEST_F(LoopTargetResize, ImpossibleSizesAreErrors) {
    const auto target = open({"offset=64K"});
    EXPECT_EQ(target->resize(UINT64_MAX - 511).error().kind, ErrorKind::usage);
    EXPECT_EQ(target->resize(std::uint64_t{1} << 62).error().kind, ErrorKind::backend);
    EXPECT_EQ(file_size(), MiB);
}

TEST_F(LoopTargetResize, DiskThatExistsKeepsItsSize) {
    std::filesystem::resize_file(path_, 3 * MiB);
    EXPECT_EQ(open({}, {.size_bytes = 2 * MiB})->geometry().size_bytes, 2 * MiB);
    const auto too_short = create({"file=" + path_, "direct=no"}, {.size_bytes = 4 * MiB});
    ASSERT_FALSE(too_short);
    EXPECT_EQ(too_short.error().kind, ErrorKind::backend);
    EXPECT_THAT(too_short.error().hint, HasSubstr("4194304"));
}

TEST_F(LoopTargetResize, AnotherServerFindsTheData) {
    EXPECT_EQ(open()->persistence(), Persistence::backing);
}

class LoopTargetCreation : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
};

TEST_F(LoopTargetCreation, MissingFileSaysHowToMakeOne) {
    const auto target = create({"file=" + directory_.path("none")});
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().code, ENOENT);
    EXPECT_EQ(target.error().kind, ErrorKind::system);
    EXPECT_THAT(target.error().hint, HasSubstr("truncate -s"));
}

TEST_F(LoopTargetCreation, OddSizeNamesBothWaysOut) {
    const std::string path = directory_.create_file("odd", 1000001);
    const auto target = create({"file=" + path, "direct=no"});
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().kind, ErrorKind::backend);
    EXPECT_THAT(target.error().hint,
                testing::AllOf(HasSubstr("-s 1000448 "), HasSubstr("sizelimit=999936")));
    EXPECT_TRUE(create({"file=" + path, "direct=no", "sizelimit=999936"}));
}

TEST_F(LoopTargetCreation, FileSmallerThanABlockCannotBeCut) {
    const auto target = create({"file=" + directory_.create_file("tiny", 100), "direct=no"});
    ASSERT_FALSE(target);
    EXPECT_THAT(target.error().hint, testing::Not(HasSubstr("sizelimit")));
}

TEST_F(LoopTargetCreation, SealedMemoryCanOnlyBeRead) {
    const UniqueFd memory{::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    ASSERT_EQ(::ftruncate(memory.get(), 1 << 20), 0);
    ASSERT_EQ(::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
    const std::string file = "file=/proc/self/fd/" + std::to_string(memory.get());
    const auto refused = create({file});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, EPERM);
    EXPECT_THAT(refused.error().hint, HasSubstr("--read-only"));
    EXPECT_TRUE(create({file}, {.read_only = true}));
}

TEST_F(LoopTargetCreation, FileThatAnotherProgramHasLockedIsBusy) {
    const std::string path = directory_.create_file("image", 1 << 20);
    const UniqueFd locker{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_start = 100;
    lock.l_len = 1;
    ASSERT_EQ(::fcntl(locker.get(), F_OFD_SETLK, &lock), 0);
    EXPECT_EQ(create({"file=" + path}).error().code, EBUSY);
}

TEST_F(LoopTargetCreation, WhatIsNoDiskIsRefused) {
    EXPECT_EQ(create({"file=" + directory_.path()}).error().code, EISDIR);
    EXPECT_EQ(create({"file=/dev/null"}).error().code, ENOTBLK);
    ASSERT_EQ(::mkfifo(directory_.path("fifo").c_str(), 0600), 0);
    EXPECT_EQ(create({"file=" + directory_.path("fifo")}).error().kind, ErrorKind::backend);
}

TEST_F(LoopTargetCreation, EmptyFileIsRefused) {
    const auto target = create({"file=" + directory_.create_file("empty", 0)});
    ASSERT_FALSE(target);
    EXPECT_EQ(target.error().kind, ErrorKind::backend);
}

TEST_F(LoopTargetCreation, OffsetMustBeAlignedAndInsideTheFile) {
    const std::string file = "file=" + directory_.create_file("image", 1 << 20);
    EXPECT_EQ(create({file, "direct=no", "offset=100"}).error().kind, ErrorKind::usage);
    EXPECT_EQ(create({file, "direct=no", "offset=1M"}).error().kind, ErrorKind::usage);
    EXPECT_TRUE(create({file, "direct=no", "offset=1048064"}));
}

TEST_F(LoopTargetCreation, ImpossibleBlockSizeIsWrongUsage) {
    const std::string file = "file=" + directory_.create_file("image", 1 << 20);
    for (std::uint32_t size : {256U, 1000U, 8192U})
        EXPECT_EQ(create({file, "direct=no"}, {.logical_block_size = size}).error().kind,
                  ErrorKind::usage)
            << size;
}

} // namespace
} // namespace ublk::targets
