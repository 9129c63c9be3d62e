// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/completion.h"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/file.h"
#include "daemon/state.h"
#include "support/temporary_directory.h"
#include "targets/registry.h"

namespace ublk::daemon {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

class CompletionTest : public testing::Test {
protected:
    test::TemporaryDirectory directory_;
    Paths paths_{.dev = "/dev", .sys = directory_.path("sys"), .state = directory_.path("state")};

    Suggestions at(const std::vector<std::string>& words) {
        return suggest(make_verbs(), words, paths_);
    }

    std::vector<std::string> words_at(const std::vector<std::string>& words) {
        std::vector<std::string> found;
        for (const Suggestion& one : at(words).words)
            found.push_back(one.word);
        return found;
    }

    void make_devices(std::initializer_list<const char*> names) {
        for (const char* name : names)
            std::filesystem::create_directories(directory_.path("sys/class/ublk-char/") + name);
    }
};

TEST_F(CompletionTest, FirstWordIsAVerb) {
    EXPECT_THAT(words_at({""}), Contains("add"));
    EXPECT_EQ(words_at({""}).size(), make_verbs().size());
    EXPECT_THAT(words_at({"res"}), ElementsAre("resize"));
    EXPECT_THAT(words_at({}), IsEmpty());
    EXPECT_THAT(words_at({"frob", ""}), IsEmpty());
}

TEST_F(CompletionTest, EveryOptionThatHelpKnowsIsOffered) {
    for (const auto& verb : make_verbs())
        for (const auto& option : describe(*verb).options)
            for (const std::string& flag : option.flags()) {
                EXPECT_THAT(words_at({std::string(verb->name()), flag}), Contains(flag));
                EXPECT_NE(help_text(*verb).find(flag), std::string::npos) << flag;
            }
    EXPECT_THAT(words_at({"add", "--rec"}), ElementsAre("--recovery"));
}

TEST_F(CompletionTest, ValuesOfAnOptionAreOffered) {
    EXPECT_THAT(words_at({"add", "--recovery", ""}),
                ElementsAre("off", "queue", "reissue", "fail"));
    EXPECT_THAT(words_at({"add", "--copy", "s"}), ElementsAre("shmem"));
    EXPECT_THAT(words_at({"add", "--copy=dr"}), ElementsAre("--copy=driver"));
    EXPECT_THAT(words_at({"add", "--depth", ""}), IsEmpty());
}

TEST_F(CompletionTest, TargetsAndTheirKeysAreOffered) {
    EXPECT_EQ(words_at({"add", ""}).size(), targets::all().size());
    EXPECT_THAT(words_at({"add", "-q", "2", "lo"}), ElementsAre("loop"));
    EXPECT_THAT(words_at({"add", "loop", "fi"}), ElementsAre("file="));
    EXPECT_THAT(words_at({"add", "loop", "file=/x", "--recovery", "queue", "direct="}),
                UnorderedElementsAre("direct=yes", "direct=no"));
    EXPECT_THAT(words_at({"add", "frob", ""}), IsEmpty());
    EXPECT_THAT(words_at({"targets", "l"}), ElementsAre("loop"));
    EXPECT_THAT(words_at({"targets", "loop", ""}), IsEmpty());
}

TEST_F(CompletionTest, NamesOfFilesAreTheShellsToFind) {
    const Suggestions key = at({"add", "loop", "file=/tm"});
    EXPECT_TRUE(key.files);
    EXPECT_EQ(key.in_front, "file=");
    const Suggestions option = at({"add", "ram", "--shmem", "/d"});
    EXPECT_TRUE(option.files);
    EXPECT_EQ(option.in_front, "");
    EXPECT_EQ(at({"add", "ram", "--shmem=/d"}).in_front, "--shmem=");
    EXPECT_FALSE(at({"add", "ram", "size="}).files);
}

TEST_F(CompletionTest, FiltersAndTheirKeysAreOffered) {
    EXPECT_THAT(words_at({"add", "ram", "--filter", "read"}), ElementsAre("readonly"));
    EXPECT_THAT(words_at({"add", "ram", "--filter", "delay:re"}), ElementsAre("delay:read="));
    EXPECT_THAT(words_at({"add", "ram", "--filter=delay:read=1ms,wr"}),
                ElementsAre("--filter=delay:read=1ms,write="));
    EXPECT_THAT(words_at({"filters", "off"}), ElementsAre("offset"));
}

TEST_F(CompletionTest, LayersOfADiskAndTheirKeysAreOffered) {
    const StateDirectory state(paths_);
    ASSERT_TRUE(state.create());
    ServerRecord record;
    record.number = 3;
    record.set_stack({{"loop", {{"file", "/x"}}}, {}, {{"delay"}, {"error"}, {"delay"}}});
    ASSERT_TRUE(state.write(record));
    EXPECT_THAT(words_at({"filter", "3", ""}), ElementsAre("delay#1", "error", "delay#2", "loop"));
    EXPECT_THAT(words_at({"filter", "/dev/ublkb3", "delay#2", "re"}), ElementsAre("read="));
    EXPECT_THAT(words_at({"filter", "3", "loop", "direct="}),
                UnorderedElementsAre("direct=yes", "direct=no"));
    EXPECT_THAT(words_at({"command", "3", "flush", "--layer", "lo"}), ElementsAre("loop"));
    EXPECT_THAT(words_at({"filter", "4", ""}), IsEmpty());
    EXPECT_THAT(words_at({"filter", "3", "rate", ""}), IsEmpty());
    EXPECT_THAT(words_at({"filter", "frob", ""}), IsEmpty());
}

TEST_F(CompletionTest, ChildIsATarget) {
    EXPECT_THAT(words_at({"add", "mirror", "--child", "zon"}), ElementsAre("zoned"));
}

TEST_F(CompletionTest, DevicesThatThereAreAreOffered) {
    EXPECT_THAT(words_at({"show", ""}), IsEmpty());
    make_devices({"ublkc0", "ublkc12"});
    EXPECT_THAT(words_at({"show", ""}), ElementsAre("/dev/ublkb0", "/dev/ublkb12"));
    EXPECT_THAT(words_at({"show", "/dev/ublkb1"}), ElementsAre("/dev/ublkb12"));
    EXPECT_THAT(words_at({"show", "1"}), ElementsAre("12"));
    EXPECT_THAT(words_at({"del", "0", "u"}), ElementsAre("ublkb0", "ublkb12"));
    EXPECT_THAT(words_at({"show", "0", ""}), IsEmpty());
}

TEST_F(CompletionTest, ThereIsAScriptForEachShell) {
    EXPECT_THAT(words_at({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
    for (const std::string& shell : completed_shells())
        EXPECT_TRUE(completion_script(shell));
    EXPECT_EQ(completion_script("csh").error().kind, ErrorKind::usage);
}

} // namespace
} // namespace ublk::daemon
