// SPDX-License-Identifier: GPL-2.0-or-later
// Builds stacks from the inside out.
#include "stack.h"

#include <cerrno>
#include <filesystem>

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

Result<std::unique_ptr<Target>> put_on(std::vector<std::unique_ptr<Target>> inner,
                                       const TargetInfo& info, const Layer& layer,
                                       const GeometryRequest& request) {
    auto values = values_of(info, layer);
    if (!values)
        return values.error();
    if (inner.size() < info.least || inner.size() > info.most)
        return Error{EINVAL, layer.name,
                     "it stands on " + std::to_string(info.least) + " to " +
                         std::to_string(info.most) + " others: --child 'TARGET KEY=VALUE...'",
                     ErrorKind::usage};
    auto made =
        info.wrap ? info.wrap(std::move(inner), *values, request) : info.create(*values, request);
    if (!made)
        return in_layer(layer.name, made.error());
    if (auto valid = validate((*made)->geometry()); !valid)
        return in_layer(layer.name, valid.error());
    return made;
}

// A disk that exists already has a size, which says nothing of what is under such a stack.
GeometryRequest request_for_inside(const Stack& stack, GeometryRequest request) {
    if (!stack.filters.empty() || !stack.children.empty())
        request.size_bytes = 0;
    return request;
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

Result<std::unique_ptr<Target>> build(const Stack& stack, const GeometryRequest& request) {
    const GeometryRequest inside = request_for_inside(stack, request);
    auto info = find(stack.target.name);
    if (!info)
        return info.error();
    std::vector<std::unique_ptr<Target>> children;
    for (const Stack& child : stack.children) {
        auto made = build(child, inside);
        if (!made)
            return in_layer(stack.target.name, made.error());
        children.push_back(*std::move(made));
    }
    auto made = put_on(std::move(children), **info, stack.target, inside);
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
