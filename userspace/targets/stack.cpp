// SPDX-License-Identifier: GPL-2.0-or-later
// Builds stacks from the inside out.
#include "stack.h"

#include <cerrno>

#include "registry.h"

namespace ublk::targets {

namespace {

Error in_layer(std::string_view name, Error error) {
    error.step = std::string(name) + ": " + error.step;
    return error;
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

Result<OptionValues> values_of(const TargetInfo& info, const Layer& layer) {
    std::vector<std::string> words;
    for (const auto& [key, value] : layer.options)
        words.emplace_back(key).append("=").append(value);
    auto values = parse_options(info.options, words);
    return values ? values : Result<OptionValues>{in_layer(layer.name, values.error())};
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
        return values.error();
    return Plan{*info, layer.name, *std::move(values), request};
}

Result<std::unique_ptr<Target>> put_on(std::vector<std::unique_ptr<Target>> inner,
                                       const Plan& plan) {
    const TargetInfo& info = *plan.info;
    if (inner.size() < info.least || inner.size() > info.most)
        return Error{EINVAL, plan.name,
                     "it stands on " + std::to_string(info.least) + " to " +
                         std::to_string(info.most) + " others: --child 'TARGET KEY=VALUE...'",
                     ErrorKind::usage};
    auto made = info.wrap ? info.wrap(std::move(inner), plan.values, plan.request)
                          : info.create(plan.values, plan.request);
    if (!made)
        return in_layer(plan.name, made.error());
    if (auto valid = validate((*made)->geometry()); !valid)
        return in_layer(plan.name, valid.error());
    return made;
}

// The target, and what it stands on.
Result<Built> build_target(const Stack& stack, const Plan& plan) {
    std::vector<std::unique_ptr<Target>> children;
    std::vector<Target*> layers{nullptr};
    for (const Stack& child : stack.children) {
        auto built = build_layers(child, plan.inside());
        if (!built)
            return in_layer(plan.name, built.error());
        layers.insert(layers.end(), built->layers.begin(), built->layers.end());
        children.push_back(std::move(built->target));
    }
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
    auto words = split(text, ' ');
    if (words.empty())
        return Error{EINVAL, "child ''", "write it as --child 'TARGET KEY=VALUE...'",
                     ErrorKind::usage};
    const std::string name = words.front();
    words.erase(words.begin());
    auto layer = parse_target(name, words);
    if (!layer)
        return layer.error();
    return Stack{*std::move(layer)};
}

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
    for (Stack& child : stack.children)
        if (auto renamed = rename_paths(child, rule); !renamed)
            return in_layer(stack.target.name, renamed.error());
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
