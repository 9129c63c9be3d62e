// SPDX-License-Identifier: GPL-2.0-or-later
// What stands in the way of disks on this machine, or will one day: looked for before somebody has
// to. Each thing to look at is one function and one line in the table of diagnosis.cpp.
#ifndef UBLKD_DIAGNOSIS_H
#define UBLKD_DIAGNOSIS_H

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ublk/control.h>

#include "paths.h"
#include "report.h"

namespace ublk::daemon {

// good: nothing to do. doubtful: works now, and may not for everybody or for ever. bad: something
// does not work.
enum class Verdict { good, doubtful, bad };
std::string_view name_of(Verdict verdict);

struct Finding {
    std::string_view check; // what was looked at, one word: "driver"
    Verdict verdict = Verdict::good;
    std::string what;         // what was seen
    std::string remedy{};     // what to type or to change; empty if there is nothing to do
    Exit exit = Exit::driver; // of a program that meets this, when it is bad
};

// The machine that is looked at; tests make one of files.
struct Machine {
    Paths paths{};
    std::string kernel{};                 // uname -r
    std::string modules = "/lib/modules"; // of all kernels
    std::string udev = "/run/udev";       // where it listens, if it runs
    int ring_error = 0;                   // errno of io_uring_setup(2), 0: it works
    bool privileged = true;               // whether limits can be lifted: CAP_SYS_RESOURCE
    std::vector<DeviceInfo> devices{};    // of all programs; empty without a driver

    // This one.
    static Machine here(const Paths& paths);
};

// In the order of the table, at least one for each of its lines. Throws std::bad_alloc.
std::vector<Finding> diagnose(const Machine& machine);

} // namespace ublk::daemon

#endif
