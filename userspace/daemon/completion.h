// SPDX-License-Identifier: GPL-2.0-or-later
// What may stand at a place of the command line. The shells ask for it at every tab, so there is
// nothing in their scripts that could grow old.
#ifndef UBLKD_COMPLETION_H
#define UBLKD_COMPLETION_H

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ublk/result.h>

#include "paths.h"
#include "verb.h"

namespace ublk::daemon {

struct Suggestion {
    std::string word; // all of it; what ends with '=', ':' or '/' goes on without a space
    std::string help{};

    bool operator==(const Suggestion&) const = default;
};

struct Suggestions {
    std::vector<Suggestion> words{};
    bool files = false;     // also names of files,
    std::string in_front{}; // behind this: of "file=/tm" "file="
};

// For the last of the words, which may be empty or half written; the first is the verb.
Suggestions suggest(const Verbs& verbs, std::span<const std::string> words, const Paths& paths);

// The script that has a shell ask: bash, zsh or fish. A usage error that lists them for others.
Result<std::string_view> completion_script(std::string_view shell);
std::vector<std::string> completed_shells();

} // namespace ublk::daemon

#endif
