// SPDX-License-Identifier: GPL-2.0-or-later
// Builds stacks from the inside out.
#include "stack.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "layers.h"
#include "registry.h"

namespace ublk::targets {

namespace {

constexpr std::string_view missing_child = "missing";

Error in_layer(std::string_view name, Error error) {
    error.step = std::string(name) + ": " + error.step;
    return error;
}

Error in_child(std::size_t index, Error error) {
    return in_layer("child " + std::to_string(index), std::move(error));
}

// Separated by `separator` unless that stands behind a backslash.
std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts{""};
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escaped = text[i] == '\\' && i + 1 < text.size() &&
                             (text[i + 1] == separator || text[i + 1] == '\\');
        if (escaped)
            parts.back() += text[++i];
        else if (text[i] == separator)
            parts.emplace_back();
        else
            parts.back() += text[i];
    }
    std::erase_if(parts, [](const std::string& part) { return part.empty(); });
    return parts;
}

Result<Layer> parse_layer(const TargetInfo& info, const std::vector<std::string>& words) {
    // Says what is wrong with a word; defaults stay out of what is kept.
    if (auto checked = parse_options(info.options, words); !checked)
        return in_layer(info.name, checked.error());
    Layer layer{std::string(info.name)};
    for (const std::string& word : words) {
        const auto equals = word.find('=');
        layer.options[word.substr(0, equals)] = word.substr(equals + 1);
    }
    return layer;
}

Error wrong_children(const TargetInfo& info) {
    std::string hint = "it stands by itself: leave --child out";
    if (info.most)
        hint = "it stands on " + std::to_string(info.least) + " to " + std::to_string(info.most) +
               " others: --child 'TARGET KEY=VALUE...' for each";
    return Error{EINVAL, "children", std::move(hint), ErrorKind::usage};
}

// A layer that is to be made.
struct Plan {
    const TargetInfo* info = nullptr;
    std::string name{};
    OptionValues values{};
    GeometryRequest request{};

    // What is wanted of those that it stands on.
    GeometryRequest inside() const {
        GeometryRequest inside = request;
        if (inside.size_bytes && info->size_inside)
            inside.size_bytes = info->size_inside(values, inside.size_bytes);
        return inside;
    }
};

Result<Plan> plan_for(const Result<const TargetInfo*>& info, const Layer& layer,
                      const GeometryRequest& request) {
    if (!info)
        return info.error();
    auto values = values_of(**info, layer);
    if (!values)
        return in_layer(layer.name, values.error());
    return Plan{*info, layer.name, *std::move(values), request};
}

Result<std::unique_ptr<Target>> put_on(std::vector<std::unique_ptr<Target>> inner,
                                       const Plan& plan) {
    const TargetInfo& info = *plan.info;
    if (inner.size() < info.least || inner.size() > info.most)
        return in_layer(plan.name, wrong_children(info));
    auto made = info.wrap ? info.wrap(std::move(inner), plan.values, plan.request)
                          : info.create(plan.values, plan.request);
    if (!made)
        return in_layer(plan.name, made.error());
    if (auto valid = validate((*made)->geometry()); !valid)
        return in_layer(plan.name, valid.error());
    return made;
}

using Children = std::vector<std::unique_ptr<Target>>;

// A disk that is there already goes on with what is left of it.
bool may_do_without(const Error& error, const GeometryRequest& request) {
    return request.size_bytes != 0 && error.code != EBUSY;
}

// What children are asked for: unless their parent says so, the size of the whole means nothing.
GeometryRequest request_for_children(const Plan& plan) {
    GeometryRequest inside = plan.inside();
    if (!plan.info->size_inside)
        inside.size_bytes = 0;
    return inside;
}

Result<void> check_any(const Children& children, const std::optional<Error>& left_out,
                       const Plan& plan) {
    const bool none = !children.empty() &&
                      std::all_of(children.begin(), children.end(), [](auto& one) { return !one; });
    if (!none)
        return {};
    return left_out ? *left_out
                    : Error{EINVAL, plan.name, "all its children are missing", ErrorKind::usage};
}

// Nothing of a child that is missing, but for the places of its layers.
Built missing(const Stack& child) {
    return {nullptr, std::vector<Target*>(layers_of(child).size(), nullptr)};
}

// The target, and what it stands on.
Result<Built> build_target(const Stack& stack, const Plan& plan) {
    Children children;
    std::vector<Target*> layers{nullptr};
    std::optional<Error> left_out;
    for (std::size_t i = 0; i < stack.children.size(); ++i) {
        const Stack& child = stack.children[i];
        Result<Built> built = is_missing(child) ? Result<Built>{missing(child)}
                                                : build_layers(child, request_for_children(plan));
        if (!built) {
            left_out = in_layer(plan.name, in_child(i, built.error()));
            if (!may_do_without(*left_out, plan.request))
                return *left_out;
            std::fprintf(stderr, "ublkd: %s; going on without it\n", left_out->message().c_str());
            built = missing(child);
        }
        layers.insert(layers.end(), built->layers.begin(), built->layers.end());
        children.push_back(std::move(built->target));
    }
    if (auto any = check_any(children, left_out, plan); !any)
        return any.error();
    auto made = put_on(std::move(children), plan);
    if (!made)
        return made.error();
    layers.front() = made->get();
    return Built{*std::move(made), std::move(layers)};
}

Result<void> rename_paths(const TargetInfo& info, Layer& layer, const NameRule& rule) {
    for (const OptionInfo& option : info.options) {
        const auto value = layer.options.find(std::string(option.name));
        if (option.type != OptionType::path || value == layer.options.end())
            continue;
        auto name = rule(option.name, value->second);
        if (!name)
            return in_layer(layer.name, name.error());
        value->second = *std::move(name);
    }
    return {};
}

} // namespace

Result<Layer> parse_filter(std::string_view text) {
    const auto colon = text.find(':');
    auto info = find_filter(text.substr(0, colon));
    if (!info)
        return info.error();
    const auto words = colon == std::string_view::npos ? "" : text.substr(colon + 1);
    return parse_layer(**info, split(words, ','));
}

Result<Layer> parse_target(std::string_view name, const std::vector<std::string>& words) {
    auto info = find(name);
    if (!info)
        return info.error();
    return parse_layer(**info, words);
}

Result<Stack> parse_child(std::string_view text) {
    const auto words = split(text, ' ');
    if (words.empty())
        return Error{EINVAL, "child ''", "write it as --child 'TARGET KEY=VALUE...'",
                     ErrorKind::usage};
    const auto bar = std::find(words.begin(), words.end(), "|");
    if (words.front() == missing_child && words.size() == 1)
        return Stack{Layer{words.front()}};
    auto layer = parse_target(words.front(), {words.begin() + (bar != words.begin()), bar});
    if (!layer)
        return layer.error();
    Stack child{*std::move(layer)};
    for (auto word = bar; word != words.end(); word += 2) {
        if (*word != "|" || word + 1 == words.end())
            return Error{EINVAL, "child '" + std::string(text) + "'",
                         "write filters as 'TARGET KEY=VALUE... | FILTER:KEY=VALUE | FILTER'",
                         ErrorKind::usage};
        auto filter = parse_filter(word[1]);
        if (!filter)
            return filter.error();
        child.filters.push_back(*std::move(filter));
    }
    return child;
}

bool is_missing(const Stack& child) { return child.target.name == missing_child; }

Result<void> rename_paths(Stack& stack, const NameRule& rule) {
    auto info = find(stack.target.name);
    if (!info)
        return info.error();
    if (auto renamed = rename_paths(**info, stack.target, rule); !renamed)
        return renamed;
    for (Layer& filter : stack.filters) {
        auto filter_info = find_filter(filter.name);
        if (!filter_info)
            return filter_info.error();
        if (auto renamed = rename_paths(**filter_info, filter, rule); !renamed)
            return renamed;
    }
    for (std::size_t i = 0; i < stack.children.size(); ++i) {
        if (is_missing(stack.children[i]))
            continue;
        if (auto renamed = rename_paths(stack.children[i], rule); !renamed)
            return in_layer(stack.target.name, in_child(i, renamed.error()));
    }
    return {};
}

// What each layer is to be follows from the outside in, and then they are made from the inside out.
Result<Built> build_layers(const Stack& stack, const GeometryRequest& request) {
    std::vector<Plan> filters;
    GeometryRequest wanted = request;
    for (const Layer& filter : stack.filters) {
        auto plan = plan_for(find_filter(filter.name), filter, wanted);
        if (!plan)
            return plan.error();
        wanted = plan->inside();
        filters.push_back(*std::move(plan));
    }
    auto plan = plan_for(find(stack.target.name), stack.target, wanted);
    if (!plan)
        return plan.error();
    auto built = build_target(stack, *plan);
    for (auto filter = filters.rbegin(); built && filter != filters.rend(); ++filter) {
        std::vector<std::unique_ptr<Target>> inner;
        inner.push_back(std::move(built->target));
        auto made = put_on(std::move(inner), *filter);
        if (!made)
            return made.error();
        built->target = *std::move(made);
        built->layers.insert(built->layers.begin(), built->target.get());
    }
    return built;
}

Result<std::unique_ptr<Target>> build(const Stack& stack, const GeometryRequest& request) {
    auto built = build_layers(stack, request);
    if (!built)
        return built.error();
    return std::move(built->target);
}

std::string describe(const Stack& stack) {
    std::string text;
    for (const Layer& filter : stack.filters)
        text += filter.name + ",";
    text += stack.target.name;
    for (std::size_t i = 0; i < stack.children.size(); ++i)
        text.append(i ? "," : "(").append(describe(stack.children[i]));
    return stack.children.empty() ? text : text + ")";
}

} // namespace ublk::targets
