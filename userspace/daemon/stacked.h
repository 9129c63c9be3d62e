// SPDX-License-Identifier: GPL-2.0-or-later
// A device that is made of other devices, in the words of those who made it: volume group and
// logical volume, the mapping of an encrypted disk, an array.
#ifndef UBLKD_STACKED_H
#define UBLKD_STACKED_H

#include <string>
#include <string_view>

#include "paths.h"

namespace ublk::daemon {

struct StackedDevice {
    std::string title{};   // "logical volume vg/lv"; empty for what is not known
    std::string way_out{}; // the command that takes it apart
};

// Of a name in /sys/block.
StackedDevice describe_stacked(const Paths& paths, const std::string& name);

// "vg--a-lv" of the device mapper is "vg-a/lv".
std::string volume_name(std::string_view mapping);

} // namespace ublk::daemon

#endif
