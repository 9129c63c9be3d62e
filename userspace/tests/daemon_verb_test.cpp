// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/verb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/features.h"
#include "daemon/json.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

struct Outcome {
    Exit exit;
    std::string output;
    std::string errors;
};

// What a user of the command line sees; the verbs used here fail before they need a driver.
class CommandLine : public testing::Test {
protected:
    test::TemporaryDirectory directory_;

    Outcome run(const std::vector<std::string>& words) {
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        const Exit exit = run_command(words, Paths{.state = directory_.path("state")});
        return {exit, testing::internal::GetCapturedStdout(),
                testing::internal::GetCapturedStderr()};
    }

    void expect_usage_error(const std::vector<std::string>& words, const std::string& part) {
        const Outcome outcome = run(words);
        EXPECT_EQ(outcome.exit, Exit::usage) << part;
        EXPECT_EQ(outcome.output, "");
        EXPECT_THAT(outcome.errors, StartsWith("ublkd: "));
        EXPECT_THAT(outcome.errors, HasSubstr(part));
        EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1);
    }
};

TEST_F(CommandLine, WrongUsageIsOneLineThatSaysWhatIsWrong) {
    expect_usage_error({}, "no verb");
    expect_usage_error({"frob"}, "verbs: add, del");
    expect_usage_error({"add"}, "TARGET");
    expect_usage_error({"add", "null", "--frob"}, "--frob");
    expect_usage_error({"add", "null", "siz=1G"}, "known options: size");
    expect_usage_error({"add", "null", "size"}, "key=value");
    expect_usage_error({"add", "null", "size=1Q"}, "size=1Q");
    expect_usage_error({"add", "null", "-n", "3x"}, "--number=3x");
    expect_usage_error({"add", "null", "-n", "-1"}, "--number");
    expect_usage_error({"add", "null", "-q", "0"}, "use 1 to 4096");
    expect_usage_error({"add", "null", "-d", "4097"}, "use 1 to 4096");
    expect_usage_error({"add", "null", "-b", "0"}, "--block-size=0");
    expect_usage_error({"filter", "0"}, "NAME");
    expect_usage_error({"command", "0"}, "COMMAND");
    expect_usage_error({"stats"}, "--all");
    expect_usage_error({"stats", "0", "--all"}, "--all");
    expect_usage_error({"stats", "x"}, "x");
    expect_usage_error({"add", "null", "-d"}, "--depth");
    expect_usage_error({"del"}, "no device");
    expect_usage_error({"del", "0", "--all"}, "both");
    expect_usage_error({"del", "ublkc0"}, "ublkc0");
    expect_usage_error({"show"}, "DEV");
    expect_usage_error({"add", "null", "--recovery", "on"}, "off, queue, reissue, fail");
    expect_usage_error({"add", "null", "--copy", "fast"}, "driver, user, zero, shmem");
    expect_usage_error({"add", "null", "--shmem", "/proc/self/status"}, "/dev/shm");
    expect_usage_error({"add", "null", "--name", "a b"}, "--name=a b");
    expect_usage_error({"add", "null", "--filter"}, "--filter");
    expect_usage_error({"add", "null", "--filter", "delay:read=fast"}, "delay: option read=fast");
    expect_usage_error({"add", "null", "--filter", "delay:reed=1s"}, "known options: read");
    expect_usage_error({"add", "null", "--filter", "readonly", "siz=1G"}, "known options: size");
    expect_usage_error({"resize"}, "DEV");
    expect_usage_error({"resize", "0"}, "SIZE");
    expect_usage_error({"resize", "0", "1Q"}, "suffix K, M, G or T, or auto");
    expect_usage_error({"resize", "ublkc0", "1G"}, "ublkc0");
    expect_usage_error({"quiesce"}, "DEV");
    expect_usage_error({"quiesce", "0", "--timeout", "0"}, "use 1 to 3600");
    expect_usage_error({"recover", "x"}, "/dev/ublkbN");
    expect_usage_error({"recover", "0", "1"}, "1");
    expect_usage_error({"stop"}, "DEV");
    expect_usage_error({"stop", "0", "--saf"}, "--saf");
    expect_usage_error({"list", "0"}, "0");
    expect_usage_error({"help", "frob"}, "frob");
}

TEST_F(CommandLine, UnknownTargetIsMissing) {
    EXPECT_EQ(run({"add", "frob"}).exit, Exit::missing);
    EXPECT_EQ(run({"targets", "frob"}).exit, Exit::missing);
}

TEST_F(CommandLine, ErrorIsJsonIfAskedFor) {
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"frob", "--json"}, {"add", "--json"}, {"add", "x", "--json"}}) {
        const Outcome outcome = run(words);
        const auto json = parse_json(outcome.output);
        EXPECT_EQ(json.at("error").at("code"), static_cast<int>(outcome.exit));
        EXPECT_EQ(outcome.errors, "");
    }
}

TEST_F(CommandLine, MissingBackingIsToldByTheParent) {
    const Outcome outcome = run({"add", "loop", "file=" + directory_.path("none")});
    EXPECT_EQ(outcome.exit, Exit::missing);
    EXPECT_THAT(outcome.errors, StartsWith("ublkd: add: loop: file=/"));
    EXPECT_FALSE(std::filesystem::exists(directory_.path("state")));
}

TEST_F(CommandLine, UnknownFilterIsMissing) {
    const Outcome outcome = run({"add", "null", "--filter", "delya"});
    EXPECT_EQ(outcome.exit, Exit::missing);
    EXPECT_THAT(outcome.errors, HasSubstr("filters: delay, error, "));
}

// The stack is built in the order in which it is told, the last filter next to the target.
TEST_F(CommandLine, ErrorOfAFilterNamesIt) {
    const std::vector<std::string> add{"add",
                                       "null",
                                       "size=2M",
                                       "--filter",
                                       "readonly",
                                       "--filter",
                                       "offset:start=1M",
                                       "--filter",
                                       "offset:start=3M"};
    const Outcome outcome = run(add);
    EXPECT_NE(outcome.exit, Exit::ok);
    EXPECT_THAT(outcome.errors, StartsWith("ublkd: add: null: offset: start="));
    EXPECT_THAT(outcome.errors, HasSubstr("3"));
    EXPECT_FALSE(std::filesystem::exists(directory_.path("state")));
    auto without = add;
    without.resize(add.size() - 2);
    EXPECT_THAT(run(without).errors, Not(HasSubstr("offset: ")));
}

TEST_F(CommandLine, ErrorOfATargetBehindAFilterIsTheTargets) {
    const Outcome outcome =
        run({"add", "loop", "--filter", "delay:read=1ms", "file=" + directory_.path("none")});
    EXPECT_EQ(outcome.exit, Exit::missing);
    EXPECT_THAT(outcome.errors, StartsWith("ublkd: add: loop: file=/"));
}

TEST_F(CommandLine, FiltersAreListedWithTheirKeys) {
    EXPECT_THAT(run({"filters"}).output, HasSubstr("readonly"));
    EXPECT_THAT(run({"filters"}).output, Not(HasSubstr("loop")));
    EXPECT_THAT(run({"filters", "rate"}).output, HasSubstr("requests"));
    const auto json = parse_json(run({"filters", "--json"}).output);
    EXPECT_EQ(json.at("schema"), 1);
    EXPECT_GE(json.at("filters").size(), 6U);
    const auto one = parse_json(run({"filters", "offset", "--json"}).output);
    EXPECT_EQ(one.at("filter").at("keys").at(0).at("key"), "start");
    EXPECT_EQ(run({"filters", "loop"}).exit, Exit::missing);
}

TEST_F(CommandLine, HelpListsVerbs) {
    for (const char* word : {"help", "--help", "-h"}) {
        const Outcome outcome = run({word});
        EXPECT_EQ(outcome.exit, Exit::ok);
        for (const char* verb : {"add", "del", "list", "show", "resize", "stop", "quiesce",
                                 "recover", "features", "targets", "filters", "version"})
            EXPECT_THAT(outcome.output, HasSubstr(verb));
    }
}

TEST_F(CommandLine, HelpOfAVerbHasOptionsKeysAndExitCodes) {
    const Outcome outcome = run({"help", "add"});
    EXPECT_EQ(outcome.exit, Exit::ok);
    for (const char* part : {"--queues", "--json", "sizelimit=", "Exit codes", "timed out"})
        EXPECT_THAT(outcome.output, HasSubstr(part));
    EXPECT_EQ(run({"add", "--help"}).output, outcome.output);
}

TEST_F(CommandLine, TargetsAreListedWithTheirKeys) {
    EXPECT_THAT(run({"targets"}).output, HasSubstr("loop"));
    EXPECT_THAT(run({"targets", "loop"}).output, HasSubstr("sizelimit"));
    const auto json = parse_json(run({"targets", "--json"}).output);
    EXPECT_EQ(json.at("schema"), 1);
    EXPECT_GE(json.at("targets").size(), 3U);
    const auto one = parse_json(run({"targets", "ram", "--json"}).output);
    EXPECT_EQ(one.at("target").at("keys").at(0).at("key"), "size");
}

TEST_F(CommandLine, VersionIsPrinted) {
    EXPECT_THAT(run({"version"}).output, StartsWith("ublkd "));
    EXPECT_EQ(run({"--version"}).output, run({"version"}).output);
    EXPECT_TRUE(parse_json(run({"version", "--json"}).output).contains("version"));
}

TEST(NamesOfFeatures, AreInOrderAndCoverUnknownBits) {
    EXPECT_THAT(names_of_features(0), testing::IsEmpty());
    EXPECT_THAT(names_of_features((1ULL << 63) | 0x42),
                testing::ElementsAre("URING_CMD_COMP_IN_TASK", "CMD_IOCTL_ENCODE", "bit 63"));
}

} // namespace
} // namespace ublk::daemon
