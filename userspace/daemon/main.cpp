// SPDX-License-Identifier: GPL-2.0-or-later
// ublkd: attaches, detaches and describes userspace block devices.
#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "output.h"
#include "paths.h"
#include "standard_streams.h"
#include "verb.h"

namespace {

// The JSON library has functions that must not throw and do when memory runs out. Whatever else
// comes here is a mistake of ours.
[[noreturn]] void end_without_memory() {
    try {
        if (std::current_exception())
            throw;
    } catch (const std::bad_alloc&) {
        std::_Exit(static_cast<int>(ublk::daemon::say_out_of_memory()));
    } catch (...) { // what() is lost, but not the core
    }
    std::abort();
}

// Before other objects that live as long as the program are made, of memory as well.
[[gnu::constructor(101)]] void expect_the_worst() { std::set_terminate(end_without_memory); }

} // namespace

int main(int argc, char** argv) {
    if (auto filled = ublk::daemon::fill_standard_streams(); !filled) {
        const auto& error = filled.error();
        ublk::daemon::print_error_line(ublk::daemon::error_line("", error));
        return static_cast<int>(ublk::daemon::exit_code(error));
    }
    // A reader of the output that has gone is an error of the write, not a reason to die halfway.
    std::signal(SIGPIPE, SIG_IGN);
    // A caller that ignores the end of his children must not keep us from learning how ours ended.
    std::signal(SIGCHLD, SIG_DFL);
    try {
        const std::vector<std::string> words(argv + (argc > 0), argv + argc);
        return static_cast<int>(
            ublk::daemon::run_command(words, ublk::daemon::Paths::from_environment()));
    } catch (const std::exception&) {
        return static_cast<int>(ublk::daemon::say_out_of_memory());
    }
}
