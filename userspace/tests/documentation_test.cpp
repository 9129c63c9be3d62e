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

TEST(WritingATarget, ShowsTheExampleUnchanged) {
    const std::string example = content("userspace/examples/hello_target.cpp");
    EXPECT_NE(content("Documentation/writing-a-target.rst").find(indented(example)),
              std::string::npos);
}

TEST(WritingATarget, ExampleHasLessThanFiftyLines) {
    const std::string example = content("userspace/examples/hello_target.cpp");
    EXPECT_LT(std::count(example.begin(), example.end(), '\n'), 50);
}

TEST(Readme, SaysOfEachTargetWhatTheTargetSaysOfItself) {
    const std::string readme = content("README.md");
    for (const TargetInfo* target : targets::all()) {
        const std::string row =
            "| `" + std::string(target->name) + "` | " + std::string(target->summary);
        EXPECT_NE(readme.find(row), std::string::npos) << row;
    }
}

} // namespace
} // namespace ublk
