// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets/nbd_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ublk::targets::nbd {
namespace {

using testing::HasSubstr;

Export capable() {
    Export offered;
    offered.size = 1 << 20;
    offered.flush = offered.fua = offered.trim = offered.zero = offered.multi_conn = true;
    return offered;
}

TEST(NbdExport, AbilitiesAreThoseOfTheDisk) {
    const Geometry all = *geometry_of(capable(), Cache::writeback, {});
    EXPECT_EQ(all.size_bytes, 1U << 20);
    EXPECT_EQ(all.logical_block_size, 512U);
    EXPECT_TRUE(all.volatile_cache && all.fua);
    EXPECT_NE(all.discard.max_bytes, 0U);
    EXPECT_NE(all.max_write_zeroes_bytes, 0U);

    Export few;
    few.size = 1 << 20;
    few.fua = true; // means nothing without a cache
    const Geometry none = *geometry_of(few, Cache::writeback, {});
    EXPECT_FALSE(none.volatile_cache || none.fua);
    EXPECT_EQ(none.discard.max_bytes, 0U);
    EXPECT_EQ(none.max_write_zeroes_bytes, 0U);
}

TEST(NbdExport, BlockSizesAreTakenOver) {
    Export offered = capable();
    offered.minimum = 4096;
    offered.preferred = 65536;
    offered.maximum = 128 << 10;
    const Geometry geometry = *geometry_of(offered, Cache::writeback, {});
    EXPECT_EQ(geometry.logical_block_size, 4096U);
    EXPECT_EQ(geometry.io_min, 65536U);
    EXPECT_EQ(geometry.io_opt, 65536U);
    EXPECT_EQ(geometry.max_io_bytes, 128U << 10);
    EXPECT_FALSE(geometry_of(offered, Cache::writeback, {.logical_block_size = 512}));
    offered.minimum = 8192;
    EXPECT_EQ(geometry_of(offered, Cache::writeback, {}).error().kind, ErrorKind::backend);
}

TEST(NbdExport, MaximumBelowAPageIsSplitTo) {
    Export offered = capable();
    offered.maximum = 1500;
    EXPECT_EQ(offered.longest_transfer(), 1024U);
    EXPECT_EQ(geometry_of(offered, Cache::writeback, {})->max_io_bytes, 4096U);
}

TEST(NbdExport, IsReadOnlyIfItOrTheUserSaysSo) {
    Export offered = capable();
    EXPECT_TRUE(geometry_of(offered, Cache::writeback, {.read_only = true})->read_only);
    offered.read_only = true;
    const Geometry geometry = *geometry_of(offered, Cache::writeback, {});
    EXPECT_TRUE(geometry.read_only);
    EXPECT_FALSE(geometry.volatile_cache);
    EXPECT_EQ(geometry.discard.max_bytes, 0U);
    EXPECT_EQ(remarks_on(offered, false).size(), 1U);
    EXPECT_TRUE(remarks_on(offered, true).empty());
}

TEST(NbdExport, WritethroughNeedsFua) {
    EXPECT_FALSE(geometry_of(capable(), Cache::writethrough, {})->volatile_cache);
    Export offered = capable();
    offered.fua = false;
    EXPECT_THAT(geometry_of(offered, Cache::writethrough, {}).error().message(), HasSubstr("FUA"));
}

TEST(NbdExport, OddSizesAreRefused) {
    Export offered = capable();
    offered.size = 1000;
    EXPECT_THAT(geometry_of(offered, Cache::writeback, {}).error().message(), HasSubstr("1000"));
    offered.size = 0;
    EXPECT_FALSE(geometry_of(offered, Cache::writeback, {}));
    EXPECT_EQ(geometry_of(capable(), Cache::writeback, {.size_bytes = 2 << 20}).error().code,
              ENODATA);
}

TEST(NbdExport, OnlyOneThatCanDoTheSameStandsIn) {
    const Export before = capable();
    EXPECT_EQ(refusal(before, before, before.size), "");
    const auto changed = [&](auto&& change) {
        Export now = before;
        change(now);
        return refusal(before, now, before.size);
    };
    EXPECT_EQ(changed([](Export& now) { now.size *= 2; }), "");
    EXPECT_THAT(changed([](Export& now) { now.size -= 512; }), HasSubstr("1048064 bytes"));
    EXPECT_THAT(changed([](Export& now) { now.read_only = true; }), HasSubstr("read-only"));
    EXPECT_THAT(changed([](Export& now) { now.name = "b"; }), HasSubstr("another export"));
    EXPECT_THAT(changed([](Export& now) { now.description = "b"; }), HasSubstr("another export"));
    EXPECT_THAT(changed([](Export& now) { now.minimum = 4096; }), HasSubstr("4096"));
    EXPECT_THAT(changed([](Export& now) { now.maximum = 4096; }), HasSubstr("4096"));
    EXPECT_THAT(changed([](Export& now) { now.flush = false; }), HasSubstr("flush"));
    EXPECT_THAT(changed([](Export& now) { now.multi_conn = false; }), HasSubstr("several"));
}

} // namespace
} // namespace ublk::targets::nbd
