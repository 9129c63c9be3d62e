// SPDX-License-Identifier: GPL-2.0-or-later
#include "targets/mirror_format.h"

#include <cerrno>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "targets/mirror_plan.h"

namespace ublk::targets {
namespace {

using mirror_format::LegState;
using mirror_format::Superblock;
using testing::HasSubstr;
using Kind = FoundLeg::Kind;

const Superblock known{.uuid = {1, 2, 3},
                       .events = 7,
                       .size = 1 << 30,
                       .chunk = 1 << 20,
                       .leg = 1,
                       .legs = {LegState::in_sync, LegState::in_sync}};

TEST(MirrorFormat, GivesBackASuperblock) {
    EXPECT_EQ(*mirror_format::decode(mirror_format::encode(known)), known);
}

TEST(MirrorFormat, HasThePlacesThatAreDocumented) {
    const auto block = mirror_format::encode(known);
    EXPECT_EQ(std::memcmp(block.data(), "UBLKMIRR", 8), 0);
    EXPECT_EQ(block[8], std::byte{1});
    EXPECT_EQ(block[16], std::byte{1}) << "UUID";
    EXPECT_EQ(block[32], std::byte{7}) << "events";
    EXPECT_EQ(block[64], std::byte{1}) << "leg";
    EXPECT_EQ(block[72], std::byte{1}) << "states";
    EXPECT_NE(mirror_format::place_of_superblock(7), mirror_format::place_of_superblock(8));
    EXPECT_EQ(mirror_format::place_of_bitmap(2), (64U << 10) + 8192);
}

TEST(MirrorFormat, SeesDamageEverywhere) {
    const auto good = mirror_format::encode(known);
    for (std::size_t place = 0; place < good.size(); place += 7) {
        auto bad = good;
        bad[place] ^= std::byte{0x10};
        EXPECT_FALSE(mirror_format::decode(bad)) << place;
    }
    auto later = good;
    later[8] = std::byte{2};
    EXPECT_EQ(mirror_format::decode(later).error().code, EPROTONOSUPPORT);
    EXPECT_EQ(mirror_format::decode({}).error().code, EMEDIUMTYPE);
}

TEST(MirrorFormat, TakesADamagedBitmapForOneThatIsFull) {
    mirror_format::Bits bits{};
    bits[5] = 0x21;
    const auto block = mirror_format::encode_bitmap(known.uuid, 3, bits);
    EXPECT_EQ(mirror_format::decode_bitmap(known.uuid, 3, block), bits);
    mirror_format::Bits full;
    full.fill(0xff);
    EXPECT_EQ(mirror_format::decode_bitmap(known.uuid, 2, block), full) << "of another place";
    EXPECT_EQ(mirror_format::decode_bitmap({9}, 3, block), full) << "of another mirror";
    EXPECT_EQ(mirror_format::decode_bitmap(known.uuid, 3, {}), full) << "never written";
    auto torn = block;
    torn[5] = std::byte{};
    EXPECT_EQ(mirror_format::decode_bitmap(known.uuid, 3, torn), full);
}

TEST(MirrorFormat, ChoosesChunksThatOneBlockHasBitsFor) {
    EXPECT_EQ(usual_chunk(1 << 20), 1U << 20);
    EXPECT_EQ(usual_chunk(std::uint64_t{1} << 40), 64U << 20);
    for (const std::uint64_t size : {std::uint64_t{1} << 35, (std::uint64_t{1} << 50) - 512})
        EXPECT_LE((size - 1) / usual_chunk(size), mirror_format::bits_per_block);
}

FoundLeg member(unsigned leg, std::uint64_t events, LegState first, LegState second) {
    Superblock superblock = known;
    superblock.leg = leg;
    superblock.events = events;
    superblock.legs = {first, second};
    return {.kind = Kind::member, .superblock = superblock};
}

constexpr auto good = LegState::in_sync;
constexpr auto out = LegState::out;
constexpr auto behind = LegState::syncing;

Result<MirrorPlan> plan(const std::vector<FoundLeg>& legs, MirrorWish wish = {}) {
    wish.size = known.size;
    return plan_mirror(legs, wish, {5});
}

void expect_plan(const Result<MirrorPlan>& made, LegState first, LegState second,
                 unsigned bitmaps_of) {
    ASSERT_TRUE(made) << made.error().message();
    EXPECT_EQ(made->superblock.legs[0], first);
    EXPECT_EQ(made->superblock.legs[1], second);
    EXPECT_EQ(made->bitmaps_of, bitmaps_of);
}

TEST(MirrorPlan, BelievesTheLegWithTheMostEvents) {
    expect_plan(plan({member(0, 7, good, good), member(1, 7, good, good)}), good, good, 3);
    expect_plan(plan({member(0, 7, good, good), member(1, 8, good, good)}), good, good, 3);
    expect_plan(plan({member(0, 9, good, out), member(1, 8, good, good)}), good, behind, 1);
    expect_plan(plan({member(0, 7, good, good), member(1, 8, out, good)}), behind, good, 2);
    expect_plan(plan({member(0, 9, good, behind), member(1, 9, good, behind)}), good, behind, 1);
    expect_plan(plan({member(0, 9, good, behind), member(1, 10, good, good)}), good, good, 3);
    EXPECT_EQ(plan({member(0, 7, good, good), member(1, 9, good, good)})->superblock.events, 10U);
}

TEST(MirrorPlan, DoesWithoutWhatIsMissing) {
    expect_plan(plan({member(0, 7, good, good), {}}), good, out, 1);
    expect_plan(plan({{}, member(1, 7, out, good)}), out, good, 2);
    const auto stale = plan({{}, member(1, 7, good, out)});
    ASSERT_FALSE(stale) << "the other one has had all data since";
    EXPECT_THAT(stale.error().message(), HasSubstr("child 0 had them last"));
    expect_plan(plan({{}, member(1, 7, good, out)}, {.keep = 1}), out, good, 0);
    EXPECT_FALSE(plan({{}, member(1, 7, good, behind)}));
    EXPECT_FALSE(plan({{}, {}}));
}

TEST(MirrorPlan, CopiesEverythingToWhatIsNew) {
    expect_plan(plan({member(0, 7, good, good), {.kind = Kind::blank}}), good, behind, 0);
    expect_plan(plan({{.kind = Kind::blank}, member(1, 7, out, good)}), behind, good, 0);
    const auto fresh = plan({{.kind = Kind::blank}, {.kind = Kind::blank}});
    expect_plan(fresh, good, behind, 0);
    EXPECT_TRUE(fresh->is_new);
    EXPECT_EQ(fresh->superblock.uuid[0], 5);
    // Half a making: the first has its superblock already.
    expect_plan(plan({member(0, 1, good, behind), {.kind = Kind::blank}}), good, behind, 0);
}

TEST(MirrorPlan, RefusesToGuess) {
    EXPECT_FALSE(plan({member(0, 9, good, out), member(1, 8, out, good)}));
    EXPECT_FALSE(plan({member(0, 8, good, out), member(1, 8, out, good)}));
    EXPECT_FALSE(plan({member(0, 9, good, good), {.kind = Kind::other}}));
    EXPECT_FALSE(plan({{.kind = Kind::other}, {.kind = Kind::blank}}));
    EXPECT_FALSE(plan({{.kind = Kind::other}, {.kind = Kind::blank}}, {.keep = 0}));
    FoundLeg foreign = member(1, 9, good, good);
    foreign.superblock.uuid = {9};
    EXPECT_FALSE(plan({member(0, 8, good, good), foreign}));
    EXPECT_FALSE(plan({member(1, 8, good, good), member(0, 8, good, good)})) << "swapped";
}

TEST(MirrorPlan, KeepsTheLegThatTheUserSays) {
    const std::vector<FoundLeg> split{member(0, 9, good, out), member(1, 8, out, good)};
    expect_plan(plan(split, {.keep = 0}), good, behind, 0);
    expect_plan(plan(split, {.keep = 1}), behind, good, 0);
    EXPECT_EQ(plan(split, {.keep = 1})->superblock.events, 10U) << "more than either had";
    expect_plan(plan({member(0, 9, good, good), {.kind = Kind::other}}, {.keep = 0}), good, behind,
                0);
    EXPECT_FALSE(plan(split, {.keep = 0, .read_only = true}));
    // It decides nothing that need not be decided.
    expect_plan(plan({member(0, 9, good, out), member(1, 8, good, good)}, {.keep = 1}), good,
                behind, 1);
}

TEST(MirrorPlan, RefusesALayoutThatDoesNotFit) {
    const std::vector<FoundLeg> legs{member(0, 7, good, good), member(1, 7, good, good)};
    EXPECT_FALSE(plan_mirror(legs, {.size = known.size - 512}, {}));
    EXPECT_FALSE(plan_mirror(legs, {.size = known.size, .chunk = 1 << 21}, {}));
    const auto larger = plan_mirror(legs, {.size = 2 * known.size}, {});
    ASSERT_TRUE(larger);
    EXPECT_EQ(larger->known_size, known.size);
    EXPECT_FALSE(plan_mirror(legs, {.size = std::uint64_t{1} << 60}, {}));
}

} // namespace
} // namespace ublk::targets
