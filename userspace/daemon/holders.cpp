// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the users of a block device in procfs and sysfs. Nothing here opens the device or follows a
// path that a dead file system could block on.
#include "holders.h"

#include <algorithm>
#include <array>
#include <set>
#include <sstream>
#include <string_view>

#include <fmt/format.h>

#include "file.h"
#include "mountinfo.h"
#include "number.h"
#include "process.h"

namespace ublk::daemon {

namespace {

// The disk or one of its partitions.
struct Node {
    std::string name;   // ublkb0p1
    std::string number; // MAJOR:MINOR
};

bool is_number(std::string_view text) { return parse_number(text).has_value(); }

std::vector<Node> disk_and_partitions(const Paths& paths, int number) {
    const std::string sysfs = paths.block_sysfs(number);
    const std::string disk = fmt::format("ublkb{}", number);
    std::vector<Node> nodes{{disk, read_word(sysfs + "/dev")}};
    for (const std::string& name : list_directory(sysfs))
        if (name.starts_with(disk + "p"))
            nodes.push_back({name, read_word(fmt::format("{}/{}/dev", sysfs, name))});
    return nodes;
}

bool is_one_of(const std::vector<Node>& nodes, const std::string& path) {
    return std::any_of(nodes.begin(), nodes.end(),
                       [&](const Node& node) { return path == "/dev/" + node.name; });
}

// Mount points of the nodes in one mountinfo file.
std::set<std::string> mount_points(const std::string& path, const std::vector<Node>& nodes) {
    std::set<std::string> points;
    auto mountinfo = read_file(path);
    for (const Mount& mount : parse_mountinfo(mountinfo ? *mountinfo : "")) {
        // btrfs and overlays have an anonymous number, so the source counts, too.
        bool ours = is_one_of(nodes, mount.source) ||
                    std::any_of(nodes.begin(), nodes.end(),
                                [&](const Node& node) { return node.number == mount.device; });
        if (ours)
            points.insert(mount.point);
    }
    return points;
}

void add_mounts(const Paths& paths, const std::vector<Node>& nodes,
                std::vector<std::string>& holders) {
    std::set<std::string> seen_namespaces{read_link(paths.proc + "/self/ns/mnt")};
    for (const std::string& point : mount_points(paths.proc + "/self/mountinfo", nodes))
        holders.push_back("mounted on " + point);

    for (const std::string& pid : list_directory(paths.proc)) {
        if (!is_number(pid))
            continue;
        const std::string process = paths.proc + "/" + pid;
        std::string mount_namespace = read_link(process + "/ns/mnt");
        if (mount_namespace.empty() || !seen_namespaces.insert(mount_namespace).second)
            continue;
        for (const std::string& point : mount_points(process + "/mountinfo", nodes))
            holders.push_back(fmt::format("mounted on {} in the mount namespace of process {} ({})",
                                          point, pid, read_word(process + "/comm")));
    }
}

void add_swap(const Paths& paths, const std::vector<Node>& nodes,
              std::vector<std::string>& holders) {
    auto swaps = read_file(paths.proc + "/swaps");
    std::istringstream lines(swaps ? *swaps : "");
    for (std::string line; std::getline(lines, line);)
        if (is_one_of(nodes, line.substr(0, line.find_first_of(" \t"))))
            holders.push_back("used as swap");
}

void add_stacked_devices(const Paths& paths, const std::vector<Node>& nodes,
                         std::vector<std::string>& holders) {
    for (const Node& node : nodes)
        for (const std::string& name :
             list_directory(paths.sys + "/dev/block/" + node.number + "/holders"))
            holders.push_back("held by " + name);
    // The kernel's loop driver opens its backing without being listed as a holder.
    for (const std::string& name : list_directory(paths.sys + "/block"))
        if (is_one_of(nodes, read_word(paths.sys + "/block/" + name + "/loop/backing_file")))
            holders.push_back("backs " + name);
}

// What a descriptor refers to; the kernel marks the node of a disk that was stopped meanwhile.
std::string opened_path(const std::string& descriptor) {
    static constexpr std::string_view mark = " (deleted)";
    std::string path = read_link(descriptor);
    if (path.ends_with(mark))
        path.resize(path.size() - mark.size());
    return path;
}

bool is_probe(const std::string& name) {
    static constexpr std::array probes = {"(udev-worker)", "systemd-udevd", "udevd"};
    return std::find(probes.begin(), probes.end(), name) != probes.end();
}

void add_openers(const Paths& paths, const std::vector<Node>& nodes,
                 std::vector<std::string>& holders) {
    const std::string self = read_link(paths.proc + "/self"); // may have inherited one
    for (const std::string& pid : list_directory(paths.proc)) {
        if (!is_number(pid) || pid == self)
            continue;
        const std::string process = paths.proc + "/" + pid;
        const auto descriptors = list_directory(process + "/fd");
        bool opened =
            std::any_of(descriptors.begin(), descriptors.end(), [&](const std::string& fd) {
                return is_one_of(nodes, opened_path(fmt::format("{}/fd/{}", process, fd)));
            });
        std::string name = opened ? read_word(process + "/comm") : "";
        if (opened && !is_probe(name))
            holders.push_back(fmt::format("open in process {} ({})", pid, name));
    }
}

} // namespace

std::vector<std::string> find_holders(const Paths& paths, int number) {
    const auto nodes = disk_and_partitions(paths, number);
    std::vector<std::string> holders;
    add_mounts(paths, nodes, holders);
    add_swap(paths, nodes, holders);
    add_stacked_devices(paths, nodes, holders);
    add_openers(paths, nodes, holders);
    return holders;
}

} // namespace ublk::daemon
