// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the users of a block device in procfs and sysfs. Nothing here opens the device or follows a
// path that a dead file system could block on.
#include "holders.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <ublk/control.h>

#include "file.h"
#include "mountinfo.h"
#include "number.h"
#include "stacked.h"

namespace ublk::daemon {

namespace {

constexpr std::chrono::milliseconds longest_look{50};
constexpr int most_ancestors = 64; // of a process: more than any chain has, so a loop ends

// The disk, one of its partitions, or a device on top of one.
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

void add_mounts(const Paths& paths, const std::vector<Node>& nodes, std::vector<Holder>& holders) {
    std::set<std::string> seen_namespaces{read_link(paths.proc + "/self/ns/mnt")};
    for (const std::string& point : mount_points(paths.proc + "/self/mountinfo", nodes))
        holders.push_back({"mounted on " + point, "umount " + point});

    for (const std::string& pid : list_directory(paths.proc)) {
        if (!is_number(pid))
            continue;
        const std::string process = paths.proc + "/" + pid;
        std::string mount_namespace = read_link(process + "/ns/mnt");
        if (mount_namespace.empty() || !seen_namespaces.insert(mount_namespace).second)
            continue;
        for (const std::string& point : mount_points(process + "/mountinfo", nodes))
            holders.push_back(
                {fmt::format("mounted on {} in the mount namespace of process {} ({})", point, pid,
                             read_word(process + "/comm")),
                 fmt::format("nsenter -t {} -m umount {}", pid, point)});
    }
}

// Those of the nodes that are swaps.
std::vector<std::string> swaps_among(const Paths& paths, const std::vector<Node>& nodes) {
    std::vector<std::string> found;
    auto swaps = read_file(paths.proc + "/swaps");
    std::istringstream lines(swaps ? *swaps : "");
    for (std::string line; std::getline(lines, line);) {
        const std::string path = line.substr(0, line.find_first_of(" \t"));
        if (is_one_of(nodes, path))
            found.push_back(path);
    }
    return found;
}

void add_swap(const Paths& paths, const std::vector<Node>& nodes, std::vector<Holder>& holders) {
    for (const std::string& path : swaps_among(paths, nodes))
        holders.push_back({"used as swap", "swapoff " + path});
}

// With who uses it, so that the way out can begin there. What lies on top of such a device in turn
// is not looked at: it is in the way of its own removal, which then says so.
Holder describe_holder(const Paths& paths, const std::string& name) {
    const StackedDevice device = describe_stacked(paths, name);
    if (device.title.empty())
        return {"held by " + name};
    const std::vector<Node> nodes{{name, read_word(paths.sys + "/block/" + name + "/dev")}};
    Holder holder{fmt::format("held by {} ({}", name, device.title)};
    for (const std::string& point : mount_points(paths.proc + "/self/mountinfo", nodes)) {
        holder.what += ", mounted on " + point;
        holder.way_out += fmt::format("umount {}; ", point);
    }
    holder.what += ")";
    holder.way_out += device.way_out;
    return holder;
}

void add_stacked_devices(const Paths& paths, const std::vector<Node>& nodes,
                         std::vector<Holder>& holders) {
    for (const Node& node : nodes)
        for (const std::string& name :
             list_directory(paths.sys + "/dev/block/" + node.number + "/holders"))
            holders.push_back(describe_holder(paths, name));
    // The kernel's loop driver opens its backing without being listed as a holder.
    for (const std::string& name : list_directory(paths.sys + "/block"))
        if (name.starts_with("loop") &&
            is_one_of(nodes, read_word(paths.sys + "/block/" + name + "/loop/backing_file")))
            holders.push_back({"backs " + name, "losetup -d /dev/" + name});
}

// What a descriptor refers to; the kernel marks the node of a disk that was stopped meanwhile.
std::string opened_path(const std::string& descriptor) {
    static constexpr std::string_view mark = " (deleted)";
    std::string path = read_link(descriptor);
    if (path.ends_with(mark))
        path.resize(path.size() - mark.size());
    return path;
}

bool is_udev(const std::string& name) {
    static constexpr std::array udev = {"(udev-worker)", "systemd-udevd", "udevd"};
    return std::find(udev.begin(), udev.end(), name) != udev.end();
}

// Is it udev's, or has a worker of udev started it, or whoever that has started?
bool is_probe(const Paths& paths, pid_t pid) {
    for (int i = 0; pid > 1 && i < most_ancestors; ++i) {
        if (is_udev(process_name(paths, pid)))
            return true;
        pid = parent_of(paths, pid);
    }
    return false;
}

bool has_open(const Paths& paths, const std::string& pid, const std::vector<Node>& nodes) {
    const std::string directory = fmt::format("{}/{}/fd", paths.proc, pid);
    const auto descriptors = list_directory(directory);
    return std::any_of(descriptors.begin(), descriptors.end(), [&](const std::string& fd) {
        return is_one_of(nodes, opened_path(fmt::format("{}/{}", directory, fd)));
    });
}

std::vector<pid_t> openers(const Paths& paths, const std::vector<Node>& nodes) {
    const std::string self = read_link(paths.proc + "/self"); // may have inherited one
    std::vector<pid_t> pids;
    for (const std::string& pid : list_directory(paths.proc))
        if (auto number = parse_number(pid); number && pid != self && has_open(paths, pid, nodes))
            pids.push_back(static_cast<pid_t>(*number));
    return pids;
}

struct Found {
    std::vector<Holder> holders{};
    std::vector<pid_t> probes{};
};

Found look(const Paths& paths, int number) {
    const auto nodes = disk_and_partitions(paths, number);
    Found found;
    add_mounts(paths, nodes, found.holders);
    add_swap(paths, nodes, found.holders);
    add_stacked_devices(paths, nodes, found.holders);
    for (pid_t pid : openers(paths, nodes)) {
        if (is_probe(paths, pid))
            found.probes.push_back(pid);
        else
            found.holders.push_back(
                {fmt::format("open in process {} ({})", pid, process_name(paths, pid))});
    }
    return found;
}

} // namespace

std::vector<Holder> find_holders(const Paths& paths, int number) {
    return look(paths, number).holders;
}

std::vector<Holder> find_lasting_holders(const Paths& paths, int number, Deadline deadline) {
    for (;;) {
        Found found = look(paths, number);
        if (found.probes.empty() || !found.holders.empty())
            return found.holders;
        if (Clock::now() >= deadline) {
            for (pid_t pid : found.probes)
                found.holders.push_back(
                    {fmt::format("open in process {} ({}) of udev", pid, process_name(paths, pid)),
                     "udevadm settle"});
            return found.holders;
        }
        // A worker lives on when it has closed the disk.
        static_cast<void>(ProcessHandle(found.probes.front())
                              .wait_until_gone(std::min(deadline, Clock::now() + longest_look)));
    }
}

std::vector<std::string> find_mounts_of(const Paths& paths, int number, pid_t process) {
    const auto points = mount_points(fmt::format("{}/{}/mountinfo", paths.proc, process),
                                     disk_and_partitions(paths, number));
    return {points.begin(), points.end()};
}

bool is_swap(const Paths& paths, int number) {
    return !swaps_among(paths, disk_and_partitions(paths, number)).empty();
}

std::vector<Holder> find_stacked_devices(const Paths& paths, int number) {
    std::vector<Holder> holders;
    add_stacked_devices(paths, disk_and_partitions(paths, number), holders);
    return holders;
}

Error busy(int number, const std::vector<Holder>& holders, std::string_view way_out) {
    std::vector<std::string> what;
    std::vector<std::string> commands;
    for (const Holder& holder : holders) {
        what.push_back(holder.what);
        if (!holder.way_out.empty() &&
            std::find(commands.begin(), commands.end(), holder.way_out) == commands.end())
            commands.push_back(holder.way_out);
    }
    const std::string first =
        commands.empty() ? "let go of it first"
                         : fmt::format("let go of it first: {}", fmt::join(commands, "; "));
    return Error{EBUSY, fmt::format("{} is {}", block_device_path(number), fmt::join(what, ", ")),
                 fmt::format("{}, or {}", first, way_out)};
}

} // namespace ublk::daemon
