// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the verb, parses its arguments and reports its errors.
#include "verb.h"

#include <algorithm>
#include <cerrno>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "output.h"
#include <CLI/CLI.hpp>
#include <unistd.h>

namespace ublk::daemon {

std::vector<std::string> ArgumentDescription::flags() const {
    std::vector<std::string> all;
    std::istringstream list{name};
    for (std::string flag; std::getline(list, flag, ',');)
        all.push_back(flag);
    return all;
}

void Arguments::word(const char* name, std::string& value, const char* help, Need need) {
    app_.add_option(name, value, help)->required(need == Need::required);
    description_.words.push_back({.name = name, .unit = {}, .help = help});
    description_.words.back().required = need == Need::required;
}

void Arguments::words(const char* name, std::vector<std::string>& values, const char* help) {
    app_.add_option(name, values, help);
    description_.words.push_back({.name = name, .unit = {}, .help = help});
    description_.words.back().repeats = true;
}

void Arguments::option(const char* flags, const char* unit, std::optional<std::string>& value,
                       const char* help) {
    choice(flags, unit, value, help, {});
}

void Arguments::choice(const char* flags, const char* unit, std::optional<std::string>& value,
                       const char* help, std::vector<std::string> values) {
    app_.add_option(flags, value, help)->type_name(unit);
    description_.options.push_back({.name = flags, .unit = unit, .help = help});
    description_.options.back().values = std::move(values);
}

void Arguments::options(const char* flags, const char* unit, std::vector<std::string>& values,
                        const char* help) {
    app_.add_option(flags, values, help)->type_name(unit)->allow_extra_args(false);
    description_.options.push_back({.name = flags, .unit = unit, .help = help});
    description_.options.back().repeats = true;
}

void Arguments::flag(const char* flags, bool& value, const char* help) {
    app_.add_flag(flags, value, help);
    description_.options.push_back({.name = flags, .unit = {}, .help = help});
}

Verbs make_verbs() {
    Verbs verbs;
    for (auto make :
         {make_add, make_del, make_list, make_show, make_resize, make_filter, make_command,
          make_stats, make_stop, make_quiesce, make_recover, make_reclaim, make_doctor,
          make_features, make_targets, make_filters, make_completion, make_help, make_version})
        verbs.push_back(make());
    return verbs;
}

Result<Verb*> find_verb(const Verbs& verbs, std::string_view name) {
    std::string names;
    for (const auto& verb : verbs) {
        if (verb->name() == name)
            return verb.get();
        names += fmt::format("{}{}", names.empty() ? "" : ", ", verb->name());
    }
    return Error{EINVAL, fmt::format("unknown verb '{}'", name), "verbs: " + names,
                 ErrorKind::usage};
}

static VerbDescription prepare(CLI::App& app, Verb& verb, bool& json) {
    VerbDescription description{std::string(verb.name()), std::string(verb.summary()),
                                verb.notes()};
    app.name("ublkd " + description.name);
    Arguments arguments(app, description);
    arguments.flag("--json", json, "print JSON, errors too");
    verb.declare(arguments);
    return description;
}

VerbDescription describe(Verb& verb) {
    bool json = false;
    CLI::App app;
    return prepare(app, verb, json);
}

std::string help_text(Verb& verb) {
    bool json = false;
    CLI::App app{std::string(verb.summary())};
    prepare(app, verb, json);
    std::string text = app.help() + verb.notes() + "\nExit codes:\n";
    for (int code = 0; code <= static_cast<int>(Exit::partial); ++code)
        text += fmt::format("  {}  {}\n", code, meaning(static_cast<Exit>(code)));
    return text;
}

static Exit report(std::string_view verb, const Error& error, bool json) {
    if (json)
        print_json({{"error", error_json(error)}});
    else
        print_error_line(error_line(verb, error));
    return exit_code(error);
}

// CLI11 throws on wrong usage and to ask for help.
static Result<Exit> parse_and_run(Verb& verb, const std::vector<std::string>& words,
                                  const Paths& paths) {
    Context context{paths, false};
    CLI::App app{std::string(verb.summary())};
    prepare(app, verb, context.json);
    try {
        app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
    } catch (const CLI::CallForHelp&) {
        print(help_text(verb));
        return Exit::ok;
    } catch (const CLI::ParseError& error) {
        return Error{EINVAL, error.what(), fmt::format("see ublkd help {}", verb.name()),
                     ErrorKind::usage};
    }
    return verb.run(context);
}

static Exit run_verb(const std::vector<std::string>& words, const Paths& paths) {
    const bool json = std::find(words.begin(), words.end(), "--json") != words.end();
    if (words.empty())
        return report("", Error{EINVAL, "no verb", "see ublkd help", ErrorKind::usage}, json);

    std::string name = words.front();
    if (name == "-h" || name == "--help")
        name = "help";
    if (name == "--version")
        name = "version";
    const Verbs verbs = make_verbs();
    auto verb = find_verb(verbs, name);
    if (!verb)
        return report("", verb.error(), json);

    auto outcome = parse_and_run(**verb, {words.begin() + 1, words.end()}, paths);
    if (!outcome)
        return report(name, outcome.error(), json);
    // What was printed may still be lost, when the disk is full or the reader has gone.
    if (auto flushed = flush_output(); !flushed)
        return report(name, flushed.error(), false);
    return *outcome;
}

Exit run_command(const std::vector<std::string>& words, const Paths& paths) noexcept {
    try {
        auto outcome = without_exceptions([&] { return Result<Exit>{run_verb(words, paths)}; });
        return outcome ? *outcome
                       : report(words.empty() ? "" : words.front(), outcome.error(), false);
    } catch (...) { // not even for an error line is there memory
        return say_out_of_memory();
    }
}

Exit say_out_of_memory() noexcept {
    static constexpr std::string_view line =
        "ublkd: get memory: Cannot allocate memory (free some memory, or raise the limit of this "
        "service's cgroup)\n";
    static_cast<void>(!::write(STDERR_FILENO, line.data(), line.size()));
    return Exit::backend;
}

} // namespace ublk::daemon
