// SPDX-License-Identifier: GPL-2.0-or-later
// The program itself, called by somebody who has closed standard streams.

#include "daemon/standard_streams.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/file.h"
#include "daemon/verb.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

class ClosedStreams : public testing::TestWithParam<unsigned> {
protected:
    static bool is_closed(int stream) { return GetParam() & (1U << stream); }
    static void close_streams() {
        for (int stream : {0, 1, 2})
            if (is_closed(stream))
                ::close(stream);
    }

    // Its exit code, or -1.
    static int run(std::vector<std::string> words, const std::string& state) {
        std::vector<char*> arguments;
        for (std::string& word : words)
            arguments.push_back(word.data());
        arguments.push_back(nullptr);
        const pid_t child = ::fork();
        if (child == 0) {
            ::setenv("UBLKD_STATE_DIR", state.c_str(), 1);
            close_streams();
            ::execv(UBLKD_PROGRAM, arguments.data());
            ::_exit(127);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
};

// Here all verbs that need a driver fail, and say so on what they take for standard error.
TEST_P(ClosedStreams, NothingIsWrittenToABackingThatGotTheirNumber) {
    const test::TemporaryDirectory directory;
    // It has a partition table for other sectors, which is told while it is open: the messages of
    // the rest come when it is closed again.
    std::string content(128U << 10, 0);
    content.replace(4096, 8, "EFI PART");
    content[4096 + 24] = 1;
    const std::string image = directory.write("disk", content);
    const std::string before = *read_file(image);
    const std::vector<std::vector<std::string>> lines{
        {"add", "loop", "file=" + image, "--foreground", "--number", "1048575"},
        {"add", "loop", "file=" + image, "--number", "1048575"},
        {"add", "loop", "file=" + image, "--number", "1048575", "--json"},
        {"add", "loop", "file=" + image, "direct=no", "--copy=shmem", "--foreground"},
        {"add", "loop", "file=" + image, "direct=no", "--copy=shmem"},
        {"recover", "1048575", "--foreground"},
        {"recover", "1048575"},
        {"del", "1048575"},
        {"list"},
        {"show", "1048575"},
        {"resize", "1048575", "1M"},
        {"filter", "1048575", "delay"},
        {"command", "1048575", "status"},
        {"stats", "1048575"},
        {"quiesce", "1048575"},
        {"stop", "1048575"},
        {"reclaim"},
        {"doctor"},
        {"completion", "bash"},
        {"features"},
        {"targets"},
        {"filters"},
        {"help"},
        {"version"}};
    for (const auto& verb : make_verbs())
        EXPECT_TRUE(std::any_of(lines.begin(), lines.end(),
                                [&](const auto& words) { return words[0] == verb->name(); }))
            << verb->name() << " is left out";
    for (std::vector<std::string> words : lines) {
        words.insert(words.begin(), "ublkd");
        EXPECT_GE(run(words, directory.path("state")), 0) << words[1];
        EXPECT_EQ(*read_file(image), before) << words[1];
    }
}

TEST_P(ClosedStreams, OutputThatIsLostIsAnErrorAsBefore) {
    const test::TemporaryDirectory directory;
    EXPECT_EQ(run({"ublkd", "version"}, directory.path("state")), is_closed(1) ? 5 : 0);
}

TEST_P(ClosedStreams, NothingElseGetsTheirNumber) {
    const pid_t child = ::fork();
    if (child == 0) {
        close_streams();
        const bool filled = fill_standard_streams().ok();
        const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        const bool writable = ::write(STDOUT_FILENO, "", 1) == 1;
        ::_exit(filled && next > STDERR_FILENO && writable == !is_closed(STDOUT_FILENO) ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
}

INSTANTIATE_TEST_SUITE_P(Of, ClosedStreams, testing::Range(0U, 8U));

} // namespace
} // namespace ublk::daemon
