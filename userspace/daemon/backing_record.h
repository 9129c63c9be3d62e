// SPDX-License-Identifier: GPL-2.0-or-later
// What a device's record says of its backing: which files and disks that is, whatever their names
// mean by now, and how it is used.
#ifndef UBLKD_BACKING_RECORD_H
#define UBLKD_BACKING_RECORD_H

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <ublk/identity.h>
#include <ublk/target.h>

namespace ublk::daemon {

struct BackingRecord {
    std::vector<BackingUse> uses{}; // empty: none, or written before there were any
    std::optional<bool> direct{};   // Target::is_direct()
    std::vector<std::string> remarks{};
};

BackingRecord backing_record_of(const Target& target);

// What a name stands for now; no things if it stands for nothing.
BackingUse use_of_name(const std::string& path, BackingUse::Access access);

// Parts of a record; what an old one lacks stays empty. Throws what nlohmann's accessors throw.
void add_to_json(nlohmann::ordered_json& json, const BackingRecord& backing);
BackingRecord backing_from_json(const nlohmann::ordered_json& json);

// "file 8:1 inode 1234", "disk 7:0 number 5, 1048576 bytes from 0 on"
std::string describe_identity(const Identity& identity);
// For `show`.
nlohmann::ordered_json backing_json(const BackingRecord& backing);

} // namespace ublk::daemon

#endif
