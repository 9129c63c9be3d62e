// SPDX-License-Identifier: GPL-2.0-or-later
// ublkd: attaches, detaches and describes userspace block devices.
#include <csignal>
#include <exception>
#include <string>
#include <vector>

#include "paths.h"
#include "verb.h"

int main(int argc, char** argv) {
    // A reader of the output that has gone is an error of the write, not a reason to die halfway.
    std::signal(SIGPIPE, SIG_IGN);
    try {
        const std::vector<std::string> words(argv + (argc > 0), argv + argc);
        return static_cast<int>(
            ublk::daemon::run_command(words, ublk::daemon::Paths::from_environment()));
    } catch (const std::exception&) {
        return static_cast<int>(ublk::daemon::say_out_of_memory());
    }
}
