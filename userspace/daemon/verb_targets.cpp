// SPDX-License-Identifier: GPL-2.0-or-later
// `ublkd targets` and `ublkd filters`: what a device can be made of, and with which keys.
#include <span>
#include <string>
#include <string_view>

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

// What there is of one kind.
struct Catalog {
    std::string_view name; // of the verb, and in JSON
    std::string_view summary;
    std::string_view one; // in JSON
    std::string_view heading;
    std::string_view help; // of the verb's argument
    std::span<const TargetInfo* const> (*all)();
    Result<const TargetInfo*> (*find)(std::string_view name);
    std::span<const targets::MissingTarget> (*missing)();
};

constexpr Catalog targets_catalog{"targets",
                                  "list the targets, or the keys of one",
                                  "target",
                                  "TARGET",
                                  "target to explain",
                                  targets::all,
                                  targets::find,
                                  targets::missing};
constexpr Catalog filters_catalog{
    "filters",
    "list the filters that can stand in front of a target, or the keys of one",
    "filter",
    "FILTER",
    "filter to explain",
    targets::filters,
    targets::find_filter,
    [] { return std::span<const targets::MissingTarget>{}; }};

class Browse final : public Verb {
public:
    explicit Browse(const Catalog& catalog) : catalog_(catalog) {}

    std::string_view name() const override { return catalog_.name; }
    std::string_view summary() const override { return catalog_.summary; }

    void declare(Arguments& arguments) override {
        arguments.word(catalog_.heading.data(), chosen_, catalog_.help.data(), Need::optional);
    }

    Result<Exit> run(const Context& context) override {
        if (chosen_.empty()) {
            if (context.json)
                print_json(list_json());
            else
                print(list_table());
            return Exit::ok;
        }
        auto info = catalog_.find(chosen_);
        if (!info)
            return info.error();
        if (context.json)
            print_json({{std::string(catalog_.one), describe(**info)}});
        else
            print(fmt::format("{}: {}\n{}", (*info)->name, (*info)->summary, key_table(**info)));
        return Exit::ok;
    }

private:
    ordered_json list_json() const {
        ordered_json built = ordered_json::array();
        for (const TargetInfo* info : catalog_.all())
            built.push_back(describe(*info));
        ordered_json missing = ordered_json::array();
        for (const auto& target : catalog_.missing())
            missing.push_back({{"name", target.name}, {"reason", target.reason}});
        return {{std::string(catalog_.name), built}, {"missing", missing}};
    }

    std::string list_table() const {
        std::vector<Row> rows{{std::string(catalog_.heading), "SUMMARY"}};
        for (const TargetInfo* info : catalog_.all())
            rows.push_back({std::string(info->name), std::string(info->summary)});
        for (const auto& target : catalog_.missing())
            rows.push_back(
                {std::string(target.name), fmt::format("not in this build: {}", target.reason)});
        return format_table(rows);
    }

    const Catalog& catalog_;
    std::string chosen_;
};

} // namespace

std::unique_ptr<Verb> make_targets() { return std::make_unique<Browse>(targets_catalog); }
std::unique_ptr<Verb> make_filters() { return std::make_unique<Browse>(filters_catalog); }

} // namespace ublk::daemon
