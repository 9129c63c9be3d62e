// SPDX-License-Identifier: GPL-2.0-or-later
// Builds stacks from the inside out.
#include "stack.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <span>

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

const OptionInfo* find_option(const TargetInfo& info, std::string_view name) {
    for (const OptionInfo& option : info.options)
        if (option.name == name)
            return &option;
    return nullptr;
}

// The server's working directory is another one.
std::string absolute(const std::string& path) {
    std::error_code error;
    const auto absolute = std::filesystem::absolute(path, error);
    return error ? path : absolute.string();
}

Result<Layer> parse_layer(const TargetInfo& info, const std::vector<std::string>& words) {
    // Says what is wrong with a word; defaults stay out of what is kept.
    if (auto checked = parse_options(info.options, words); !checked)
        return in_layer(info.name, checked.error());
    Layer layer{std::string(info.name)};
    for (const std::string& word : words) {
        const auto equals = word.find('=');
        const std::string key = word.substr(0, equals);
        const std::string value = word.substr(equals + 1);
        const bool is_path = find_option(info, key)->type == OptionType::path;
        layer.options[key] = is_path ? absolute(value) : value;
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

Error wrong_children(const TargetInfo& info) {
    std::string hint = "it stands by itself: leave --child out";
    if (info.most)
        hint = "it stands on " + std::to_string(info.least) + " to " + std::to_string(info.most) +
               " others: --child 'TARGET KEY=VALUE...' for each";
    return Error{EINVAL, "children", std::move(hint), ErrorKind::usage};
}

Result<std::unique_ptr<Target>> put_on(std::vector<std::unique_ptr<Target>> inner,
                                       const TargetInfo& info, const Layer& layer,
                                       const GeometryRequest& request) {
    auto values = values_of(info, layer);
    if (!values)
        return values.error();
    if (inner.size() < info.least || inner.size() > info.most)
        return in_layer(layer.name, wrong_children(info));
    auto made =
        info.wrap ? info.wrap(std::move(inner), *values, request) : info.create(*values, request);
    if (!made)
        return in_layer(layer.name, made.error());
    if (auto valid = validate((*made)->geometry()); !valid)
        return in_layer(layer.name, valid.error());
    return made;
}

// A disk that exists already has a size, which says nothing of what is under something else.
GeometryRequest without_size_if(bool covered, GeometryRequest request) {
    if (covered)
        request.size_bytes = 0;
    return request;
}

using Children = std::vector<std::unique_ptr<Target>>;

// A disk that is there already goes on with what is left of it.
bool may_do_without(const Error& error, const GeometryRequest& request) {
    return request.size_bytes != 0 && error.code != EBUSY;
}

Result<Children> build_children(const Stack& stack, const GeometryRequest& request) {
    Children children;
    std::optional<Error> left_out;
    for (std::size_t i = 0; i < stack.children.size(); ++i) {
        if (is_missing(stack.children[i])) {
            children.push_back(nullptr);
            continue;
        }
        auto made = build(stack.children[i], without_size_if(true, request));
        if (!made) {
            left_out = in_layer(stack.target.name, in_child(i, made.error()));
            if (!may_do_without(*left_out, request))
                return *left_out;
            std::fprintf(stderr, "ublkd: %s; going on without it\n", left_out->message().c_str());
        }
        children.push_back(made ? *std::move(made) : nullptr);
    }
    const bool none = !children.empty() &&
                      std::all_of(children.begin(), children.end(), [](auto& one) { return !one; });
    if (none)
        return left_out ? *left_out
                        : Error{EINVAL, stack.target.name, "all its children are missing",
                                ErrorKind::usage};
    return children;
}

Result<std::unique_ptr<Target>> check_size(Result<std::unique_ptr<Target>> made,
                                           const GeometryRequest& request) {
    if (!made || !request.size_bytes)
        return made;
    const std::uint64_t size = (*made)->geometry().size_bytes;
    if (size == request.size_bytes)
        return made;
    return Error{ENODATA, "size",
                 "the disk has " + std::to_string(request.size_bytes) +
                     " bytes, what it is made of " + std::to_string(size),
                 ErrorKind::backend};
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

std::string format_filter(const Layer& layer) {
    std::string text = layer.name;
    const char* separator = ":";
    for (const auto& [key, value] : layer.options) {
        text.append(separator).append(key).append("=");
        for (const char character : value) {
            if (character == ',' || character == '\\')
                text += '\\';
            text += character;
        }
        separator = ",";
    }
    return text;
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

std::string format_child(const Stack& child) {
    const auto add = [](std::string text, std::string_view word) {
        text += ' ';
        for (const char character : word) {
            if (character == ' ' || character == '\\')
                text += '\\';
            text += character;
        }
        return text;
    };
    std::string text = child.target.name;
    for (const auto& [key, value] : child.target.options)
        text = add(text, key + "=" + value);
    for (const Layer& filter : child.filters)
        text = add(text + " |", format_filter(filter));
    return text;
}

bool is_missing(const Stack& child) { return child.target.name == missing_child; }

Result<std::unique_ptr<Target>> build(const Stack& stack, const GeometryRequest& request) {
    auto info = find(stack.target.name);
    if (!info)
        return info.error();
    auto children = build_children(stack, request);
    if (!children)
        return children.error();
    const GeometryRequest inside = without_size_if(!stack.filters.empty(), request);
    auto made = put_on(*std::move(children), **info, stack.target, inside);
    for (auto filter = stack.filters.rbegin(); made && filter != stack.filters.rend(); ++filter) {
        auto filter_info = find_filter(filter->name);
        if (!filter_info)
            return filter_info.error();
        std::vector<std::unique_ptr<Target>> inner;
        inner.push_back(*std::move(made));
        made = put_on(std::move(inner), **filter_info, *filter, inside);
    }
    return check_size(std::move(made), request);
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
