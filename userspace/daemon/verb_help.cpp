// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd help` and `ublkd version`.
#include <string>

#include <nlohmann/json.hpp>

#include "output.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

namespace {

class Help final : public Verb {
public:
    std::string_view name() const override { return "help"; }
    std::string_view summary() const override { return "explain the verbs, or one of them"; }

    void declare(Arguments& arguments) override {
        arguments.word("VERB", verb_, "verb to explain", Need::optional);
    }

    Result<Exit> run(const Context& context) override {
        const Verbs verbs = make_verbs();
        if (verb_.empty()) {
            print_text(overview(verbs), context);
            return Exit::ok;
        }
        auto verb = find_verb(verbs, verb_);
        if (!verb)
            return verb.error();
        print_text(help_text(**verb), context);
        return Exit::ok;
    }

private:
    static std::string overview(const Verbs& verbs) {
        std::vector<Row> rows;
        for (const auto& verb : verbs)
            rows.push_back({"  " + std::string(verb->name()), std::string(verb->summary())});
        return "Userspace block devices.\nUsage: ublkd VERB [ARGUMENTS]\n\nVerbs:\n" +
               format_table(rows) + "\nublkd help VERB tells more.\n";
    }

    static void print_text(const std::string& text, const Context& context) {
        if (context.json)
            print_json({{"help", text}});
        else
            print(text);
    }

    std::string verb_;
};

class Version final : public Verb {
public:
    std::string_view name() const override { return "version"; }
    std::string_view summary() const override { return "print the version"; }
    void declare(Arguments&) override {}

    Result<Exit> run(const Context& context) override {
        if (context.json)
            print_json({{"version", UBLKD_VERSION}});
        else
            print("ublkd " UBLKD_VERSION "\n");
        return Exit::ok;
    }
};

} // namespace

std::unique_ptr<Verb> make_help() { return std::make_unique<Help>(); }

std::unique_ptr<Verb> make_version() { return std::make_unique<Version>(); }

} // namespace ublk::daemon
