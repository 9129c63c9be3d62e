// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/manual.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/file.h"
#include "daemon/paths.h"
#include "support/temporary_directory.h"
#include "targets/registry.h"

namespace ublk::daemon {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string page(const std::string& file) {
    for (const ManualPage& page : manual_pages(make_verbs()))
        if (page.file == file)
            return page.text;
    ADD_FAILURE() << "no page " << file;
    return {};
}

TEST(ManualPages, TextIsShownAsItIs) {
    EXPECT_EQ(escape_for_man("--json"), "\\-\\-json");
    EXPECT_EQ(escape_for_man("it's a \\"), "it\\(aqs a \\e");
    EXPECT_EQ(escape_for_man(".x\n'y\n..."), "\\&.x\n\\&\\(aqy\n\\&...");
}

TEST(ManualPages, ProgramHasAllThatTheHelpOfItsVerbsHas) {
    const std::string text = page("ublkd.8");
    for (const auto& verb : make_verbs()) {
        const VerbDescription description = describe(*verb);
        EXPECT_THAT(text, HasSubstr(".SS ublkd " + description.name + " "));
        EXPECT_THAT(text, HasSubstr(escape_for_man(description.summary) + "."));
        for (const auto& options : {description.words, description.options})
            for (const auto& option : options) {
                EXPECT_THAT(text, HasSubstr(escape_for_man(option.help)));
                EXPECT_THAT(help_text(*verb), HasSubstr(option.flags().back()));
            }
        EXPECT_THAT(text, HasSubstr(escape_for_man(
                              description.notes.substr(description.notes.empty() ? 0 : 1))));
    }
    EXPECT_THAT(text, HasSubstr(std::string(meaning(Exit::timeout))));
}

TEST(ManualPages, EachTargetAndFilterHasOneWithItsKeys) {
    EXPECT_EQ(manual_pages(make_verbs()).size(),
              1 + targets::all().size() + targets::filters().size());
    for (const auto list : {targets::all(), targets::filters()})
        for (const TargetInfo* info : list) {
            const std::string text =
                page("ublkd-" + std::string(info->name) + (info->is_filter() ? "-filter.7" : ".7"));
            EXPECT_THAT(text, HasSubstr(escape_for_man(info->summary)));
            for (const OptionInfo& option : info->options) {
                EXPECT_THAT(text, HasSubstr("\\fB" + escape_for_man(option.name) + "="));
                EXPECT_THAT(text, HasSubstr(escape_for_man(option.help)));
            }
        }
}

TEST(ManualPages, HelpWritesThemIntoADirectory) {
    const test::TemporaryDirectory directory;
    testing::internal::CaptureStdout();
    EXPECT_EQ(run_command({"help", "--man", directory.path("")}, Paths{}), Exit::ok);
    testing::internal::GetCapturedStdout();
    EXPECT_THAT(*read_file(directory.path("ublkd.8")), StartsWith(".\\\" SPDX"));
    testing::internal::CaptureStderr();
    EXPECT_EQ(run_command({"help", "--man", directory.path("none")}, Paths{}), Exit::missing);
    EXPECT_EQ(run_command({"help", "add", "--man", "x"}, Paths{}), Exit::usage);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("both VERB and --man"));
}

} // namespace
} // namespace ublk::daemon
