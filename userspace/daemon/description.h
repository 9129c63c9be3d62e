// SPDX-License-Identifier: GPL-2.0-or-later
// What a verb takes, noted while the verb declares it for the parser: the manual and the completion
// are made of this, so they cannot know other options than the parser does.
#ifndef UBLKD_DESCRIPTION_H
#define UBLKD_DESCRIPTION_H

#include <string>
#include <vector>

namespace ublk::daemon {

struct ArgumentDescription {
    std::string name; // of a word: "DEV"; else its flags: "-n,--number"
    std::string unit; // of an option's value: "BYTES"; empty: it has none
    std::string help;
    std::vector<std::string> values{}; // the only ones it takes; empty: others
    bool required = false;
    bool repeats = false;

    // Of "-n,--number" {"-n", "--number"}.
    std::vector<std::string> flags() const;
};

struct VerbDescription {
    std::string name;
    std::string summary;
    std::string notes;
    std::vector<ArgumentDescription> words{};
    std::vector<ArgumentDescription> options{};
};

} // namespace ublk::daemon

#endif
