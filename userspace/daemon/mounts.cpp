// SPDX-License-Identifier: GPL-2.0-or-later
// Unshares the mount namespace and empties it of all that a server does not need.
#include "mounts.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iterator>
#include <system_error>

#include <sched.h>
#include <sys/mount.h>

#include "file.h"
#include "mountinfo.h"

namespace ublk::daemon {

static bool lies_below(const std::string& path, const std::string& directory) {
    return directory == "/" || path == directory || path.starts_with(directory + "/");
}

// Where a name leads, of which the end need not exist yet.
static std::string real_path(const std::string& name) {
    std::error_code error;
    const auto real = std::filesystem::weakly_canonical(name, error);
    return error ? name : real.string();
}

std::vector<std::string> mounts_to_drop(const std::string& mountinfo, const Paths& paths,
                                        const std::vector<std::string>& also) {
    std::vector<std::string> needed{paths.dev, paths.proc, paths.sys, paths.state};
    std::transform(also.begin(), also.end(), std::back_inserter(needed), real_path);
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

Result<void> leave_mount_namespace(const Paths& paths, const std::vector<std::string>& also) {
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
    for (const std::string& point : mounts_to_drop(*mountinfo, paths, also))
        ::umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
    return {};
}

} // namespace ublk::daemon
