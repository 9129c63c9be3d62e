// SPDX-License-Identifier: GPL-2.0-or-later
// A mirror in life: legs that fail in every way, come back, and are the same afterwards.
#include <cerrno>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/allocation_counter.h"
#include "support/mirror_bench.h"

namespace ublk::targets {
namespace {

using test::Bytes;
using test::data_of;
using test::hasty;
using test::leg_on;
using test::MirrorBench;
using test::pattern;
using test::try_mirror;
using testing::HasSubstr;

constexpr std::uint64_t data_size = 2 << 20;

class MirrorTest : public testing::Test {
protected:
    test::TemporaryDirectory directory_; // what follows is in it
    std::string a_ = directory_.create_file("a", test::mirror_data + data_size);
    std::string b_ = directory_.create_file("b", test::mirror_data + data_size);
    const std::vector<std::string> small_chunks_ = hasty({"chunk=64K"});

    std::vector<std::string> legs(const std::string& first = "", const std::string& second = "") {
        return {leg_on(a_, first), leg_on(b_, second)};
    }
    // A mirror that is in sync, and holds a pattern.
    void prepare() {
        MirrorBench mirror{legs(), small_chunks_};
        ASSERT_TRUE(mirror.wait_until_in_sync());
        ASSERT_EQ(mirror->write(0, pattern(65536, 1)), 65536);
        ASSERT_EQ(mirror->flush(), 0);
    }
    // As two vectors, of which nobody wants to see the bytes.
    void expect_same() { EXPECT_TRUE(data_of(a_) == data_of(b_)); }
};

class Mirror : public MirrorTest {};

Bytes read_at(MirrorBench& mirror, std::uint64_t offset, std::size_t length) {
    Bytes there(length);
    EXPECT_EQ(mirror->read(offset, there), static_cast<int>(length));
    return there;
}

TEST_F(Mirror, IsAsLargeAsTheSmallestLegWithoutWhatItNeeds) {
    const std::string larger = directory_.create_file("c", test::mirror_data + 2 * data_size);
    MirrorBench mirror{{leg_on(larger), leg_on(b_)}};
    EXPECT_EQ(mirror.target().geometry().size_bytes, data_size);
    EXPECT_TRUE(mirror.target().geometry().fua);
    EXPECT_EQ(mirror.target().data_access(), DataAccess::memory);
    EXPECT_EQ(mirror.target().persistence(), Persistence::backing);
    EXPECT_EQ(mirror.target().backings().size(), 2U);
}

TEST_F(Mirror, WritesToBothAndReadsBack) {
    {
        MirrorBench mirror{legs(), small_chunks_};
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror->write(4096, pattern(131072, 3)), 131072);
        EXPECT_EQ(read_at(mirror, 4096, 131072), pattern(131072, 3));
        EXPECT_EQ(mirror->write(data_size - 4096, pattern(4096, 4), UBLK_IO_F_FUA), 4096);
        EXPECT_EQ(mirror->write_zeroes(8192, 65536), 0);
        EXPECT_EQ(mirror->discard(0, data_size), 0);
        EXPECT_EQ(mirror->write(4096, pattern(131072, 5)), 131072);
        EXPECT_EQ(mirror->flush(), 0);
    }
    expect_same();
    const Bytes data = data_of(a_);
    EXPECT_EQ(Bytes(data.begin() + 4096, data.begin() + 4096 + 131072), pattern(131072, 5));
}

TEST_F(Mirror, CopiesTheFirstLegToANewOne) {
    prepare();
    const Bytes before = data_of(a_);
    const std::string fresh = directory_.create_file("fresh", test::mirror_data + data_size);
    {
        MirrorBench mirror{{leg_on(a_), leg_on(fresh)}, small_chunks_};
        EXPECT_EQ(mirror.standing(0), "in sync");
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror.standing(1), "in sync");
    }
    EXPECT_EQ(data_of(fresh), before);
}

TEST_F(Mirror, IsCleanAfterAnEndInOrder) {
    prepare();
    MirrorBench mirror{legs(), small_chunks_};
    EXPECT_EQ(mirror.metric("mirror", "dirty_bytes"), 0U);
    EXPECT_EQ(mirror.metric("mirror", "legs_in_sync"), 2U) << "nothing had to be copied";
}

TEST_F(Mirror, ForgetsWhatIsNoLongerUnderWay) {
    prepare();
    {
        MirrorBench mirror{legs(), hasty({"settle=3600s"})};
        EXPECT_EQ(mirror->write(0, pattern(4096, 9)), 4096);
        EXPECT_EQ(mirror.metric("mirror", "dirty_bytes"), 65536U);
        EXPECT_EQ(mirror->write(65536, pattern(4096, 9)), 4096);
        EXPECT_EQ(mirror.metric("mirror", "dirty_bytes"), 131072U);
    }
    MirrorBench mirror{legs(), small_chunks_};
    EXPECT_EQ(mirror.metric("mirror", "dirty_bytes"), 0U) << "at the end in any case";
    EXPECT_EQ(mirror->write(0, pattern(4096, 9)), 4096);
    EXPECT_TRUE(mirror.wait_until_clean());
}

TEST_F(Mirror, ReadsFromTheLegWithTheLeastToDo) {
    prepare();
    MirrorBench mirror{legs("delay:read=1us", "delay:read=1us"), small_chunks_};
    for (unsigned tag = 0; tag < 4; ++tag)
        mirror->submit(tag, {.op = UBLK_IO_OP_READ, .sector = tag * 8, .sectors = 8});
    mirror->finish_all();
    EXPECT_EQ(mirror.metric("mirror/0", "reads"), 2U);
    EXPECT_EQ(mirror.metric("mirror/1", "reads"), 2U);
}

TEST_F(Mirror, AllocatesNothingPerRequest) {
    prepare();
    MirrorBench mirror{legs("delay:read=1us"), hasty({"settle=3600s"})};
    Bytes there(4096);
    mirror->write(0, there);
    mirror->read(0, there);
    mirror->flush();
    const auto many = [&](auto&& request) {
        const std::uint64_t before = test::heap_allocations();
        for (int i = 0; i < 100; ++i)
            request();
        return test::heap_allocations() - before;
    };
    EXPECT_EQ(many([&] { mirror->read(0, there); }), 0U);
    EXPECT_EQ(many([&] { mirror->request({.op = UBLK_IO_OP_WRITE, .sectors = 8}); }), 0U);
    EXPECT_EQ(many([&] { mirror->flush(); }), 0U);
    for (unsigned tag = 0; tag < 4; ++tag)
        mirror->submit(tag, {.op = UBLK_IO_OP_WRITE, .sector = tag * 8, .sectors = 8});
    mirror->finish_all();
    EXPECT_EQ(mirror->queue().statistics().frame_heap_allocations, 0U);
}

// What fails, and how.
struct Failure {
    std::string filter;
    bool leaves; // the leg
    std::string what;
};
void PrintTo(const Failure& failure, std::ostream* stream) { *stream << failure.what; }

class EveryFailure : public MirrorTest,
                     public testing::WithParamInterface<std::tuple<int, Failure>> {};

TEST_P(EveryFailure, IsNotSeenByUsersAndMended) {
    const auto& [leg, failure] = GetParam();
    prepare();
    {
        // The filter is turned on when the mirror stands.
        const std::string quiet = "error:count=0";
        MirrorBench mirror{leg == 0 ? legs(quiet) : legs("", quiet), small_chunks_};
        std::vector<std::string> words;
        if (failure.filter.find("count") == std::string::npos)
            words.emplace_back("count=");
        std::istringstream parts{failure.filter};
        for (std::string word; std::getline(parts, word, ',');)
            words.push_back(word);
        ASSERT_TRUE(mirror.command(std::to_string(leg) + "/error", words));
        for (int round = 0; round < 4; ++round) {
            const auto data = pattern(16384, static_cast<unsigned>(round + 7));
            EXPECT_EQ(mirror->write(0, data), 16384) << failure.what;
            EXPECT_EQ(read_at(mirror, 0, 16384), data);
            EXPECT_EQ(mirror->write(900 << 10, data, UBLK_IO_F_FUA), 16384);
            EXPECT_EQ(mirror->write_zeroes(128 << 10, 65536), 0);
            EXPECT_EQ(mirror->flush(), 0);
            // One after the other is read from either leg.
            mirror->submit(0, {.op = UBLK_IO_OP_READ, .sectors = 8});
            mirror->submit(1, {.op = UBLK_IO_OP_READ, .sectors = 8});
            mirror->finish_all();
            EXPECT_EQ(mirror->result(0), 4096);
            EXPECT_EQ(mirror->result(1), 4096);
        }
        EXPECT_EQ(mirror.standing(static_cast<unsigned>(leg)) == "out", failure.leaves);
        EXPECT_EQ(mirror.standing(1 - static_cast<unsigned>(leg)), "in sync");
        // Back, with a filter that lets everything through.
        ASSERT_TRUE(mirror.command(std::to_string(leg) + "/error", {"count=0"}));
        if (failure.leaves) {
            ASSERT_TRUE(mirror.command("rejoin", {std::to_string(leg)}));
        }
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror.metric("mirror", "legs_in_sync"), 2U);
        EXPECT_TRUE(mirror.wait_until_clean());
    }
    expect_same();
}

INSTANTIATE_TEST_SUITE_P(
    Mirror, EveryFailure,
    testing::Combine(testing::Values(0, 1),
                     testing::Values(Failure{"op=write", true, "all writes"},
                                     Failure{"op=write,count=1", true, "one write"},
                                     Failure{"op=flush", true, "flushes"},
                                     Failure{"op=write_zeroes", true, "zeroes"},
                                     Failure{"op=read+write", true, "reads and writes"},
                                     Failure{"percent=100", true, "everything"},
                                     Failure{"op=write,from=1900K", true, "some writes"})));

TEST_F(Mirror, RepairsWhatOneLegCannotRead) {
    prepare();
    MirrorBench mirror{legs("error:count=0"), small_chunks_};
    ASSERT_TRUE(mirror.command("0/error", {"op=read", "count=1"}));
    EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
    EXPECT_EQ(mirror.metric("mirror/0", "repaired_reads"), 1U);
    EXPECT_EQ(mirror.standing(0), "in sync");
    EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
}

TEST_F(Mirror, LeavesALegThatCannotBeRepaired) {
    prepare();
    MirrorBench mirror{legs("error:count=0"), small_chunks_};
    ASSERT_TRUE(mirror.command("0/error", {"op=read", "count="}));
    EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
    EXPECT_EQ(mirror.standing(0), "out");
    EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
}

// It has lost more than what is read, and looks whole again as soon as somebody writes at its end.
TEST_F(Mirror, LeavesALegThatHasBecomeShorterAndCopiesEverythingToIt) {
    prepare();
    {
        MirrorBench mirror{legs(), small_chunks_};
        EXPECT_EQ(mirror->write(data_size - 65536, pattern(65536, 6)), 65536);
        ASSERT_TRUE(mirror.wait_until_clean());
        ASSERT_EQ(::truncate(a_.c_str(), test::mirror_data + 4096), 0);
        EXPECT_EQ(read_at(mirror, data_size - 65536, 65536), pattern(65536, 6));
        EXPECT_EQ(mirror.standing(0), "out");
        EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
        ASSERT_EQ(::truncate(a_.c_str(), test::mirror_data + data_size), 0);
    }
    {
        MirrorBench mirror{legs(), small_chunks_};
        EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror.metric("mirror", "resynced_bytes"), data_size);
    }
    expect_same();
}

TEST_F(Mirror, FlushesWhatHasACacheAndGoesOnWithWhatHasNone) {
    // Nobody else is to flush it.
    MirrorBench mirror{{leg_on(a_, "error:count=0"), "ram size=3M"}, hasty({"settle=3600s"})};
    ASSERT_TRUE(mirror.wait_until_in_sync());
    ASSERT_TRUE(mirror.command("0/error", {"op=flush", "count="}));
    EXPECT_EQ(mirror->flush(), 0);
    EXPECT_EQ(mirror.standing(0), "out");
    EXPECT_EQ(mirror.standing(1), "in sync");
}

TEST_F(Mirror, EndsWhenItCannotBegin) {
    prepare();
    EXPECT_TRUE(try_mirror(legs()));
    EXPECT_FALSE(try_mirror(legs("error:op=write", "error:op=write")));
    EXPECT_FALSE(try_mirror(legs("error:op=read")));
    EXPECT_TRUE(try_mirror(legs("readonly"))) << "which is then read-only";
    EXPECT_TRUE(try_mirror(legs("error:op=read"), {}, {.size_bytes = data_size}))
        << "a disk that was there goes on";
    EXPECT_TRUE(try_mirror(legs()));
}

TEST_F(Mirror, TellsUsersOfErrorsWhenNoLegIsLeft) {
    prepare();
    MirrorBench mirror{legs("error:count=0", "error:count=0"), small_chunks_};
    ASSERT_TRUE(mirror.command("0/error", {"op=write+read", "count="}));
    ASSERT_TRUE(mirror.command("1/error", {"op=write+read", "count="}));
    EXPECT_EQ(mirror->write(0, pattern(4096, 2)), -EIO);
    Bytes there(4096);
    EXPECT_EQ(mirror->read(0, there), -EIO);
    ASSERT_TRUE(mirror.command("0/error", {"count=0"}));
    ASSERT_TRUE(mirror.command("1/error", {"count=0"}));
    EXPECT_EQ(mirror->write(0, pattern(4096, 2)), 4096) << "the last one is never left";
    EXPECT_EQ(mirror.metric("mirror", "legs_in_sync"), 1U);
    EXPECT_EQ(read_at(mirror, 0, 4096), pattern(4096, 2));
}

TEST_F(Mirror, IsFailedAndRejoinedByHand) {
    prepare();
    {
        MirrorBench mirror{legs(), small_chunks_};
        ASSERT_TRUE(mirror.command("fail", {"0"}));
        EXPECT_EQ(mirror.standing(0), "out");
        EXPECT_FALSE(mirror.command("fail", {"0"})) << "twice";
        EXPECT_FALSE(mirror.command("fail", {"1"})) << "the last";
        EXPECT_FALSE(mirror.command("fail", {"2"}));
        EXPECT_FALSE(mirror.command("heal", {"0"}));
        EXPECT_EQ(mirror->write(65536, pattern(65536, 6)), 65536);
        EXPECT_NE(data_of(a_), data_of(b_));
        ASSERT_TRUE(mirror.command("rejoin", {"0"}));
        EXPECT_FALSE(mirror.command("rejoin", {"1"}));
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror.metric("mirror", "resynced_bytes"), 65536U) << "only what differs";
        EXPECT_EQ(mirror.standing(0), "in sync");
    }
    expect_same();
}

// While a leg catches up, users write everywhere.
TEST_F(Mirror, NeverOverwritesWhatIsNewer) {
    prepare();
    const Bytes noise = pattern(8192, 99);
    {
        MirrorBench mirror{legs("", "delay:write=50us"), small_chunks_};
        ASSERT_TRUE(mirror.command("fail", {"1"}));
        for (std::uint64_t at = 0; at < data_size; at += 65536)
            ASSERT_EQ(mirror->write(at, pattern(65536, static_cast<unsigned>(at >> 16))), 65536);
        ASSERT_TRUE(mirror.command("rejoin", {"1"}));
        std::uint64_t at = 0;
        while (mirror.metric("mirror", "legs_syncing") != 0) {
            at = (at + 81920) % data_size / 8192 * 8192;
            for (unsigned tag = 0; tag < 4; ++tag) {
                mirror->driver().pages(0, tag) = noise;
                mirror->submit(tag, {.op = UBLK_IO_OP_WRITE,
                                     .sector = (at + tag * 262144) % data_size / 512,
                                     .sectors = 16});
            }
            mirror->finish_all();
            for (unsigned tag = 0; tag < 4; ++tag)
                ASSERT_EQ(mirror->result(tag), 8192);
        }
        EXPECT_EQ(mirror.metric("mirror", "legs_in_sync"), 2U);
    }
    expect_same();
}

TEST_F(Mirror, IsNotReadFromALegThatIsStale) {
    prepare();
    {
        MirrorBench mirror{legs("error:count=0"), small_chunks_};
        ASSERT_TRUE(mirror.command("0/error", {"op=write", "count="}));
        EXPECT_EQ(mirror->write(0, pattern(65536, 8)), 65536);
        for (int i = 0; i < 10; ++i)
            EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 8));
    }
    {
        MirrorBench mirror{legs("error:op=write"), hasty(), {.size_bytes = data_size}};
        for (int i = 0; i < 10; ++i)
            EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 8));
        EXPECT_EQ(mirror.standing(0), "out") << "it could not catch up";
    }
    {
        MirrorBench mirror{legs(), hasty()};
        EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 8));
        ASSERT_TRUE(mirror.wait_until_in_sync());
    }
    expect_same();
}

TEST_F(Mirror, GoesOnWithoutALegThatIsMissing) {
    prepare();
    {
        MirrorBench mirror{{leg_on(a_), "missing"}, small_chunks_};
        EXPECT_EQ(mirror.standing(1), "missing");
        EXPECT_EQ(mirror->write(0, pattern(65536, 4)), 65536);
        EXPECT_FALSE(mirror.command("rejoin", {"1"}));
    }
    {
        MirrorBench mirror{legs(), small_chunks_};
        EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 4));
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror.metric("mirror", "resynced_bytes"), 65536U);
    }
    expect_same();
}

TEST_F(Mirror, RecoversADiskOfWhichALegHasGone) {
    prepare();
    ::unlink(b_.c_str());
    EXPECT_FALSE(try_mirror(legs())) << "a new disk has all its legs";
    MirrorBench mirror{legs(), small_chunks_, {.size_bytes = data_size}};
    EXPECT_EQ(mirror.standing(1), "missing");
    EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
}

TEST_F(Mirror, RefusesLegsThatWereUsedWithoutEachOther) {
    prepare();
    for (const auto& [children, seed] :
         {std::pair{std::vector<std::string>{leg_on(a_), "missing"}, 20U},
          std::pair{std::vector<std::string>{"missing", leg_on(b_)}, 21U}}) {
        MirrorBench mirror{children, small_chunks_};
        EXPECT_EQ(mirror->write(0, pattern(65536, seed)), 65536);
    }
    const Bytes before = data_of(a_);
    const auto refused = try_mirror(legs());
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("without the other"));
    EXPECT_THAT(refused.error().message(), HasSubstr("keep=0 or keep=1"));
    EXPECT_EQ(data_of(a_), before);
    {
        MirrorBench mirror{legs(), hasty({"keep=1"})};
        EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 21));
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror->write(0, pattern(65536, 22)), 65536);
        ASSERT_TRUE(mirror.command("fail", {"1"}));
        EXPECT_EQ(mirror->write(65536, pattern(65536, 23)), 65536);
    }
    MirrorBench mirror{legs(), hasty({"keep=1"})};
    EXPECT_EQ(read_at(mirror, 65536, 65536), pattern(65536, 23)) << "they agree now";
    ASSERT_TRUE(mirror.wait_until_in_sync());
}

TEST_F(Mirror, RefusesWhatIsNoLeg) {
    {
        const Bytes noise = pattern(4096, 5);
        std::fstream file{b_, std::ios::binary | std::ios::in | std::ios::out};
        file.seekp(300 << 10);
        file.write(reinterpret_cast<const char*>(noise.data()), 4096);
    }
    const auto other = try_mirror(legs());
    ASSERT_FALSE(other);
    EXPECT_THAT(other.error().message(), HasSubstr("child 1"));
    EXPECT_THAT(other.error().message(), HasSubstr("wipe it"));
    const auto one = try_mirror({leg_on(a_)});
    ASSERT_FALSE(one);
    EXPECT_THAT(one.error().message(), HasSubstr("--child"));
    EXPECT_FALSE(try_mirror({"missing", "missing"}));
    const auto none = try_mirror({leg_on(a_), leg_on("/nowhere")});
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message(), HasSubstr("mirror: child 1: loop: "));
    EXPECT_FALSE(try_mirror({leg_on(a_), "zoned size=4M zone-size=64K"}));
    const std::string tiny = directory_.create_file("tiny", 1 << 20);
    EXPECT_FALSE(try_mirror({leg_on(a_), leg_on(tiny)}));
    for (const char* option : {"chunk=65K", "chunk=4K", "keep=2", "resync-rate=0"})
        EXPECT_FALSE(try_mirror(legs(), {option})) << option;
}

TEST_F(Mirror, RefusesLegsInAnotherOrderOrOfAnotherMirror) {
    prepare();
    const auto swapped = try_mirror({leg_on(b_), leg_on(a_)});
    ASSERT_FALSE(swapped);
    EXPECT_THAT(swapped.error().message(), HasSubstr("order"));
    const std::string c = directory_.create_file("c", test::mirror_data + data_size);
    const std::string d = directory_.create_file("d", test::mirror_data + data_size);
    ASSERT_TRUE(try_mirror({leg_on(c), leg_on(d)}));
    const auto foreign = try_mirror({leg_on(a_), leg_on(d)});
    ASSERT_FALSE(foreign);
    EXPECT_THAT(foreign.error().message(), HasSubstr("another mirror"));
}

TEST_F(Mirror, IsOnlyLookedAtWhenReadOnly) {
    prepare();
    const Bytes before = test::content_of(a_);
    {
        MirrorBench mirror{legs(), {}, {.read_only = true}};
        EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
        EXPECT_EQ(mirror->write(0, pattern(4096, 1)), -EROFS);
    }
    EXPECT_EQ(test::content_of(a_), before);
    const std::string c = directory_.create_file("c", test::mirror_data + data_size);
    const std::string d = directory_.create_file("d", test::mirror_data + data_size);
    EXPECT_FALSE(try_mirror({leg_on(c), leg_on(d)}, {}, {.read_only = true}));
}

TEST_F(Mirror, StandsOnMemoryAndAFile) {
    MirrorBench mirror{{leg_on(a_), "ram size=3M"}, small_chunks_};
    EXPECT_EQ(mirror.target().persistence(), Persistence::process);
    ASSERT_TRUE(mirror.wait_until_in_sync());
    EXPECT_EQ(mirror->write(0, pattern(65536, 2)), 65536);
    ASSERT_TRUE(mirror.command("fail", {"0"}));
    EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 2)) << "from the memory";
}

TEST_F(Mirror, HasThreeLegs) {
    const std::string c = directory_.create_file("c", test::mirror_data + data_size);
    const std::vector<std::string> children{leg_on(a_, "error:count=0"), leg_on(b_), leg_on(c)};
    {
        MirrorBench mirror{children, small_chunks_};
        ASSERT_TRUE(mirror.wait_until_in_sync());
        ASSERT_TRUE(mirror.command("0/error", {"op=write", "count="}));
        EXPECT_EQ(mirror->write(0, pattern(65536, 2)), 65536);
        EXPECT_EQ(mirror.metric("mirror", "legs_in_sync"), 2U);
        ASSERT_TRUE(mirror.command("fail", {"2"}));
        EXPECT_EQ(mirror->write(65536, pattern(65536, 3)), 65536);
        ASSERT_TRUE(mirror.command("0/error", {"count=0"}));
        ASSERT_TRUE(mirror.command("rejoin", {"2"}));
        ASSERT_TRUE(mirror.command("rejoin", {"0"}));
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror.metric("mirror", "legs_in_sync"), 3U);
    }
    expect_same();
    EXPECT_EQ(data_of(a_), data_of(c));
}

TEST_F(Mirror, KnowsALaterLegOfADroppedNumberForANewOne) {
    const std::string c = directory_.create_file("c", test::mirror_data + data_size);
    {
        MirrorBench mirror{{leg_on(a_), leg_on(b_), leg_on(c)}, small_chunks_};
        ASSERT_TRUE(mirror.wait_until_in_sync());
    }
    {
        MirrorBench mirror{legs(), small_chunks_};
        EXPECT_EQ(mirror->write(0, pattern(65536, 9)), 65536);
        EXPECT_TRUE(mirror.wait_until_clean()) << "nobody keeps bits for the third";
    }
    {
        MirrorBench mirror{{leg_on(a_), leg_on(b_), leg_on(c)}, small_chunks_};
        ASSERT_TRUE(mirror.wait_until_in_sync());
    }
    EXPECT_EQ(data_of(a_), data_of(c));
}

TEST_F(Mirror, GrowsWithItsLegsWhenItIsMadeAgain) {
    prepare();
    for (const std::string& path : {a_, b_})
        ASSERT_EQ(::truncate(path.c_str(), test::mirror_data + 2 * data_size), 0);
    {
        MirrorBench mirror{legs(), hasty()};
        EXPECT_EQ(mirror.target().geometry().size_bytes, 2 * data_size);
        EXPECT_EQ(read_at(mirror, 0, 65536), pattern(65536, 1));
        ASSERT_TRUE(mirror.wait_until_in_sync());
        EXPECT_EQ(mirror.metric("mirror", "resynced_bytes"), data_size) << "what nobody knew";
        EXPECT_FALSE(mirror.target().resize(1 << 20));
    }
    for (const std::string& path : {a_, b_})
        ASSERT_EQ(::truncate(path.c_str(), test::mirror_data + data_size), 0);
    const auto shorter = try_mirror(legs());
    ASSERT_FALSE(shorter);
    EXPECT_THAT(shorter.error().message(), HasSubstr("no room"));
    MirrorBench recovered{{leg_on(directory_.create_file("c", 8 << 20)), "ram size=8M"},
                          hasty(),
                          {.size_bytes = data_size}};
    EXPECT_EQ(recovered.target().geometry().size_bytes, data_size) << "that of the disk";
}

} // namespace
} // namespace ublk::targets
