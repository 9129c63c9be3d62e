// SPDX-License-Identifier: GPL-2.0-or-later
// A file on an overlay is also a file in one of its layers, where it has another inode.
#ifndef UBLK_TARGETS_OVERLAY_H
#define UBLK_TARGETS_OVERLAY_H

#include <string>
#include <string_view>
#include <vector>

#include <ublk/unique_fd.h>

namespace ublk::targets {

// Where the layers of the overlay that `path` is on have that file: the upper one first. Empty if
// it is on no overlay. `mountinfo`: /proc/self/mountinfo.
std::vector<std::string> names_in_layers(std::string_view mountinfo, const std::string& path);

// The file in the layer that has it (O_PATH); empty if there is none, or it cannot be reached.
UniqueFd open_in_layer(int descriptor, const std::string& proc);

} // namespace ublk::targets

#endif
