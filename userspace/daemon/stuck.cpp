// SPDX-License-Identifier: GPL-2.0-or-later
// Looks at the threads of a process in procfs. Which file system is frozen the kernel does not
// tell; it can only be that of a file which the process has open.
#include "stuck.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <set>
#include <string_view>
#include <sys/stat.h>
#include <vector>

#include "file.h"
#include "mountinfo.h"
#include "process.h"

namespace ublk::daemon {

namespace {

char state_of(const std::string& thread) {
    const std::string stat = read_word(thread + "/stat");
    const auto at = stat.rfind(") ");
    return at == std::string::npos ? 'X' : stat[at + 2];
}

// The control file of the cgroup that keeps a process from running; empty: none does.
std::string freezer_of(const Paths& paths, pid_t pid) {
    const std::string cgroups = read_word(fmt::format("{}/{}/cgroup", paths.proc, pid));
    const auto unified = cgroups.rfind("0::/");
    if (unified == std::string::npos)
        return {};
    std::string group = cgroups.substr(unified + 3);
    for (; !group.empty(); group.erase(group.rfind('/'))) {
        std::string file = fmt::format("{}/fs/cgroup{}/cgroup.freeze", paths.sys, group);
        if (read_word(file) == "1")
            return file;
    }
    return {};
}

std::string tracer_of(const std::string& thread) {
    const std::string status = read_word(thread + "/status");
    constexpr std::string_view field = "\nTracerPid:\t";
    const auto at = status.find(field);
    if (at == std::string::npos)
        return "unknown";
    const auto begin = at + field.size();
    return status.substr(begin, status.find('\n', begin) - begin);
}

// Writers to a frozen file system wait for the same kind of lock, which hardly anything else has.
bool waits_for_thaw(const std::string& thread, const std::string& where) {
    constexpr std::string_view lock = "percpu_rwsem_wait";
    return where == lock || read_word(thread + "/stack").find(lock) != std::string::npos;
}

// Where the regular files that it has open are mounted, as the caller sees it. They are not asked:
// that could take for ever.
std::set<std::string> mounts_of_files(const Paths& paths, pid_t pid) {
    std::set<std::string> devices;
    const std::string directory = fmt::format("{}/{}/fd", paths.proc, pid);
    for (const std::string& name : list_directory(directory)) {
        struct statx file {};
        const std::string path = fmt::format("{}/{}", directory, name);
        if (::statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC, STATX_TYPE, &file) == 0 &&
            S_ISREG(file.stx_mode))
            devices.insert(fmt::format("{}:{}", file.stx_dev_major, file.stx_dev_minor));
    }
    std::set<std::string> points;
    auto mountinfo = read_file(paths.proc + "/self/mountinfo");
    for (const Mount& mount : parse_mountinfo(mountinfo ? *mountinfo : ""))
        if (devices.contains(mount.device) && mount.point != paths.state)
            points.insert(mount.point);
    return points;
}

std::string thaw(const Paths& paths, pid_t pid) {
    const auto points = mounts_of_files(paths, pid);
    if (points.empty())
        return "fsfreeze -u thaws it";
    return fmt::format("fsfreeze -u {}", fmt::join(points, ", or "));
}

} // namespace

std::string what_keeps(const Paths& paths, pid_t pid) {
    const std::string process = fmt::format("{}/{}", paths.proc, pid);
    const std::string who = fmt::format("process {} ({})", pid, process_name(paths, pid));
    if (const std::string freezer = freezer_of(paths, pid); !freezer.empty())
        return fmt::format("{} is frozen by its cgroup: echo 0 > {}", who, freezer);
    for (const std::string& id : list_directory(process + "/task")) {
        const std::string thread = fmt::format("{}/task/{}", process, id);
        switch (state_of(thread)) {
        case 'T':
            return fmt::format("{} is stopped (T): kill -CONT {}", who, pid);
        case 't':
            return fmt::format("{} is stopped by a debugger (t), process {}", who,
                               tracer_of(thread));
        case 'D': {
            const std::string where = read_word(thread + "/wchan");
            const std::string name = read_word(thread + "/comm");
            if (waits_for_thaw(thread, where))
                return fmt::format("{}, thread {} ({}), waits for a file system that is frozen: {}",
                                   who, id, name, thaw(paths, pid));
            return fmt::format("{}, thread {} ({}), waits in the kernel (D) in {}", who, id, name,
                               where.empty() || where == "0" ? "an unknown place" : where);
        }
        default:
            break;
        }
    }
    return {};
}

Error with_what_keeps(Error error, const Paths& paths, pid_t pid) {
    if (const std::string reason = what_keeps(paths, pid); !reason.empty())
        error.hint = reason;
    return error;
}

} // namespace ublk::daemon
