// SPDX-License-Identifier: GPL-2.0-or-later
// Verb is what follows `ublkd` on the command line: each has one file verb_NAME.cpp and one line in
// the list of all verbs.
#ifndef UBLKD_VERB_H
#define UBLKD_VERB_H

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ublk/result.h>

#include "arguments.h"
#include "paths.h"
#include "report.h"

namespace ublk::daemon {

struct Context {
    Paths paths{};
    bool json = false;
};

class Verb {
public:
    Verb() = default;
    Verb(const Verb&) = delete;
    Verb& operator=(const Verb&) = delete;
    virtual ~Verb() = default;

    virtual std::string_view name() const = 0;
    virtual std::string_view summary() const = 0;

    // Declares options and arguments, which are stored in this object. --json is there already.
    virtual void declare(Arguments& arguments) = 0;

    // Shown below the options by `ublkd help VERB`.
    virtual std::string notes() const { return {}; }

    // Prints its result. Errors of parts that it went on after are printed, too, and told by the
    // exit code.
    virtual Result<Exit> run(const Context& context) = 0;
};

std::unique_ptr<Verb> make_add();
std::unique_ptr<Verb> make_del();
std::unique_ptr<Verb> make_list();
std::unique_ptr<Verb> make_show();
std::unique_ptr<Verb> make_resize();
std::unique_ptr<Verb> make_filter();
std::unique_ptr<Verb> make_command();
std::unique_ptr<Verb> make_stats();
std::unique_ptr<Verb> make_stop();
std::unique_ptr<Verb> make_quiesce();
std::unique_ptr<Verb> make_recover();
std::unique_ptr<Verb> make_reclaim();
std::unique_ptr<Verb> make_doctor();
std::unique_ptr<Verb> make_features();
std::unique_ptr<Verb> make_targets();
std::unique_ptr<Verb> make_filters();
std::unique_ptr<Verb> make_completion();
std::unique_ptr<Verb> make_help();
std::unique_ptr<Verb> make_version();

using Verbs = std::vector<std::unique_ptr<Verb>>;
Verbs make_verbs();

// ENOENT-like usage error that lists the verbs.
Result<Verb*> find_verb(const Verbs& verbs, std::string_view name);

// Options, arguments, notes and exit codes of one verb.
std::string help_text(Verb& verb);
// The same, not put into words yet.
VerbDescription describe(Verb& verb);

// Runs one command line without the program's name and prints what comes of it.
Exit run_command(const std::vector<std::string>& words, const Paths& paths) noexcept;

// The last resort, which needs no memory itself.
Exit say_out_of_memory() noexcept;

} // namespace ublk::daemon

#endif
