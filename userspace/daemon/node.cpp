// SPDX-License-Identifier: GPL-2.0-or-later
// Watches /dev with inotify until a device node is usable.
#include "node.h"

#include <array>
#include <cerrno>
#include <functional>

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "file.h"

namespace ublk::daemon {

// A node left behind by an earlier device of this name would have another number.
static Result<void> check_node(const Paths& paths, int number, std::uint64_t size) {
    const std::string path = paths.block_node(number);
    UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (!fd)
        return Error{errno, "open " + path};

    struct stat node {};
    if (::fstat(fd.get(), &node) < 0)
        return Error{errno, "fstat " + path};
    const std::string device = fmt::format("{}:{}", major(node.st_rdev), minor(node.st_rdev));
    if (!S_ISBLK(node.st_mode) || device != read_word(paths.block_sysfs(number) + "/dev"))
        return Error{ENXIO, path + " is a node of something else"};

    std::uint64_t actual = 0;
    if (::ioctl(fd.get(), BLKGETSIZE64, &actual) < 0)
        return Error{errno, "size of " + path};
    if (actual != size)
        return Error{ENXIO, fmt::format("{} has {} instead of {} bytes", path, actual, size)};
    return {};
}

// Fails with the condition's last error once the deadline has passed, or another process is gone.
static Result<void> wait_for_change(const Paths& paths, Deadline deadline,
                                    const std::function<Result<void>()>& condition,
                                    int process_descriptor = -1) {
    UniqueFd watch{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
    if (!watch || ::inotify_add_watch(watch.get(), paths.dev.c_str(),
                                      IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE) < 0)
        return Error{errno, "watch " + paths.dev};

    // The watch stands before the first look, so no change falls in between.
    for (;;) {
        auto met = condition();
        if (met)
            return met;
        std::array<pollfd, 2> events{{{watch.get(), POLLIN, 0}, {process_descriptor, POLLIN, 0}}};
        if (::poll(events.data(), events.size(), poll_timeout(deadline)) == 0 || events[1].revents)
            return met;
        std::array<char, 4096> changes{};
        while (::read(watch.get(), changes.data(), changes.size()) > 0) {
        }
    }
}

Result<void> wait_for_node(const Paths& paths, const Ready& ready, Deadline deadline) {
    const ProcessHandle server(ready.server);
    auto usable = wait_for_change(
        paths, deadline, [&] { return check_node(paths, ready.number, ready.size_bytes); },
        server.descriptor());
    if (usable)
        return usable;
    if (!server.alive())
        return died_too_soon(ready.server);
    return Error{ETIMEDOUT, usable.error().message(),
                 "is " + paths.dev + " a devtmpfs, and udev running?"};
}

} // namespace ublk::daemon
