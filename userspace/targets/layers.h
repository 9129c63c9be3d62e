// SPDX-License-Identifier: GPL-2.0-or-later
// The layers of a stack in one line, and how one of them is named: by what it is, "delay", or if
// there are several of these by "delay#1", "delay#2", which counts them from the outside.
#ifndef UBLK_TARGETS_LAYERS_H
#define UBLK_TARGETS_LAYERS_H

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stack.h"

namespace ublk::targets {

struct PlacedLayer {
    std::string label;             // as find_layer() takes it; each has another
    unsigned depth;                // how many others it is a child of
    std::optional<unsigned> child; // which of its parent's it is the outermost layer of
    bool is_filter;
    Layer layer;
};

// Filters, the outermost first; the target; what that stands on.
std::vector<PlacedLayer> layers_of(const Stack& stack);

// Its place. A usage error says which there are, or which there are of that name.
Result<std::size_t> find_layer(const std::vector<PlacedLayer>& layers, std::string_view name);

// The layer itself, to be changed.
Layer& layer_at(Stack& stack, std::size_t place);

// All options that the layer has by now: those that were given, and the defaults of others. A layer
// of another version may lack what this one knows.
Result<OptionValues> values_of(const PlacedLayer& placed);
Result<OptionValues> values_of(const TargetInfo& info, const Layer& layer);
const TargetInfo* info_of(const PlacedLayer& placed); // nullptr: this build lacks it

} // namespace ublk::targets

#endif
