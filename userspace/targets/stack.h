// SPDX-License-Identifier: GPL-2.0-or-later
// A stack is what a disk is made of: a target, what it stands on if it stands on others, and the
// filters in front of it. Here it is checked and built from words.
#ifndef UBLK_TARGETS_STACK_H
#define UBLK_TARGETS_STACK_H

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

// "NAME" or "NAME:key=value,key=value"; a comma in a value is written as "\,". Options whose values
// are paths are made absolute.
Result<Layer> parse_filter(std::string_view text);
// The same the other way round.
std::string format_filter(const Layer& layer);
// "NAME key=value key=value | FILTER:key=value | FILTER", the filters outermost first; a space in a
// word is written as "\ ". "missing" is a child that there is not.
Result<Stack> parse_child(std::string_view text);
// The same the other way round.
std::string format_child(const Stack& child);
bool is_missing(const Stack& child);
Result<Layer> parse_target(std::string_view name, const std::vector<std::string>& words);

// Creates all layers, the innermost first. `request` is about the disk as a whole: its block sizes
// go to what is inside, its size only to a stack in which no layer changes it. Errors name the
// layer and the child. A child that cannot be made is missing, which standard error tells, if the
// disk exists already (the request has a size) and another child can be made; unless it is busy,
// which may pass.
Result<std::unique_ptr<Target>> build(const Stack& stack, const GeometryRequest& request);

// "mirror(loop,loop)" with filters in front: "delay,error,loop".
std::string describe(const Stack& stack);

} // namespace ublk::targets

#endif
