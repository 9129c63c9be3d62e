// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd completion`: prints the script that makes a shell complete command lines, and answers what
// that script asks.
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "completion.h"
#include "output.h"
#include "verb.h"

namespace ublk::daemon {

namespace {

class Completion final : public Verb {
public:
    std::string_view name() const override { return "completion"; }
    std::string_view summary() const override {
        return "print what makes bash, zsh or fish complete command lines";
    }

    void declare(Arguments& arguments) override {
        arguments.word("SHELL", shell_, "bash, zsh or fish", Need::required);
        arguments.words("WORD", words_, "for the scripts: see below");
    }

    std::string notes() const override {
        return "\nThe packages install it. By hand, for bash: . <(ublkd completion bash)\n"
               "\n`ublkd completion words -- WORD...` prints what may stand in place of the last\n"
               "word, one to a line, with what it means behind a tab; the first word is the verb.\n"
               "A line \":files\" stands for names of files behind what follows it.\n";
    }

    Result<Exit> run(const Context& context) override {
        if (shell_ == "words") {
            print_suggestions(suggest(make_verbs(), words_, context.paths), context);
            return Exit::ok;
        }
        auto script = completion_script(shell_);
        if (!script)
            return script.error();
        if (!words_.empty())
            return Error{EINVAL, fmt::format("words behind {}", shell_),
                         "only ublkd completion words takes words", ErrorKind::usage};
        if (context.json)
            print_json({{"script", *script}});
        else
            print(*script);
        return Exit::ok;
    }

private:
    static void print_suggestions(const Suggestions& found, const Context& context) {
        if (context.json) {
            auto words = nlohmann::ordered_json::array();
            for (const Suggestion& one : found.words)
                words.push_back({{"word", one.word}, {"help", one.help}});
            nlohmann::ordered_json json{{"words", std::move(words)}, {"files", nullptr}};
            if (found.files)
                json["files"] = found.in_front;
            print_json(json);
            return;
        }
        for (const Suggestion& one : found.words)
            print(one.help.empty() ? one.word + "\n" : fmt::format("{}\t{}\n", one.word, one.help));
        if (found.files)
            print(":files" + found.in_front + "\n");
    }

    std::string shell_;
    std::vector<std::string> words_;
};

} // namespace

std::unique_ptr<Verb> make_completion() { return std::make_unique<Completion>(); }

} // namespace ublk::daemon
