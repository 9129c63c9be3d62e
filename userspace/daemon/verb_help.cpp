// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd help` and `ublkd version`.
#include <cerrno>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "file.h"
#include "manual.h"
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
        arguments.option("--man", "DIR", manual_,
                         "write the manual into a directory: ublkd(8), and a page of each target "
                         "and filter");
    }

    Result<Exit> run(const Context& context) override {
        const Verbs verbs = make_verbs();
        if (manual_ && !verb_.empty())
            return Error{EINVAL, "both VERB and --man", "the manual is of all verbs; give one",
                         ErrorKind::usage};
        if (manual_)
            return write_manual(verbs, context);
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

    // Prints where the pages are.
    Result<Exit> write_manual(const Verbs& verbs, const Context& context) const {
        nlohmann::ordered_json files = nlohmann::ordered_json::array();
        for (const ManualPage& page : manual_pages(verbs)) {
            const std::string path = *manual_ + "/" + page.file;
            if (auto written = write_file(path, page.text); !written)
                return written.error();
            files.push_back(path);
            if (!context.json)
                print(path + "\n");
        }
        if (context.json)
            print_json({{"files", files}});
        return Exit::ok;
    }

    static void print_text(const std::string& text, const Context& context) {
        if (context.json)
            print_json({{"help", text}});
        else
            print(text);
    }

    std::string verb_;
    std::optional<std::string> manual_;
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
