// SPDX-License-Identifier: GPL-2.0-or-later
// A stack is what a disk is made of: a target, what it stands on if it stands on others, and the
// filters in front of it. Here it is checked and built from words.
#ifndef UBLK_TARGETS_STACK_H
#define UBLK_TARGETS_STACK_H

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <ublk/target.h>

namespace ublk::targets {

struct Layer {
    std::string name;
    std::map<std::string, std::string> options{};

    bool operator==(const Layer&) const = default;
};

struct Stack {
    Layer target;
    std::vector<Stack> children{}; // what it stands on: of a mirror, its legs
    std::vector<Layer> filters{};  // outermost first

    bool operator==(const Stack&) const = default;
};

// "NAME" or "NAME:key=value,key=value"; a comma in a value is written as "\,".
Result<Layer> parse_filter(std::string_view text);
// "NAME key=value key=value | FILTER:key=value | FILTER", the filters outermost first; a space in a
// word is written as "\ ". "missing" is a child that there is not.
Result<Stack> parse_child(std::string_view text);
bool is_missing(const Stack& child);
Result<Layer> parse_target(std::string_view name, const std::vector<std::string>& words);

// Replaces the values of all options that are paths: by what they are called by anybody anywhere,
// say. Errors name the layer.
using NameRule = std::function<Result<std::string>(std::string_view option, const std::string&)>;
Result<void> rename_paths(Stack& stack, const NameRule& rule);

struct Built {
    std::unique_ptr<Target> target;
    // Those in it, which belong to it, in the order of layers_of(); nullptr for those of a child
    // that is missing.
    std::vector<Target*> layers;
};

// Creates all layers, the innermost first. `request` is about the disk as a whole: its block sizes
// go to what is inside, its size as TargetInfo::size_inside says. What comes of it has that size
// unless something inside could not, which whoever asked for the size has to see. Errors name the
// layer and the child. A child that cannot be made is missing, which standard error tells, if the
// disk exists already (the request has a size) and another child can be made; unless it is busy,
// which may pass.
Result<Built> build_layers(const Stack& stack, const GeometryRequest& request);
// Without the layers.
Result<std::unique_ptr<Target>> build(const Stack& stack, const GeometryRequest& request);

// "mirror(loop,loop)" with filters in front: "delay,error,loop".
std::string describe(const Stack& stack);

} // namespace ublk::targets

#endif
