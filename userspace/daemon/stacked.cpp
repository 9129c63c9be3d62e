// SPDX-License-Identifier: GPL-2.0-or-later
// Reads in sysfs what a device on top of others is. No program or library of theirs is asked: those
// read the disks, and one of them may be ours, without a server.
#include "stacked.h"

#include <fmt/format.h>

#include "file.h"

namespace ublk::daemon {

std::string volume_name(std::string_view mapping) {
    std::string name;
    bool in_volume = false;
    for (std::size_t at = 0; at < mapping.size(); ++at) {
        const bool doubled = mapping.substr(at).starts_with("--");
        if (mapping[at] == '-' && !doubled && !in_volume) {
            name += '/';
            in_volume = true;
            continue;
        }
        name += mapping[at];
        at += doubled ? 1 : 0;
    }
    return name;
}

static StackedDevice describe_mapping(const std::string& name, const std::string& uuid) {
    if (uuid.starts_with("LVM-")) {
        const std::string volume = volume_name(name);
        return {"logical volume " + volume, "vgchange -an " + volume.substr(0, volume.find('/'))};
    }
    if (uuid.starts_with("CRYPT-"))
        return {"encrypted disk " + name, "cryptsetup close " + name};
    if (uuid.starts_with("mpath-"))
        return {"multipath disk " + name, "multipath -f " + name};
    return {"mapping " + name, "dmsetup remove " + name};
}

StackedDevice describe_stacked(const Paths& paths, const std::string& name) {
    const std::string sysfs = fmt::format("{}/block/{}", paths.sys, name);
    if (const std::string mapping = read_word(sysfs + "/dm/name"); !mapping.empty())
        return describe_mapping(mapping, read_word(sysfs + "/dm/uuid"));
    if (const std::string level = read_word(sysfs + "/md/level"); !level.empty())
        return {level + " array", "mdadm --stop /dev/" + name};
    if (name.starts_with("bcache"))
        return {"bcache", fmt::format("echo 1 > /sys/block/{}/bcache/stop", name)};
    return {};
}

} // namespace ublk::daemon
