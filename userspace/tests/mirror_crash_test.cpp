// SPDX-License-Identifier: GPL-2.0-or-later
// Cuts the power of a mirror at every point of its life, with everything that the caches of its
// legs can do to what was not synced, and looks at the mirror that is there afterwards.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ublk/unique_fd.h>

#include "support/file_change.h"
#include "support/mirror_bench.h"

namespace ublk::targets {
namespace {

using test::Bytes;
using test::hasty;
using test::leg_on;
using test::MirrorBench;

constexpr std::size_t unit = 4096;
constexpr std::uint64_t data_size = 256 << 10;
constexpr std::size_t blocks = data_size / unit;
constexpr std::uint64_t file_size = test::mirror_data + data_size;
constexpr std::uint64_t metadata_size = mirror_format::bitmap_offset + mirror_format::block_size;

// In memory, where a sync costs nothing: what the disk makes of one is ours to play.
class MemoryDirectory {
public:
    MemoryDirectory() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
    MemoryDirectory(const MemoryDirectory&) = delete;
    MemoryDirectory& operator=(const MemoryDirectory&) = delete;
    ~MemoryDirectory() {
        std::error_code error;
        std::filesystem::remove_all(path_, error);
    }
    std::string path(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_ = "/dev/shm/ublk-mirror-XXXXXX";
};

using Versions = std::array<unsigned, blocks>;

// What a block holds after so many writes; 0 is none.
Bytes block_of(std::size_t block, unsigned version) {
    Bytes bytes(unit, version ? std::byte{1} : std::byte{0});
    const std::array<std::uint64_t, 2> words{block, version};
    if (version)
        std::memcpy(bytes.data(), words.data(), sizeof words);
    return bytes;
}

// Of the file: what the mirror has for itself, as far as it is used, and the data.
struct Image {
    Bytes metadata = Bytes(metadata_size);
    Bytes data = Bytes(data_size);

    std::byte* at(std::uint64_t offset) {
        return offset < metadata_size ? metadata.data() + offset
                                      : data.data() + (offset - test::mirror_data);
    }
};
using Images = std::array<Image, 2>;

// A change of a file that was under way, and what the disk's user could rely on then.
struct Change : test::FileChange {
    unsigned leg = 0;
    Versions durable{}; // at least this, before the change
    Versions begun{};   // at most this
};

class MirrorCrash : public testing::Test {
protected:
    // Records all that becomes of the files from the very beginning.
    void run(const std::function<void(MirrorBench&)>& life) {
        for (const std::string& path : paths_)
            write_file(path, Image{});
        MirrorBench mirror{legs(), options_, {}, 2};
        for (unsigned leg = 0; leg < 2; ++leg)
            images_[leg] = read_file(paths_[leg]);
        mirror->driver().observe([this](const io_uring_sqe& sqe) { record(sqe); });
        bench_ = &mirror;
        life(mirror);
        mirror->driver().observe({});
        bench_ = nullptr;
    }

    std::vector<std::string> legs() const {
        return {leg_on(paths_[0], "error:count=0"), leg_on(paths_[1], "error:count=0")};
    }

    void record(const io_uring_sqe& sqe) {
        if (!(sqe.flags & IOSQE_FIXED_FILE) || sqe.fd < 1 || sqe.fd > 2)
            return;
        auto done = test::change_by(sqe);
        if (!done)
            return;
        Change change{*std::move(done)};
        change.leg = static_cast<unsigned>(sqe.fd) - 1;
        change.durable = durable_;
        change.begun = begun_;
        changes_.push_back(std::move(change));
    }

    // What the disk's user does.
    void write(std::size_t block, std::uint32_t flags = 0) {
        ++begun_[block];
        ASSERT_EQ((*bench_)->write(block * unit, block_of(block, begun_[block]), flags),
                  static_cast<int>(unit));
        model_[block] = begun_[block];
        if (flags & UBLK_IO_F_FUA)
            durable_[block] = model_[block];
    }
    void flush() {
        ASSERT_EQ((*bench_)->flush(), 0);
        durable_ = model_;
    }

    // Plays the changes and cuts the power before and after each.
    void crash_everywhere() {
        std::vector<const Change*> cached;
        for (const Change& change : changes_) {
            crash_with(cached, change);
            if (change.sync) {
                store(cached, change.leg);
            } else if (change.stable) {
                apply(images_, change, change.data.size());
            } else {
                cached.push_back(&change);
            }
            if (HasFatalFailure())
                return;
        }
        Change end;
        end.durable = durable_;
        end.begun = begun_;
        crash_with(cached, end);
    }

    void store(std::vector<const Change*>& cached, unsigned leg) {
        for (const Change* change : cached)
            if (change->leg == leg)
                apply(images_, *change, change->data.size());
        std::erase_if(cached, [leg](const Change* change) { return change->leg == leg; });
    }

    static void apply(Images& images, const Change& change, std::size_t length) {
        if (length)
            std::copy_n(change.data.begin(), length, images[change.leg].at(change.offset));
    }

    // Of what is in the caches nothing, all, all of one leg, one thing or all but one thing is
    // there when the power goes; and of what is under way nothing, all, or half if it is metadata.
    void crash_with(const std::vector<const Change*>& cached, const Change& now) {
        const auto crash_keeping = [&](auto&& keeps, std::size_t of_now) {
            Images images = images_;
            for (std::size_t i = 0; i < cached.size(); ++i)
                apply(images, *cached[i], keeps(i) ? cached[i]->data.size() : 0);
            apply(images, now, of_now);
            look_at(images, now);
        };
        const auto none = [](std::size_t) { return false; };
        const auto all = [](std::size_t) { return true; };
        crash_keeping(none, 0);
        crash_keeping(all, 0);
        if (!now.data.empty()) {
            crash_keeping(none, now.data.size());
            crash_keeping(all, now.data.size());
        }
        if (!now.data.empty() && now.offset < metadata_size)
            crash_keeping(all, now.data.size() / 2);
        for (const unsigned leg : {0U, 1U})
            crash_keeping([&](std::size_t i) { return cached[i]->leg == leg; }, 0);
        for (std::size_t one = 0; one < cached.size(); ++one) {
            crash_keeping([&](std::size_t i) { return i == one; }, 0);
            crash_keeping([&](std::size_t i) { return i != one; }, 0);
        }
    }

    // Another crash in the middle of the recovery must not make anything unsaid.
    void look_at(const Images& images, const Change& now) {
        ++crashes_;
        for (unsigned leg = 0; leg < 2; ++leg)
            write_file(after_[leg], images[leg]);
        Images second;
        Versions seen{};
        {
            MirrorBench mirror{{leg_on(after_[0]), leg_on(after_[1])}, options_};
            seen = read_all(mirror, now);
            for (unsigned leg = 0; leg < 2; ++leg)
                second[leg] = read_file(after_[leg]);
        }
        for (unsigned leg = 0; leg < 2; ++leg)
            write_file(after_[leg], second[leg]);
        {
            MirrorBench mirror{{leg_on(after_[0]), leg_on(after_[1])}, options_};
            ASSERT_EQ(read_all(mirror, now), seen) << "after a crash in the recovery";
            ASSERT_TRUE(mirror.wait_until_in_sync());
            ASSERT_EQ(mirror.metric("mirror", "legs_in_sync"), 2U);
            ASSERT_EQ(read_all(mirror, now), seen);
        }
        ASSERT_EQ(read_file(after_[0]).data, read_file(after_[1]).data);
    }

    Versions read_all(MirrorBench& mirror, const Change& now) {
        Versions seen{};
        Bytes data(data_size);
        EXPECT_EQ(mirror->read(0, data), static_cast<int>(data_size));
        for (std::size_t block = 0; block < blocks; ++block) {
            const auto begin = data.begin() + static_cast<std::ptrdiff_t>(block * unit);
            const Bytes there{begin, begin + unit};
            std::array<std::uint64_t, 2> words{};
            std::memcpy(words.data(), there.data(), sizeof words);
            seen[block] = static_cast<unsigned>(words[1]);
            EXPECT_EQ(there, block_of(block, seen[block])) << "block " << block;
            EXPECT_GE(seen[block], now.durable[block]) << "block " << block << " was lost";
            EXPECT_LE(seen[block], now.begun[block]) << "block " << block;
        }
        return seen;
    }

    static void write_file(const std::string& path, const Image& image) {
        const UniqueFd file{::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
        ASSERT_EQ(::ftruncate(file.get(), file_size), 0);
        ASSERT_EQ(::pwrite(file.get(), image.metadata.data(), metadata_size, 0),
                  static_cast<ssize_t>(metadata_size));
        ASSERT_EQ(::pwrite(file.get(), image.data.data(), data_size, test::mirror_data),
                  static_cast<ssize_t>(data_size));
    }

    static Image read_file(const std::string& path) {
        Image image;
        const UniqueFd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
        EXPECT_EQ(::pread(file.get(), image.metadata.data(), metadata_size, 0),
                  static_cast<ssize_t>(metadata_size));
        EXPECT_EQ(::pread(file.get(), image.data.data(), data_size, test::mirror_data),
                  static_cast<ssize_t>(data_size));
        return image;
    }

    MemoryDirectory directory_;
    std::array<std::string, 2> paths_{directory_.path("a"), directory_.path("b")};
    std::array<std::string, 2> after_{directory_.path("after-a"), directory_.path("after-b")};
    std::vector<std::string> options_ = hasty({"chunk=64K"});
    MirrorBench* bench_ = nullptr;
    Images images_{}; // what is on the legs, whatever happens
    std::vector<Change> changes_;
    Versions model_{};   // after all that was answered
    Versions durable_{}; // of that, what must survive
    Versions begun_{};   // with what has not been answered yet
    unsigned crashes_ = 0;
};

TEST_F(MirrorCrash, WhileItBeginsAndTheSecondLegIsCopied) {
    run([&](MirrorBench& mirror) { ASSERT_TRUE(mirror.wait_until_clean()); });
    crash_everywhere();
    EXPECT_GT(crashes_, 10U);
}

TEST_F(MirrorCrash, BetweenWritesAndFlushes) {
    run([&](MirrorBench& mirror) {
        ASSERT_TRUE(mirror.wait_until_clean());
        write(0);
        write(40);
        flush();
        write(0);
        write(1, UBLK_IO_F_FUA);
        ASSERT_TRUE(mirror.wait_until_clean());
        write(0);
        write(17);
        flush();
        write(40);
    });
    crash_everywhere();
    EXPECT_GT(crashes_, 100U);
}

class MirrorCrashOfLeg : public MirrorCrash, public testing::WithParamInterface<std::string> {};

TEST_P(MirrorCrashOfLeg, AroundItsFailureAndItsReturn) {
    const std::string& leg = GetParam();
    run([&](MirrorBench& mirror) {
        ASSERT_TRUE(mirror.wait_until_clean());
        write(0);
        flush();
        // Of the data only: what is answered then counts, whatever the leg itself says.
        ASSERT_TRUE(mirror.command(leg + "/error", {"op=write", "from=1M", "count="}));
        write(0, UBLK_IO_F_FUA); // this is what it fails
        write(20, UBLK_IO_F_FUA);
        flush();
        write(1);
        ASSERT_TRUE(mirror.command(leg + "/error", {"count=0"}));
        ASSERT_TRUE(mirror.command("rejoin", {leg}));
        write(2);
        flush();
        ASSERT_TRUE(mirror.wait_until_in_sync());
        write(40);
        flush();
        ASSERT_TRUE(mirror.wait_until_clean());
    });
    crash_everywhere();
    EXPECT_GT(crashes_, 100U);
}

INSTANTIATE_TEST_SUITE_P(Mirror, MirrorCrashOfLeg, testing::Values("0", "1"));

TEST_F(MirrorCrash, AroundALegThatIsLeftAndTheOtherOneAfterIt) {
    run([&](MirrorBench& mirror) {
        ASSERT_TRUE(mirror.wait_until_clean());
        write(0);
        ASSERT_TRUE(mirror.command("fail", {"0"}));
        write(0, UBLK_IO_F_FUA);
        ASSERT_TRUE(mirror.command("rejoin", {"0"}));
        ASSERT_TRUE(mirror.wait_until_in_sync());
        write(1, UBLK_IO_F_FUA);
        ASSERT_TRUE(mirror.command("fail", {"1"}));
        write(0, UBLK_IO_F_FUA);
        write(33, UBLK_IO_F_FUA);
        ASSERT_TRUE(mirror.command("rejoin", {"1"}));
        ASSERT_TRUE(mirror.wait_until_in_sync());
        write(33, UBLK_IO_F_FUA);
    });
    crash_everywhere();
    EXPECT_GT(crashes_, 100U);
}

} // namespace
} // namespace ublk::targets
