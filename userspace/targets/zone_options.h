// SPDX-License-Identifier: GPL-2.0-or-later
// The keys of the `zoned` target, and what layout they ask for.
#ifndef UBLK_TARGETS_ZONE_OPTIONS_H
#define UBLK_TARGETS_ZONE_OPTIONS_H

#include <span>

#include <ublk/geometry.h>
#include <ublk/options.h>

#include "zones.h"

namespace ublk::targets {

extern const std::span<const OptionInfo> zone_options;

// Of a disk to be made.
Result<ZoneLayout> layout_of(const OptionValues& values, const GeometryRequest& request);

// Whether the keys that were given say what a file says already.
Result<void> agree(const OptionValues& values, const GeometryRequest& request,
                   const ZoneLayout& found);

} // namespace ublk::targets

#endif
