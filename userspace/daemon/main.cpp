// SPDX-License-Identifier: GPL-2.0-or-later
// ublkd: attaches, detaches and describes userspace block devices.
#include <csignal>
#include <string>
#include <vector>

#include "output.h"
#include "paths.h"
#include "standard_streams.h"
#include "verb.h"

int main(int argc, char** argv) {
    if (auto filled = ublk::daemon::fill_standard_streams(); !filled) {
        const auto& error = filled.error();
        ublk::daemon::print_error_line(ublk::daemon::error_line("", error));
        return static_cast<int>(ublk::daemon::exit_code(error));
    }
    // A reader of the output that has gone is an error of the write, not a reason to die halfway.
    std::signal(SIGPIPE, SIG_IGN);
    const std::vector<std::string> words(argv + (argc > 0), argv + argc);
    return static_cast<int>(
        ublk::daemon::run_command(words, ublk::daemon::Paths::from_environment()));
}
