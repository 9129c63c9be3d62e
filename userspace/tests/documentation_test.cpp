// SPDX-License-Identifier: GPL-2.0-or-later
// The manual's first program is the one that is built and run as an example.
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

#include "targets/registry.h"

namespace ublk {
namespace {

std::string content(const std::string& path) {
    std::ifstream file{UBLK_SOURCE_DIR "/" + path};
    EXPECT_TRUE(file) << path;
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

std::string indented(const std::string& text) {
    std::istringstream lines{text};
    std::string result;
    for (std::string line; std::getline(lines, line);)
        result += (line.empty() ? "" : "    " + line) + "\n";
    return result;
}

struct Manual {
    std::string page;
    std::string example;
};

class ManualTest : public testing::TestWithParam<Manual> {};

TEST_P(ManualTest, ShowsTheExampleUnchanged) {
    EXPECT_NE(content(GetParam().page).find(indented(content(GetParam().example))),
              std::string::npos);
}

TEST_P(ManualTest, ExampleHasNoMoreThanFiftyLines) {
    const std::string example = content(GetParam().example);
    EXPECT_LE(std::count(example.begin(), example.end(), '\n'), 50);
}

INSTANTIATE_TEST_SUITE_P(Examples, ManualTest,
                         testing::Values(Manual{"Documentation/writing-a-target.rst",
                                                "userspace/examples/hello_target.cpp"},
                                         Manual{"Documentation/writing-a-filter.rst",
                                                "userspace/examples/hello_filter.cpp"}));

TEST(Readme, SaysOfEachTargetWhatTheTargetSaysOfItself) {
    const std::string readme = content("README.md");
    for (const auto list : {targets::all(), targets::filters()})
        for (const TargetInfo* target : list) {
            const std::string row =
                "| `" + std::string(target->name) + "` | " + std::string(target->summary);
            EXPECT_NE(readme.find(row), std::string::npos) << row;
        }
}

} // namespace
} // namespace ublk
