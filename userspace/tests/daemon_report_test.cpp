// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/report.h"

#include <cerrno>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "daemon/json.h"
#include "daemon/output.h"

namespace ublk::daemon {
namespace {

TEST(ExitCode, FollowsTheKindOfAnError) {
    EXPECT_EQ(exit_code({EINVAL, "", "", ErrorKind::usage}), Exit::usage);
    EXPECT_EQ(exit_code({ENOENT, "", "", ErrorKind::backend}), Exit::backend);
    EXPECT_EQ(exit_code({ENOENT, "", "", ErrorKind::driver}), Exit::driver);
}

TEST(ExitCode, FollowsTheErrnoOfASystemError) {
    EXPECT_EQ(exit_code({ENOENT, ""}), Exit::missing);
    EXPECT_EQ(exit_code({ENODEV, ""}), Exit::missing);
    EXPECT_EQ(exit_code({EACCES, ""}), Exit::permission);
    EXPECT_EQ(exit_code({EPERM, ""}), Exit::permission);
    EXPECT_EQ(exit_code({EBUSY, ""}), Exit::busy);
    EXPECT_EQ(exit_code({EEXIST, ""}), Exit::busy);
    EXPECT_EQ(exit_code({ETIMEDOUT, ""}), Exit::timeout);
    EXPECT_EQ(exit_code({EIO, ""}), Exit::backend);
    EXPECT_EQ(exit_code({ENOMEM, ""}), Exit::backend);
}

TEST(ErrorLine, NamesVerbStepCauseAndRemedy) {
    EXPECT_EQ(error_line("add", {ENOENT, "loop: file=/x", "check the path"}),
              "ublkd: add: loop: file=/x: No such file or directory (check the path)");
}

TEST(ErrorLine, LeavesOutTheVerbThatThereIsNot) {
    EXPECT_EQ(error_line("", {EIO, "step", "wait"}), "ublkd: step: Input/output error (wait)");
}

TEST(ErrorLine, SaysWhatToDoWhateverWentWrong) {
    for (int code = 0; code < 200; ++code) {
        EXPECT_GE(usual_advice(code).size(), 8U) << code;
        EXPECT_EQ(error_line("add", {code, "step"}).back(), ')') << code;
        EXPECT_EQ(error_json({code, "step"}).at("hint"), usual_advice(code)) << code;
    }
}

TEST(ErrorLine, StaysOneLineWhateverAFileIsCalled) {
    EXPECT_EQ(error_line("add", {EIO, "a\nb\tc\x7f"}),
              "ublkd: add: a\\nb\\x09c\\x7f: Input/output error (see the kernel log: dmesg)");
}

TEST(ErrorJson, HasCodeErrnoMessageAndHint) {
    const auto json = error_json({EBUSY, "delete 3", "unmount it"});
    EXPECT_EQ(json.at("code"), 4);
    EXPECT_EQ(json.at("errno"), EBUSY);
    EXPECT_EQ(json.at("message"), "delete 3: Device or resource busy");
    EXPECT_EQ(json.at("hint"), "unmount it");
}

TEST(PrintJson, IsValidForNamesThatAreNotUtf8) {
    testing::internal::CaptureStdout();
    print_json({{"error", error_json({EIO, "file=\xff\xfe"})}});
    const auto json = parse_json(testing::internal::GetCapturedStdout());
    EXPECT_EQ(json.at("schema"), 1);
}

TEST(InContext, PutsTheContextInFront) {
    EXPECT_EQ(in_context("loop", {EIO, "open"}).step, "loop: open");
}

TEST(Meaning, IsThereForEveryExitCode) {
    for (int code = 0; code <= static_cast<int>(Exit::partial); ++code)
        EXPECT_FALSE(meaning(static_cast<Exit>(code)).empty()) << code;
}

} // namespace
} // namespace ublk::daemon
