// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd targets`: what a device can be made of, and with which keys.
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <ublk/options.h>

#include "../targets/registry.h"
#include "output.h"
#include "table.h"
#include "verb.h"

namespace ublk::daemon {

using nlohmann::ordered_json;

namespace {

ordered_json describe(const TargetInfo& target) {
    ordered_json keys = ordered_json::array();
    for (const OptionInfo& option : target.options)
        keys.push_back({{"key", option.name},
                        {"type", name_of(option.type)},
                        {"required", option.required},
                        {"default", option.default_value},
                        {"help", option.help}});
    return {{"name", target.name}, {"summary", target.summary}, {"keys", keys}};
}

std::string key_table(const TargetInfo& target) {
    std::vector<Row> rows{{"KEY", "TYPE", "DEFAULT", "MEANING"}};
    for (const OptionInfo& option : target.options)
        rows.push_back({std::string(option.name), std::string(name_of(option.type)),
                        option.required ? "(required)" : std::string(option.default_value),
                        std::string(option.help)});
    return format_table(rows);
}

class Targets final : public Verb {
public:
    std::string_view name() const override { return "targets"; }
    std::string_view summary() const override { return "list the targets, or the keys of one"; }

    void declare(Arguments& arguments) override {
        arguments.word("NAME", target_, "target to explain", Need::optional);
    }

    Result<Exit> run(const Context& context) override {
        if (target_.empty()) {
            if (context.json)
                print_json(list_json());
            else
                print(list_table());
            return Exit::ok;
        }
        auto target = targets::find(target_);
        if (!target)
            return target.error();
        if (context.json)
            print_json({{"target", describe(**target)}});
        else
            print(fmt::format("{}: {}\n{}", (*target)->name, (*target)->summary,
                              key_table(**target)));
        return Exit::ok;
    }

private:
    static ordered_json list_json() {
        ordered_json built = ordered_json::array();
        for (const TargetInfo* target : targets::all())
            built.push_back(describe(*target));
        ordered_json missing = ordered_json::array();
        for (const auto& target : targets::missing())
            missing.push_back({{"name", target.name}, {"reason", target.reason}});
        return {{"targets", built}, {"missing", missing}};
    }

    static std::string list_table() {
        std::vector<Row> rows{{"TARGET", "SUMMARY"}};
        for (const TargetInfo* target : targets::all())
            rows.push_back({std::string(target->name), std::string(target->summary)});
        for (const auto& target : targets::missing())
            rows.push_back(
                {std::string(target.name), fmt::format("not in this build: {}", target.reason)});
        return format_table(rows);
    }

    std::string target_;
};

} // namespace

std::unique_ptr<Verb> make_targets() { return std::make_unique<Targets>(); }

} // namespace ublk::daemon
