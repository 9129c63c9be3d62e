// SPDX-License-Identifier: GPL-2.0-or-later
// The table of Documentation/backing.rst, line by line.
#include "backing_properties.h"

#include <cerrno>
#include <functional>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <ublk/unique_fd.h>

#include "support/temporary_directory.h"

namespace ublk::targets {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t GiB = 1U << 30;

// A disk that can do all.
DiskFacts good_disk() {
    DiskFacts disk;
    disk.logical_block_size = 512;
    disk.physical_block_size = 4096;
    disk.discard_max_bytes = 2 * GiB;
    disk.discard_granularity = 65536;
    return disk;
}

FileFacts good_file() {
    FileFacts file;
    file.size = 1 << 20;
    file.file_system_block = 4096;
    file.io_size = 4096;
    file.file_system = EXT4_SUPER_MAGIC;
    file.punches_holes = true;
    return file;
}

enum class Open { to_write, to_read };

BackingRequest request_to(Open open) { return {"/b", true, open == Open::to_read}; }

template <class Facts> struct Refusal {
    const char* what;
    std::function<void(Facts&)> change;
    int code;
    const char* hint;
    bool also_to_read;
};

template <class Facts> void expect_refusals(const std::vector<Refusal<Facts>>& table, Facts good) {
    ASSERT_TRUE(properties_of(good, request_to(Open::to_write)));
    for (const auto& line : table) {
        Facts facts = good;
        line.change(facts);
        const auto written = properties_of(facts, request_to(Open::to_write));
        ASSERT_FALSE(written) << line.what;
        EXPECT_EQ(written.error().code, line.code) << line.what;
        EXPECT_THAT(written.error().hint, HasSubstr(line.hint)) << line.what;
        EXPECT_THAT(written.error().step, HasSubstr("/b")) << line.what;
        EXPECT_EQ(!properties_of(facts, request_to(Open::to_read)), line.also_to_read) << line.what;
    }
}

TEST(PropertiesOfADisk, ThatCannotBeServedRefuseIt) {
    expect_refusals<DiskFacts>(
        {{"zones", [](DiskFacts& d) { d.zoned = "host-managed"; }, ENOTSUP, "dm-zoned", true},
         {"large blocks", [](DiskFacts& d) { d.logical_block_size = 16384; }, ENOTSUP, "4096",
          true},
         {"lock", [](DiskFacts& d) { d.locked_by = 42; }, EBUSY, "process 42", true},
         {"protection", [](DiskFacts& d) { d.write_protected = true; }, EROFS, "--read-only",
          false}},
        good_disk());
}

TEST(PropertiesOfAFile, ThatCannotBeServedRefuseIt) {
    expect_refusals<FileFacts>(
        {{"no size", [](FileFacts& f) { f.size = 0; }, ENODATA, "truncate", true},
         {"no such size", [](FileFacts& f) { f.ends_where_it_says = false; }, ENODATA, "less",
          true},
         {"swap", [](FileFacts& f) { f.swap = true; }, EBUSY, "swapoff /b", true},
         {"seal", [](FileFacts& f) { f.seals = F_SEAL_WRITE; }, EPERM, "--read-only", false},
         {"weak seal", [](FileFacts& f) { f.seals = F_SEAL_FUTURE_WRITE; }, EPERM, "--read-only",
          false},
         {"lock", [](FileFacts& f) { f.locked_by = 42; }, EBUSY, "process 42", true},
         {"lock of a file", [](FileFacts& f) { f.locked_by = 0; }, EBUSY, "lslocks", true}},
        good_file());
}

// Changes facts, and says what else becomes of them than of good ones.
template <class Facts> struct Decision {
    const char* what;
    std::function<void(Facts&)> change;
    std::function<void(Properties&)> outcome;
};

template <class Facts>
void expect_decisions(const std::vector<Decision<Facts>>& table, const Facts& good) {
    const auto usual = properties_of(good, request_to(Open::to_write));
    ASSERT_TRUE(usual);
    for (const auto& line : table) {
        Facts facts = good;
        line.change(facts);
        Properties expected = *usual;
        line.outcome(expected);
        const auto found = properties_of(facts, request_to(Open::to_write));
        ASSERT_TRUE(found) << line.what;
        EXPECT_TRUE(*found == expected) << line.what;
    }
}

TEST(PropertiesOfADisk, AreTakenOverOrTranslated) {
    expect_decisions<DiskFacts>(
        {{"logical block", [](DiskFacts& d) { d.logical_block_size = 4096; },
          [](Properties& p) { p.offset_alignment = 4096; }},
         {"physical block", [](DiskFacts& d) { d.physical_block_size = 16384; },
          [](Properties& p) { p.physical_block_size = 16384; }},
         {"io_min", [](DiskFacts& d) { d.io_min = 65536; },
          [](Properties& p) { p.io_min = 65536; }},
         {"io_opt", [](DiskFacts& d) { d.io_opt = 1 << 20; },
          [](Properties& p) { p.io_opt = 1 << 20; }},
         {"io_opt of three disks", [](DiskFacts& d) { d.io_opt = 3 << 16; }, [](Properties&) {}},
         {"alignment", [](DiskFacts& d) { d.alignment_offset = 3584; },
          [](Properties& p) { p.first_physical_block = 3584; }},
         {"no alignment", [](DiskFacts& d) { d.alignment_offset = -1; },
          [](Properties& p) { p.physical_block_size = 512; }},
         {"rotation", [](DiskFacts& d) { d.rotational = true; },
          [](Properties& p) { p.rotational = true; }},
         {"checksums", [](DiskFacts& d) { d.stable_writes = true; },
          [](Properties& p) { p.stable_pages = true; }},
         {"no discard", [](DiskFacts& d) { d.discard_max_bytes = 0; },
          [](Properties& p) {
              p.discard = DiscardWay::none;
              p.discard_granularity = 0;
              p.max_discard_bytes = 0;
          }},
         {"short discards", [](DiskFacts& d) { d.discard_max_bytes = 1000000; },
          [](Properties& p) { p.max_discard_bytes = 999936; }},
         {"granularity of three parts", [](DiskFacts& d) { d.discard_granularity = 3 << 16; },
          [](Properties& p) { p.discard_granularity = 1 << 16; }},
         {"no granularity", [](DiskFacts& d) { d.discard_granularity = 0; },
          [](Properties& p) { p.discard_granularity = 512; }},
         {"alignment of discards", [](DiskFacts& d) { d.discard_alignment = 512; },
          [](Properties& p) { p.first_granule = 512; }},
         {"host-aware zones", [](DiskFacts& d) { d.zoned = "host-aware"; },
          [](Properties& p) {
              p.remarks.emplace_back("it is zoned, but is used as an ordinary disk");
          }}},
        good_disk());
}

TEST(PropertiesOfADisk, DiscardGoesToTheBlockLayerUnlessItIsOnlyRead) {
    const auto written = properties_of(good_disk(), request_to(Open::to_write));
    ASSERT_TRUE(written);
    EXPECT_EQ(written->discard, DiscardWay::block_layer);
    EXPECT_EQ(written->max_discard_bytes, GiB);
    const auto read = properties_of(good_disk(), request_to(Open::to_read));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->discard, DiscardWay::none);
}

TEST(PropertiesOfAFile, AreTakenOverOrTranslated) {
    expect_decisions<FileFacts>(
        {{"small blocks", [](FileFacts& f) { f.file_system_block = 1024; },
          [](Properties& p) {
              p.physical_block_size = 1024;
              p.discard_granularity = 1024;
              p.io_opt = 4096;
          }},
         {"a network's block", [](FileFacts& f) { f.file_system_block = f.io_size = 1 << 20; },
          [](Properties& p) { p.io_opt = 1 << 20; }},
         {"stripes", [](FileFacts& f) { f.io_size = 65536; },
          [](Properties& p) { p.io_opt = 65536; }},
         {"odd block", [](FileFacts& f) { f.file_system_block = 3000; }, [](Properties&) {}},
         {"rotation", [](FileFacts& f) { f.rotational = true; },
          [](Properties& p) { p.rotational = true; }},
         {"checksums", [](FileFacts& f) { f.file_system = static_cast<long>(BTRFS_SUPER_MAGIC); },
          [](Properties& p) { p.stable_pages = true; }},
         {"seal against growing", [](FileFacts& f) { f.seals = F_SEAL_GROW | F_SEAL_SHRINK; },
          [](Properties&) {}},
         {"no holes", [](FileFacts& f) { f.punches_holes = false; },
          [](Properties& p) {
              p.discard = DiscardWay::none;
              p.discard_granularity = 0;
              p.max_discard_bytes = 0;
          }}},
        good_file());
}

class FactsOfAFile : public testing::Test {
protected:
    test::TemporaryDirectory directory_;

    static UniqueFd open(const std::string& path) {
        return UniqueFd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
    }
};

TEST_F(FactsOfAFile, AreThoseOfAnOrdinaryOne) {
    const UniqueFd file = open(directory_.create_file("image", 10000));
    const FileFacts facts = ask_file(file.get(), false);
    EXPECT_EQ(facts.size, 10000U);
    EXPECT_TRUE(facts.ends_where_it_says);
    EXPECT_FALSE(facts.swap);
    EXPECT_FALSE(facts.locked_by);
    EXPECT_EQ(facts.seals, 0);
}

TEST_F(FactsOfAFile, LookingDoesNotChangeIt) {
    const std::string path = directory_.write("image", std::string(10000, 'x'));
    const UniqueFd file = open(path);
    static_cast<void>(ask_file(file.get(), false));
    EXPECT_EQ(std::filesystem::file_size(path), 10000U);
    std::string text(10000, ' ');
    ASSERT_EQ(::pread(file.get(), text.data(), text.size(), 0), 10000);
    EXPECT_EQ(text, std::string(10000, 'x'));
}

TEST_F(FactsOfAFile, SealsOfAMemfdAreSeen) {
    const UniqueFd file{::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    ASSERT_EQ(::ftruncate(file.get(), 4096), 0);
    ASSERT_EQ(::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE), 0);
    EXPECT_TRUE(ask_file(file.get(), false).seals & F_SEAL_WRITE);
}

TEST_F(FactsOfAFile, RecordLocksOfOthersAreSeen) {
    const std::string path = directory_.create_file("image", 4096);
    const UniqueFd locker = open(path);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_start = 100;
    lock.l_len = 1;
    ASSERT_EQ(::fcntl(locker.get(), F_OFD_SETLK, &lock), 0);
    EXPECT_EQ(ask_file(open(path).get(), false).locked_by, 0);
    EXPECT_EQ(ask_file(open(path).get(), true).locked_by, 0);
    lock.l_type = F_RDLCK;
    ASSERT_EQ(::fcntl(locker.get(), F_OFD_SETLK, &lock), 0);
    EXPECT_EQ(ask_file(open(path).get(), true).locked_by, std::nullopt);
}

TEST_F(FactsOfAFile, WhatOnlyLooksLikeAFileIsSeen) {
    const UniqueFd file{::open("/sys/kernel/uevent_seqnum", O_RDONLY | O_CLOEXEC)};
    if (!file)
        GTEST_SKIP() << "no sysfs";
    EXPECT_FALSE(ask_file(file.get(), true).ends_where_it_says);
}

} // namespace
} // namespace ublk::targets
