// SPDX-License-Identifier: GPL-2.0-or-later
// Names of empty files beside the records, which say what the backings of each are. One look at the
// names of all files finds the few records that a new disk may be in conflict with.
#ifndef UBLKD_BACKING_INDEX_H
#define UBLKD_BACKING_INDEX_H

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <ublk/identity.h>

namespace ublk::daemon {

struct IndexEntry {
    int number = -1;                 // of the device
    std::optional<Identity> thing{}; // as far as the name says; none: the device has no backing
};

// "4.uses-file-801-1267"; at least one, so that a record without any name is known to be older.
std::set<std::string> index_names(int number, const std::vector<BackingUse>& uses);

// Nothing for other names.
std::optional<IndexEntry> parse_index_name(std::string_view name);

// False if the two have surely no byte in common.
bool may_meet(const Identity& one, const Identity& other);

} // namespace ublk::daemon

#endif
