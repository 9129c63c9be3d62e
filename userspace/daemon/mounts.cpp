// SPDX-License-Identifier: GPL-2.0-or-later
// Unshares the mount namespace and empties it of all that a server does not need.
#include "mounts.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <sched.h>
#include <sys/mount.h>

#include "file.h"
#include "mountinfo.h"

namespace ublk::daemon {

static bool lies_below(const std::string& path, const std::string& directory) {
    return directory == "/" || path == directory || path.starts_with(directory + "/");
}

std::vector<std::string> mounts_to_drop(const std::string& mountinfo, const Paths& paths,
                                        const std::vector<std::string>& kept) {
    std::vector<std::string> needed{paths.dev, paths.proc, paths.sys, paths.state};
    for (const std::string& name : kept) {
        // Mounts have the names that are left when all links are followed.
        std::error_code error;
        const auto place = std::filesystem::weakly_canonical(name, error);
        needed.push_back(error ? name : place.string());
    }
    std::vector<std::string> points;
    for (const Mount& mount : parse_mountinfo(mountinfo)) {
        const bool holds_needed =
            std::any_of(needed.begin(), needed.end(),
                        [&](const std::string& path) { return lies_below(path, mount.point); });
        if (!holds_needed)
            points.push_back(mount.point);
    }
    std::reverse(points.begin(), points.end());
    return points;
}

Result<void> leave_mount_namespace(const Paths& paths, const std::vector<std::string>& kept) {
    if (::unshare(CLONE_NEWNS) < 0)
        return Error{
            errno, "unshare the mount namespace",
            "this needs CAP_SYS_ADMIN, and a seccomp filter that allows unshare; run as root"};
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) < 0)
        return Error{errno, "make the mounts private",
                     errno == EINVAL ? "in a chroot, make its root a mount point" : ""};

    auto mountinfo = read_file(paths.proc + "/self/mountinfo");
    if (!mountinfo)
        return mountinfo.error();
    // One below a mount that has gone already, or locked by a container, cannot be dropped.
    for (const std::string& point : mounts_to_drop(*mountinfo, paths, kept))
        ::umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    return {};
}

} // namespace ublk::daemon
