// SPDX-License-Identifier: GPL-2.0-or-later
// The manual pages, made of what `ublkd help`, `targets` and `filters` print.
#ifndef UBLKD_MANUAL_H
#define UBLKD_MANUAL_H

#include <string>
#include <string_view>
#include <vector>

#include "verb.h"

namespace ublk::daemon {

struct ManualPage {
    std::string file; // "ublkd-loop.7"
    std::string text; // for man(1), in the macros of man(7)
};

// One of the program, and one of each target and filter.
std::vector<ManualPage> manual_pages(const Verbs& verbs);

// So that text is shown as it is: "-" not as a dash, and a line that begins with a dot.
std::string escape_for_man(std::string_view text);

} // namespace ublk::daemon

#endif
