// SPDX-License-Identifier: GPL-2.0-or-later
// How a verb declares what may follow it on the command line, without the parser's large headers.
#ifndef UBLKD_ARGUMENTS_H
#define UBLKD_ARGUMENTS_H

#include <optional>
#include <string>
#include <vector>

#include "description.h"

namespace CLI {
class App;
}

namespace ublk::daemon {

enum class Need { optional, required };

// Where the values are put must outlive the parsing.
class Arguments {
public:
    Arguments(CLI::App& app, VerbDescription& description) : app_(app), description_(description) {}

    // The name says what the completion offers: see completion.cpp.
    void word(const char* name, std::string& value, const char* help, Need need);
    void words(const char* name, std::vector<std::string>& values, const char* help);
    // flags such as "-n,--number"; unit is what help shows in place of the value
    void option(const char* flags, const char* unit, std::optional<std::string>& value,
                const char* help);
    // The same, of which the values are known. Whether it is one of them is the verb's to check.
    void choice(const char* flags, const char* unit, std::optional<std::string>& value,
                const char* help, std::vector<std::string> values);
    // One value each time it is given.
    void options(const char* flags, const char* unit, std::vector<std::string>& values,
                 const char* help);
    void flag(const char* flags, bool& value, const char* help);

private:
    CLI::App& app_;
    VerbDescription& description_;
};

} // namespace ublk::daemon

#endif
