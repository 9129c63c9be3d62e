// SPDX-License-Identifier: GPL-2.0-or-later
#include "identity.h"

#include <filesystem>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "overlay.h"
#include "support/temporary_directory.h"

namespace ublk::targets {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Identity identity_of(const std::string& path) {
    const UniqueFd file{::open(path.c_str(), O_PATH | O_CLOEXEC)};
    auto things = identify(file.get());
    EXPECT_TRUE(things && !things->empty()) << path;
    return things->front();
}

class IdentityOfAFile : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    std::string path_ = directory_.create_file("image", 4096);
};

TEST_F(IdentityOfAFile, IsTheSameUnderAllNames) {
    ASSERT_EQ(::link(path_.c_str(), directory_.path("hard").c_str()), 0);
    directory_.link("soft", path_);
    const UniqueFd file{::open(path_.c_str(), O_RDONLY | O_CLOEXEC)};
    const Identity identity = identity_of(path_);
    for (const std::string& name :
         {directory_.path("hard"), directory_.path("soft"),
          directory_.path("./../") + "/" +
              std::filesystem::path(directory_.path()).filename().string() + "/image",
          "/proc/self/fd/" + std::to_string(file.get())})
        EXPECT_TRUE(same_thing(identity_of(name), identity)) << name;
    EXPECT_EQ(identity.kind, Identity::Kind::file);
    EXPECT_EQ(identity.length, UINT64_MAX);
}

TEST_F(IdentityOfAFile, SurvivesItsNameAndItsGrowth) {
    const Identity before = identity_of(path_);
    std::filesystem::rename(path_, directory_.path("other"));
    std::filesystem::resize_file(directory_.path("other"), 8192);
    EXPECT_TRUE(same_thing(identity_of(directory_.path("other")), before));
}

TEST_F(IdentityOfAFile, IsNotThatOfTheNextOneWithItsName) {
    const Identity before = identity_of(path_);
    // Most file systems give the same inode number again, sooner or later.
    for (int i = 0; i < 10; ++i) {
        std::filesystem::remove(path_);
        directory_.create_file("image", 4096);
        EXPECT_FALSE(same_thing(identity_of(path_), before));
    }
}

TEST_F(IdentityOfAFile, OfAnotherFileDiffers) {
    EXPECT_FALSE(same_thing(identity_of(path_), identity_of(directory_.create_file("b", 4096))));
}

TEST(SameThing, UnknownNumbersDecideNothing) {
    const Identity one{.device = 1, .number = 2, .handle = "a", .birth = 3};
    for (const Identity& other :
         {Identity{.device = 1, .number = 2}, Identity{.device = 1, .number = 2, .handle = "a"},
          Identity{.device = 1, .number = 2, .birth = 3}})
        EXPECT_TRUE(same_thing(one, other));
    for (const Identity& other :
         {Identity{.device = 2, .number = 2}, Identity{.device = 1, .number = 3},
          Identity{.device = 1, .number = 2, .handle = "b"},
          Identity{.device = 1, .number = 2, .birth = 4},
          Identity{.kind = Identity::Kind::disk, .device = 1, .number = 2}})
        EXPECT_FALSE(same_thing(one, other));
}

// A sysfs with a disk sda and its partition sda1, a loop device on a file, and a volume on both.
class IdentityOfADisk : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    KernelPaths paths_{directory_.path("sys"), directory_.path("dev"), "/proc"};
    std::string image_ = directory_.create_file("image", 1 << 20);

    void SetUp() override {
        disk("sda", "8:0", {{"diskseq", "7"}, {"size", "2000"}});
        disk("sda/sda1", "8:1", {{"partition", "1"}, {"start", "16"}, {"size", "800"}});
        disk("loop0", "7:0",
             {{"diskseq", "9"},
              {"size", "100"},
              {"loop/offset", "4096"},
              {"loop/backing_file", image_}});
        disk("dm-0", "253:0", {{"diskseq", "11"}, {"size", "500"}});
        for (const char* slave : {"sda/sda1", "loop0"})
            directory_.link("sys/block/dm-0/slaves/" +
                                std::filesystem::path(slave).filename().string(),
                            directory_.path(std::string("sys/block/") + slave));
    }

    void disk(const std::string& name, const std::string& device,
              const std::vector<std::pair<std::string, std::string>>& attributes) {
        const std::string place = "sys/block/" + name;
        directory_.write(place + "/dev", device + "\n");
        for (const auto& [key, value] : attributes)
            directory_.write(place + "/" + key, value + "\n");
        directory_.link("sys/dev/block/" + device, directory_.path(place));
    }

    Identity file() const {
        struct stat status {};
        EXPECT_EQ(::stat(image_.c_str(), &status), 0);
        return {.device = status.st_dev, .number = status.st_ino};
    }
};

TEST_F(IdentityOfADisk, HasItsSequenceNumber) {
    EXPECT_THAT(identify_disk(makedev(8, 0), paths_),
                ElementsAre(Identity{.kind = Identity::Kind::disk,
                                     .device = makedev(8, 0),
                                     .number = 7,
                                     .length = 2000 * 512}));
}

TEST_F(IdentityOfADisk, PartitionIsAPartOfItsDisk) {
    EXPECT_THAT(identify_disk(makedev(8, 1), paths_),
                ElementsAre(Identity{.kind = Identity::Kind::disk,
                                     .device = makedev(8, 0),
                                     .number = 7,
                                     .start = 16 * 512,
                                     .length = 800 * 512}));
}

TEST_F(IdentityOfADisk, LoopDeviceIsAlsoItsFile) {
    const auto things = identify_disk(makedev(7, 0), paths_);
    ASSERT_EQ(things.size(), 2U);
    EXPECT_TRUE(same_thing(things[1], file()));
    EXPECT_EQ(things[1].start, 4096U);
    EXPECT_EQ(things[1].length, 100U * 512);
}

TEST_F(IdentityOfADisk, VolumeIsSomewhereOnItsDisks) {
    const auto things = identify_disk(makedev(253, 0), paths_);
    ASSERT_EQ(things.size(), 4U);
    EXPECT_FALSE(things[0].somewhere);
    for (std::size_t i = 1; i < things.size(); ++i)
        EXPECT_TRUE(things[i].somewhere) << i;
}

TEST_F(IdentityOfADisk, UnknownDiskHasItsNumberOnly) {
    const auto things = identify_disk(makedev(8, 99), paths_);
    ASSERT_EQ(things.size(), 1U);
    EXPECT_EQ(things[0].device, makedev(8, 99));
    EXPECT_EQ(things[0].length, UINT64_MAX);
}

TEST_F(IdentityOfADisk, LoopDevicesOnAFileAreFound) {
    EXPECT_EQ(kernel_loop_on(file(), LoopsToFind::all, paths_), "loop0");
    EXPECT_EQ(kernel_loop_on(file(), LoopsToFind::writers, paths_), "loop0");
    directory_.write("sys/block/loop0/ro", "1\n");
    EXPECT_EQ(kernel_loop_on(file(), LoopsToFind::writers, paths_), "");
    EXPECT_EQ(kernel_loop_on(identity_of(directory_.create_file("b", 1)), LoopsToFind::all, paths_),
              "");
}

constexpr const char* mountinfo =
    "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "30 22 0:40 / /merged rw,relatime shared:1 - overlay overlay "
    "rw,lowerdir=/low\\134:one:/low2,upperdir=/up\\040per,workdir=/work\n"
    "31 22 0:41 /sub /bound rw - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w\n"
    "32 30 0:42 / /merged/tmp rw - tmpfs tmpfs rw\n"
    "33 22 0:43 / /new rw - overlay overlay rw,lowerdir+=/a,lowerdir+=/b\n";

TEST(NamesInLayers, UpperComesFirst) {
    EXPECT_THAT(names_in_layers(mountinfo, "/merged/d/f"),
                ElementsAre("/up per/d/f", "/low:one/d/f", "/low2/d/f"));
}

TEST(NamesInLayers, BindMountsOfPartsAreFollowed) {
    EXPECT_THAT(names_in_layers(mountinfo, "/bound/f"), ElementsAre("/u/sub/f", "/l/sub/f"));
}

TEST(NamesInLayers, LayersCanBeOptionsOfTheirOwn) {
    EXPECT_THAT(names_in_layers(mountinfo, "/new/f"), ElementsAre("/a/f", "/b/f"));
}

TEST(NamesInLayers, WhatLiesOnTopCounts) {
    EXPECT_THAT(names_in_layers(mountinfo, "/merged/tmp/f"), IsEmpty());
    EXPECT_THAT(names_in_layers(mountinfo, "/mergedx/f"), IsEmpty());
    EXPECT_THAT(names_in_layers("", "/f"), IsEmpty());
}

} // namespace
} // namespace ublk::targets
