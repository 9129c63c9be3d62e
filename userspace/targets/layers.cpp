// SPDX-License-Identifier: GPL-2.0-or-later
// Walks through stacks.
#include "layers.h"

#include <cassert>
#include <cerrno>
#include <charconv>
#include <utility>

#include "registry.h"

namespace ublk::targets {

namespace {

void add_layers(const Stack& stack, unsigned depth, std::optional<unsigned> child,
                std::vector<PlacedLayer>& layers) {
    for (const Layer& filter : stack.filters)
        layers.push_back({filter.name, depth, std::exchange(child, std::nullopt), true, filter});
    layers.push_back({stack.target.name, depth, child, false, stack.target});
    for (std::size_t i = 0; i < stack.children.size(); ++i)
        add_layers(stack.children[i], depth + 1, static_cast<unsigned>(i), layers);
}

std::vector<std::size_t> places_of(const std::vector<PlacedLayer>& layers, std::string_view name) {
    std::vector<std::size_t> places;
    for (std::size_t place = 0; place < layers.size(); ++place)
        if (layers[place].layer.name == name)
            places.push_back(place);
    return places;
}

std::string labels(const std::vector<PlacedLayer>& layers, const std::vector<std::size_t>& places) {
    std::string text;
    for (const std::size_t place : places)
        text.append(text.empty() ? "" : ", ").append(layers[place].label);
    return text;
}

// Behind the '#'; 0: that is no number.
std::size_t ordinal_in(std::string_view text) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? number : 0;
}

Layer* nth_layer(Stack& stack, std::size_t& place) {
    for (Layer& filter : stack.filters)
        if (place-- == 0)
            return &filter;
    if (place-- == 0)
        return &stack.target;
    for (Stack& child : stack.children)
        if (Layer* found = nth_layer(child, place))
            return found;
    return nullptr;
}

} // namespace

std::vector<PlacedLayer> layers_of(const Stack& stack) {
    std::vector<PlacedLayer> layers;
    add_layers(stack, 0, std::nullopt, layers);
    for (std::size_t place = 0; place < layers.size(); ++place) {
        const auto same = places_of(layers, layers[place].layer.name);
        for (std::size_t i = 0; same.size() > 1 && i < same.size(); ++i)
            if (same[i] == place)
                layers[place].label += "#" + std::to_string(i + 1);
    }
    return layers;
}

Result<std::size_t> find_layer(const std::vector<PlacedLayer>& layers, std::string_view name) {
    const auto mark = name.find('#');
    const auto places = places_of(layers, name.substr(0, mark));
    const std::string step = "layer '" + std::string(name) + "'";
    if (places.empty()) {
        std::string all;
        for (const PlacedLayer& layer : layers)
            all.append(all.empty() ? "" : ", ").append(layer.label);
        return Error{ENOENT, step, "this disk has " + all, ErrorKind::usage};
    }
    if (mark == std::string_view::npos && places.size() == 1)
        return places.front();
    if (mark != std::string_view::npos)
        if (const std::size_t ordinal = ordinal_in(name.substr(mark + 1));
            ordinal >= 1 && ordinal <= places.size())
            return places[ordinal - 1];
    return Error{EINVAL, step, "say which, counted from the outside: " + labels(layers, places),
                 ErrorKind::usage};
}

Layer& layer_at(Stack& stack, std::size_t place) {
    Layer* layer = nth_layer(stack, place);
    assert(layer && "no such place");
    return *layer;
}

const TargetInfo* info_of(const PlacedLayer& placed) {
    const auto info = placed.is_filter ? find_filter(placed.layer.name) : find(placed.layer.name);
    return info ? *info : nullptr;
}

Result<OptionValues> values_of(const PlacedLayer& placed) {
    const TargetInfo* info = info_of(placed);
    if (!info)
        return Error{ENOENT, "layer '" + placed.label + "'", "this build lacks it"};
    return values_of(*info, placed.layer);
}

Result<OptionValues> values_of(const TargetInfo& info, const Layer& layer) {
    std::vector<std::string> words;
    for (const auto& [key, value] : layer.options)
        words.emplace_back(key).append("=").append(value);
    return parse_options(info.options, words);
}

} // namespace ublk::targets
