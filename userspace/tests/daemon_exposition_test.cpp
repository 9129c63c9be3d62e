// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/exposition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <sstream>

namespace ublk::daemon {
namespace {

using testing::HasSubstr;

std::vector<CountedDevice> two_and_a_silent_one() {
    Counts counts;
    counts.statistics.operations[static_cast<std::size_t>(Op::read)] = {
        .requests = 3, .bytes = 12288, .errors = 1};
    counts.statistics.operations[static_cast<std::size_t>(Op::zone_reset)] = {.requests = 2};
    counts.statistics.requests = 5;
    counts.statistics.rejected = 4;
    counts.layers = {{"error#1", "failed_requests", 7},
                     {"error#2", "failed_requests", 8},
                     {"odd \"\\\n", "odd-name", 9}};
    return {{0, "loop", counts}, {1, "ram", Counts{}}, {12, "nbd", std::nullopt}};
}

TEST(Prometheus, TellsWhatWasCounted) {
    const std::string text = prometheus_text(two_and_a_silent_one());
    for (const char* line : {"# HELP ublk_requests_total ", "# TYPE ublk_requests_total counter\n",
                             "\nublk_requests_total{dev=\"ublkb0\",op=\"read\"} 3\n",
                             "\nublk_bytes_total{dev=\"ublkb0\",op=\"read\"} 12288\n",
                             "\nublk_errors_total{dev=\"ublkb0\",op=\"read\"} 1\n",
                             "\nublk_requests_total{dev=\"ublkb0\",op=\"write_zeroes\"} 0\n",
                             "\nublk_requests_total{dev=\"ublkb0\",op=\"zone_reset\"} 2\n",
                             "\nublk_rejected_requests_total{dev=\"ublkb0\"} 4\n",
                             "\nublk_up{dev=\"ublkb1\",target=\"ram\"} 1\n",
                             "\nublk_up{dev=\"ublkb12\",target=\"nbd\"} 0\n",
                             "\nublk_layer_failed_requests{dev=\"ublkb0\",layer=\"error#1\"} 7\n",
                             "\nublk_layer_failed_requests{dev=\"ublkb0\",layer=\"error#2\"} 8\n",
                             "\nublk_layer_odd_name{dev=\"ublkb0\",layer=\"odd \\\"\\\\\\n\"} 9\n"})
        EXPECT_THAT(text, HasSubstr(line));
    EXPECT_THAT(text, testing::Not(HasSubstr("ublkb1\",op=\"zone_reset")))
        << "of a disk without zones";
}

// As the format says: every line is a comment or a sample, a family is one group with one type in
// front, no sample is there twice, the last line ends.
TEST(Prometheus, IsWellFormed) {
    const std::string text = prometheus_text(two_and_a_silent_one());
    ASSERT_EQ(text.back(), '\n');
    const std::regex comment{R"(# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) .+)"};
    const std::regex sample{R"(([a-zA-Z_:][a-zA-Z0-9_:]*)\{([a-z]+="([^"\\]|\\.)*",?)+\} [0-9]+)"};
    std::set<std::string> families;
    std::set<std::string> samples;
    std::string family;
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) {
        std::smatch match;
        if (std::regex_match(line, match, comment)) {
            if (match[1] == "HELP") {
                EXPECT_TRUE(families.insert(match[2]).second) << line;
            }
            family = match[2];
            continue;
        }
        ASSERT_TRUE(std::regex_match(line, match, sample)) << line;
        EXPECT_EQ(match[1], family) << "outside its family";
        EXPECT_TRUE(samples.insert(line.substr(0, line.rfind(' '))).second) << line;
    }
    EXPECT_GT(samples.size(), 20U);
}

TEST(CountsJson, HasThemAll) {
    const auto json = counts_json(two_and_a_silent_one().front());
    EXPECT_EQ(json.at("device"), "/dev/ublkb0");
    EXPECT_EQ(json.at("requests"), 5);
    EXPECT_EQ(json.at("operations").at("read").at("bytes"), 12288);
    EXPECT_EQ(json.at("operations").at("flush").at("requests"), 0);
    EXPECT_EQ(json.at("layers").at(1).at("layer"), "error#2");
    EXPECT_EQ(json.at("layers").at(1).at("value"), 8);
}

TEST(CountsTable, LeavesSilentOnesOut) {
    const std::string table = counts_table(two_and_a_silent_one());
    EXPECT_THAT(table, HasSubstr("/dev/ublkb0"));
    EXPECT_THAT(table, HasSubstr("error#2 failed_requests"));
    EXPECT_THAT(table, testing::Not(HasSubstr("ublkb12")));
}

} // namespace
} // namespace ublk::daemon
