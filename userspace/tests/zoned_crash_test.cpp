// SPDX-License-Identifier: GPL-2.0-or-later
// Cuts the power of a zoned disk in a file at every point of its life, with everything that a cache
// can do to what was not synced, and looks at the disk that is there afterwards.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/file_change.h"
#include "support/target_bench.h"
#include "support/temporary_directory.h"
#include "targets/zone_format.h"

namespace ublk::targets {
namespace {

constexpr std::uint64_t zone_size = 64 << 10;
constexpr unsigned zone_count = 4;
constexpr std::size_t unit = 4096;

using Bytes = std::vector<std::byte>;

// The block at some place of a zone after so many resets; all of them differ.
Bytes block_of(unsigned zone, unsigned resets, std::uint64_t at) {
    Bytes block(unit, std::byte{1});
    const std::uint64_t words[] = {zone, resets, at};
    std::memcpy(block.data(), words, sizeof words);
    return block;
}

struct ZoneModel {
    unsigned resets = 0;
    std::uint64_t written = 0;
    bool full = false;
};
using Model = std::array<ZoneModel, zone_count>;

// A change of the file that was under way, and what the disk's user could rely on then.
struct Change : test::FileChange {
    Model durable{}; // at least this, before the change
    Model begun{};   // at most this
};

class Crash : public testing::Test {
protected:
    Crash()
        : target_(*test::create_target(
              "zoned", {"file=" + path_, "size=256K", "zone-size=64K", "direct=no"})),
          bench_(*target_, 4, CopyMode::user) {
        bench_.report(0, 1);
        image_ = content();
        bench_.driver().observe([this](const io_uring_sqe& sqe) { record(sqe); });
    }

    Bytes content() const {
        Bytes bytes(std::filesystem::file_size(path_));
        std::ifstream file{path_, std::ios::binary};
        file.read(reinterpret_cast<char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
        return bytes;
    }

    void record(const io_uring_sqe& sqe) {
        if (!(sqe.flags & IOSQE_FIXED_FILE) || sqe.fd == Queue::char_device_file)
            return;
        auto done = test::change_by(sqe);
        if (!done)
            return;
        Change change{*std::move(done)};
        change.durable = durable_;
        change.begun = begun_;
        changes_.push_back(std::move(change));
    }

    // What the disk's user does.
    void write(unsigned zone, unsigned blocks, std::uint32_t flags = 0) {
        ZoneModel& model = model_[zone];
        for (unsigned i = 0; i < blocks; ++i) {
            const std::uint64_t at = model.written;
            begun_[zone].written = at + unit;
            const Bytes data = block_of(zone, model.resets, at);
            ASSERT_EQ(bench_.write(zone * zone_size + at, data, flags), static_cast<int>(unit));
            model.written += unit;
        }
        if (flags & UBLK_IO_F_FUA)
            durable_[zone] = model;
    }
    void flush() {
        ASSERT_EQ(bench_.flush(), 0);
        durable_ = model_;
    }
    void reset(unsigned zone) {
        begin_reset(zone);
        ASSERT_EQ(bench_.zone(UBLK_IO_OP_ZONE_RESET, zone * zone_size), 0);
        end_reset(zone);
    }
    void reset_all() {
        for (unsigned zone = 0; zone < zone_count; ++zone)
            begin_reset(zone);
        ASSERT_EQ(bench_.request({.op = UBLK_IO_OP_ZONE_RESET_ALL}), 0);
        for (unsigned zone = 0; zone < zone_count; ++zone)
            end_reset(zone);
    }
    void begin_reset(unsigned zone) { ++begun_[zone].resets; }
    void end_reset(unsigned zone) {
        model_[zone] = {.resets = begun_[zone].resets, .written = 0, .full = false};
        durable_[zone] = begun_[zone] = model_[zone];
    }
    void finish(unsigned zone) {
        begun_[zone].full = true;
        ASSERT_EQ(bench_.zone(UBLK_IO_OP_ZONE_FINISH, zone * zone_size), 0);
        model_[zone].full = true;
        durable_[zone] = model_[zone];
    }

    // Plays the changes and cuts the power before each.
    void crash_everywhere() {
        std::vector<const Change*> cached;
        for (const Change& change : changes_) {
            crash_with(cached, change);
            if (!change.sync) {
                cached.push_back(&change);
                continue;
            }
            for (const Change* synced : cached)
                apply(image_, *synced, synced->data.size());
            cached.clear();
        }
        Change end;
        end.durable = durable_;
        end.begun = begun_;
        crash_with(cached, end);
    }

    static void apply(Bytes& image, const Change& change, std::size_t length) {
        std::copy_n(change.data.begin(), length,
                    image.begin() + static_cast<std::ptrdiff_t>(change.offset));
    }

    // Of what is in the cache nothing, all, one thing, all but one thing, or half of one thing is
    // on the disk when the power goes.
    void crash_with(const std::vector<const Change*>& cached, const Change& now) {
        const auto crash_keeping = [&](auto&& length_of) {
            Bytes image = image_;
            for (std::size_t i = 0; i < cached.size(); ++i)
                apply(image, *cached[i], length_of(i));
            look_at(image, now);
        };
        const auto whole = [&](std::size_t i) { return cached[i]->data.size(); };
        crash_keeping([](std::size_t) { return std::size_t{0}; });
        crash_keeping(whole);
        for (std::size_t one = 0; one < cached.size(); ++one) {
            crash_keeping([&](std::size_t i) { return i == one ? whole(i) : 0; });
            crash_keeping([&](std::size_t i) { return i == one ? 0 : whole(i); });
            crash_keeping([&](std::size_t i) { return i == one ? 512 : whole(i); });
            crash_keeping([&](std::size_t i) { return i == one ? 512 : 0; });
        }
    }

    void look_at(const Bytes& image, const Change& now) {
        ++crashes_;
        const std::string copy = directory_.path("after");
        {
            std::ofstream file{copy, std::ios::binary | std::ios::trunc};
            file.write(reinterpret_cast<const char*>(image.data()),
                       static_cast<std::streamsize>(image.size()));
        }
        auto target =
            test::create_target("zoned", {"file=" + copy, "direct=no"}, {.read_only = true});
        ASSERT_TRUE(target) << target.error().message();
        test::TargetBench bench{**target, 4, CopyMode::user};
        const auto zones = bench.report(0, zone_count);
        ASSERT_EQ(zones.size(), zone_count);
        for (unsigned zone = 0; zone < zone_count; ++zone) {
            const bool full = zones[zone].cond == BLK_ZONE_COND_FULL;
            const std::uint64_t pointer = (zones[zone].wp - zones[zone].start) * 512;
            check_zone(bench, zone, full, pointer, now.durable[zone], now.begun[zone]);
        }
    }

    // Up to the pointer, or in a full zone up to the first zeroes, lie the data of one life of the
    // zone, at least as much of them as was promised; and nothing behind.
    static void check_zone(test::TargetBench& bench, unsigned zone, bool full,
                           std::uint64_t pointer, const ZoneModel& durable,
                           const ZoneModel& begun) {
        Bytes data(zone_size);
        ASSERT_EQ(bench.read(zone * zone_size, data), static_cast<int>(zone_size));
        const auto block_at = [&](std::uint64_t at) {
            const auto begin = data.begin() + static_cast<std::ptrdiff_t>(at);
            return Bytes{begin, begin + unit};
        };
        std::uint64_t resets = 0;
        if (pointer)
            std::memcpy(&resets, data.data() + 8, sizeof resets);
        std::uint64_t there = 0;
        while (there < pointer && block_at(there) == block_of(zone, resets, there))
            there += unit;
        ASSERT_TRUE(full || there == pointer) << "zone " << zone << " claims what was not written";
        for (std::uint64_t at = there; at < zone_size; at += unit)
            ASSERT_EQ(block_at(at), Bytes(unit)) << "zone " << zone;
        if (there == 0 && !full) {
            const bool was_empty = durable.written == 0 && !durable.full;
            EXPECT_TRUE(was_empty || begun.resets > durable.resets) << "zone " << zone;
            return;
        }
        EXPECT_GE(resets, durable.resets) << "zone " << zone << " was not reset";
        EXPECT_LE(resets, begun.resets);
        if (resets == durable.resets) {
            EXPECT_GE(there, durable.written) << "zone " << zone << " has lost data";
            EXPECT_TRUE(full || !durable.full) << "zone " << zone << " is no longer full";
        }
        EXPECT_TRUE(!full || begun.full || there == zone_size);
    }

    test::TemporaryDirectory directory_;
    std::string path_ = directory_.path("disk");
    std::unique_ptr<Target> target_;
    test::TargetBench bench_;
    Bytes image_; // what is on the disk, whatever happens
    std::vector<Change> changes_;
    Model model_{};   // after all that was answered
    Model durable_{}; // of that, what must survive
    Model begun_{};   // with what has not been answered yet
    unsigned crashes_ = 0;
};

TEST_F(Crash, BetweenWritesAndFlushes) {
    write(1, 3);
    write(2, 1);
    flush();
    write(1, 1);
    write(3, 2);
    flush();
    flush();
    write(1, 2);
    crash_everywhere();
    EXPECT_GT(crashes_, 50U);
}

TEST_F(Crash, AroundFuaWrites) {
    write(1, 2);
    write(2, 1, UBLK_IO_F_FUA);
    write(1, 1, UBLK_IO_F_FUA);
    write(1, 1);
    write(2, 2, UBLK_IO_F_FUA);
    crash_everywhere();
    EXPECT_GT(crashes_, 50U);
}

TEST_F(Crash, AroundResets) {
    write(1, 2);
    flush();
    reset(1);
    write(1, 3);
    write(2, 1);
    flush();
    write(1, 1);
    reset(1);
    reset(2);
    write(2, 2);
    write(1, 1);
    flush();
    reset_all();
    write(1, 2);
    write(2, 2);
    flush();
    crash_everywhere();
    EXPECT_GT(crashes_, 50U);
}

TEST_F(Crash, AroundFullZones) {
    write(0, 16);
    flush();
    write(1, 2);
    finish(1);
    write(2, 1);
    finish(3);
    reset(1);
    write(1, 1);
    finish(1);
    reset(0);
    write(0, 1);
    flush();
    crash_everywhere();
    EXPECT_GT(crashes_, 50U);
}

} // namespace
} // namespace ublk::targets
