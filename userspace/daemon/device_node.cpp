// SPDX-License-Identifier: GPL-2.0-or-later
// Waits until a device node is usable. The kernel's announcements of block devices, read with
// libudev, only make that quick: in a container there are none, and nodes may be somebody else's to
// make.
#include "device_node.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <future>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <libudev.h>
#include <linux/fs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <ublk/unique_fd.h>
#include <unistd.h>

#include "file.h"
#include "stuck.h"

namespace ublk::daemon {

namespace {

constexpr std::chrono::milliseconds longest_look{20};
constexpr std::chrono::seconds longest_open{1}; // of a disk that is served

// Announcements of block devices; of none where there is no netlink socket to be had.
class Announcements {
public:
    Announcements()
        : udev_(::udev_new()),
          monitor_(udev_ ? ::udev_monitor_new_from_netlink(udev_.get(), "kernel") : nullptr) {
        if (monitor_ && (::udev_monitor_filter_add_match_subsystem_devtype(monitor_.get(), "block",
                                                                           nullptr) < 0 ||
                         ::udev_monitor_enable_receiving(monitor_.get()) < 0))
            monitor_.reset();
    }

    // For poll(2), which leaves -1 out.
    int descriptor() const { return monitor_ ? ::udev_monitor_get_fd(monitor_.get()) : -1; }

    void consume() const {
        while (monitor_ && Announcement{::udev_monitor_receive_device(monitor_.get())}) {
        }
    }

private:
    struct Release {
        void operator()(udev* object) const { ::udev_unref(object); }
        void operator()(udev_monitor* object) const { ::udev_monitor_unref(object); }
        void operator()(udev_device* object) const { ::udev_device_unref(object); }
    };
    using Announcement = std::unique_ptr<udev_device, Release>;

    std::unique_ptr<udev, Release> udev_;
    std::unique_ptr<udev_monitor, Release> monitor_;
};

// A node left behind by an earlier device of this name would have another number.
Result<void> check_node(const Paths& paths, int number, std::uint64_t size) {
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
Result<void> wait_for_change(Deadline deadline, const std::function<Result<void>()>& condition,
                             int process_descriptor = -1) {
    // They are listened to before the first look, so none falls in between.
    const Announcements announcements;
    for (;;) {
        auto met = condition();
        if (met || Clock::now() >= deadline)
            return met;
        std::array<pollfd, 2> events{
            {{announcements.descriptor(), POLLIN, 0}, {process_descriptor, POLLIN, 0}}};
        const auto pause = std::min(deadline, Clock::now() + longest_look);
        if (::poll(events.data(), events.size(), poll_timeout(pause)) > 0 && events[1].revents)
            return met;
        announcements.consume();
    }
}

// What to do about a node that does not come.
std::string advice(const Paths& paths, int number) {
    const std::string device = read_word(paths.block_sysfs(number) + "/dev");
    if (device.empty())
        return fmt::format("is {} mounted?", paths.sys);
    const auto colon = device.find(':');
    return fmt::format(
        "is {0} a devtmpfs, and udev running? a container may need: mknod {0}/ublkb{1} "
        "b {2} {3}",
        paths.dev, number, device.substr(0, colon), device.substr(colon + 1));
}

} // namespace

// Opening a disk waits for whoever reads its partitions, and that for a server whose backing may
// not answer: for as long as there is a server, and nothing else ends it. So the look is taken on a
// thread that can be left behind.
Result<void> wait_for_device_node(const Paths& paths, const Ready& ready, Deadline deadline) {
    const auto server = std::make_shared<ProcessHandle>(ready.server);
    std::promise<Result<void>> promise;
    std::future<Result<void>> found = promise.get_future();
    try {
        std::thread{[=, result = std::move(promise)]() mutable {
            result.set_value(wait_for_change(
                deadline, [&] { return check_node(paths, ready.number, ready.size_bytes); },
                server->descriptor()));
        }}.detach();
    } catch (const std::system_error& error) {
        return Error{error.code().value(),
                     "start a thread to wait for " + paths.block_node(ready.number),
                     "raise the limit of threads: pids.max of the cgroup, ulimit -u"};
    }
    if (found.wait_until(deadline + longest_open) != std::future_status::ready)
        return with_what_keeps(Error{ETIMEDOUT, "open " + paths.block_node(ready.number),
                                     "its server does not answer reads; does the backing?"},
                               paths, ready.server);
    Result<void> usable = found.get();
    if (usable)
        return usable;
    if (!server->alive())
        return died_too_soon(ready.server);
    return Error{ETIMEDOUT, usable.error().message(), advice(paths, ready.number)};
}

} // namespace ublk::daemon
