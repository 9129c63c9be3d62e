// SPDX-License-Identifier: MIT
// The life of a device: add, describe, fetch, start; serve; stop, join, delete.
#include <ublk/server.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <thread>
#include <vector>

#include "copy_choice.h"
#include "driver_port.h"
#include "queue_thread.h"
#include "server_over.h"

namespace ublk {

namespace {

constexpr Milliseconds longest_farewell{2000};

sigset_t stop_signals() {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGINT);
    ::sigaddset(&signals, SIGTERM);
    return signals;
}

Result<void> check(const ServerOptions& options) {
    if (options.queues == 0 || options.queues > UBLK_MAX_NR_QUEUES)
        return Error{EINVAL, "check the number of queues", "give 1 to 4096", ErrorKind::usage};
    if (options.depth == 0 || options.depth > UBLK_MAX_QUEUE_DEPTH)
        return Error{EINVAL, "check the queue depth", "give 1 to 4096", ErrorKind::usage};
    return {};
}

Result<std::uint64_t> wanted_features(const ServerOptions& options, const CopyChoice& copy,
                                      std::uint64_t available) {
    const std::uint64_t features = features_of(copy.mode);
    if (options.partition_scan)
        return features;
    if (!(available & UBLK_F_NO_AUTO_PART_SCAN))
        return Error{EOPNOTSUPP, "start without a partition scan",
                     "this driver always scans; see ublk features", ErrorKind::driver};
    return features | UBLK_F_NO_AUTO_PART_SCAN;
}

Result<DeviceInfo> add_device(Control& control, const Geometry& geometry,
                              const ServerOptions& options, std::uint64_t features) {
    DeviceInfo wanted;
    wanted.number = options.number;
    wanted.queues = options.queues;
    wanted.depth = options.depth;
    wanted.max_io_bytes = geometry.max_io_bytes;
    wanted.features = features;
    Result<DeviceInfo> info = control.add(wanted);
    if (info && (features & ~info->features)) {
        static_cast<void>(control.remove_without_waiting(info->number));
        return Error{EOPNOTSUPP, "add a device with what the driver says it has",
                     "it granted less; use --copy=driver", ErrorKind::driver};
    }
    return info;
}

} // namespace

class Server::Running {
public:
    Running(std::shared_ptr<DriverPort> driver, Control control,
            std::shared_ptr<QueueThread::Device> device, Milliseconds timeout)
        : driver_(std::move(driver)), control_(std::move(control)), device_(std::move(device)),
          path_(block_device_path(device_->info.number)), timeout_(timeout) {}
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() { static_cast<void>(stop()); }

    Result<void> bring_up();
    Result<void> run();
    Result<void> stop();

    const std::string& path() const { return path_; }
    const DeviceInfo& info() const { return device_->info; }
    const CopyChoice& copy() const { return device_->copy; }
    Statistics statistics() const;

private:
    int number() const { return device_->info.number; }
    Deadline deadline() const { return std::chrono::steady_clock::now() + timeout_; }
    Result<void> start_queues();
    Result<void> remove();
    Result<void> wait_until_gone();

    std::shared_ptr<DriverPort> driver_;
    Control control_;
    std::shared_ptr<QueueThread::Device> device_;
    std::string path_;
    Milliseconds timeout_;
    UniqueFd char_device_{};
    std::vector<QueueThread> queues_{};
    bool exists_ = true; // the device, in the driver
};

Result<void> Server::Running::bring_up() {
    if (Result<void> set = control_.set_geometry(number(), device_->checked.geometry()); !set)
        return set;
    Result<UniqueFd> char_device = driver_->open_char_device(number());
    if (!char_device)
        return char_device.error();
    char_device_ = std::move(*char_device);
    if (Result<void> started = start_queues(); !started)
        return started;
    if (Result<void> started = control_.start(number(), ::getpid()); !started)
        return started;
    return driver_->find_block_device(number());
}

Result<void> Server::Running::start_queues() {
    for (unsigned index = 0; index < info().queues; ++index) {
        Result<std::vector<unsigned>> cpus = control_.queue_cpus(number(), index);
        if (!cpus)
            return cpus.error();
        queues_.emplace_back(device_, char_device_.get(), index, std::move(*cpus));
    }
    const Deadline limit = deadline();
    for (QueueThread& queue : queues_)
        if (Result<void> ready = queue.wait_until_ready(limit); !ready)
            return ready;
    return {};
}

Result<void> Server::Running::run() {
    const sigset_t signals = stop_signals();
    const UniqueFd signal_fd{::signalfd(-1, &signals, SFD_CLOEXEC)};
    if (!signal_fd)
        return Error{errno, "create a signalfd"};
    std::array<pollfd, 2> events{{{signal_fd.get(), POLLIN, 0}, {device_->ended.get(), POLLIN, 0}}};
    while (::poll(events.data(), events.size(), -1) < 0)
        if (errno != EINTR)
            return Error{errno, "wait for a signal"};
    if (events[0].revents) {
        signalfd_siginfo consumed{};
        static_cast<void>(::read(signal_fd.get(), &consumed, sizeof consumed));
    }
    return stop();
}

// Goes on after a failure: each step brings the device closer to its end.
Result<void> Server::Running::stop() {
    if (!exists_)
        return {};
    exists_ = false;
    Result<void> outcome = control_.stop(number());
    if (!outcome && outcome.error().code == ENODEV)
        outcome = {};
    const Deadline limit = deadline();
    for (QueueThread& queue : queues_)
        if (!queue.wait_until_ended(limit) && outcome)
            outcome = Error{ETIMEDOUT, "wait for the target to finish its requests"};
    Result<void> removed = remove();
    return outcome ? removed : outcome;
}

// Deletes while the char device is open, which pins the number: afterwards somebody else may have
// it.
Result<void> Server::Running::remove() {
    Result<void> removed = control_.remove_without_waiting(number());
    char_device_ = UniqueFd{};
    if (!removed && removed.error().code == EOPNOTSUPP)
        return control_.remove(number());
    if (!removed)
        return removed.error().code == ENODEV ? Result<void>{} : removed;
    return wait_until_gone();
}

// The kernel closes rings in the background, and each pins the number. So does whoever still has
// the block device open, for as long as they like: nothing of ours, so not worth more than a
// moment.
Result<void> Server::Running::wait_until_gone() {
    const Deadline limit = std::chrono::steady_clock::now() + std::min(timeout_, longest_farewell);
    for (Milliseconds pause{1}; std::chrono::steady_clock::now() < limit; pause *= 2) {
        const Result<DeviceInfo> found = control_.info(number());
        if (!found)
            return found.error().code == ENODEV ? Result<void>{} : found.error();
        if (found->server > 0 && found->server != ::getpid())
            return {}; // the number is in use again
        std::this_thread::sleep_for(pause);
    }
    return {};
}

Statistics Server::Running::statistics() const {
    Statistics sum;
    for (const QueueThread& queue : queues_) {
        const Statistics one = queue.statistics();
        sum.requests += one.requests;
        sum.rejected += one.rejected;
        sum.contract_violations += one.contract_violations;
        sum.frame_heap_allocations += one.frame_heap_allocations;
    }
    return sum;
}

Result<Server> Server::start(std::unique_ptr<Target> target, const ServerOptions& options) {
    return start_over(kernel_driver(), std::move(target), options);
}

Result<Server> start_over(std::shared_ptr<DriverPort> driver, std::unique_ptr<Target> target,
                          const ServerOptions& options) {
    CheckedTarget checked{*target};
    if (Result<void> valid = validate(checked.geometry()); !valid)
        return valid.error();
    if (Result<void> valid = check(options); !valid)
        return valid.error();
    UniqueFd ended{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!ended)
        return Error{errno, "create an eventfd"};
    const sigset_t signals = stop_signals();
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    Result<Control> control = driver->open_control(options.timeout);
    if (!control)
        return control.error();
    Result<std::uint64_t> available = control->features();
    if (!available)
        return available.error();
    Result<CopyChoice> copy = choose_copy_mode(options.copy, *available, *target);
    if (!copy)
        return copy.error();
    Result<std::uint64_t> features = wanted_features(options, *copy, *available);
    if (!features)
        return features.error();
    Result<DeviceInfo> info = add_device(*control, checked.geometry(), options, *features);
    if (!info)
        return info.error();
    std::shared_ptr<QueueThread::Device> device{new QueueThread::Device{
        driver, std::move(target), checked, *info, *std::move(copy), std::move(ended)}};
    auto running = std::make_unique<Server::Running>(std::move(driver), std::move(*control),
                                                     std::move(device), options.timeout);
    if (Result<void> up = running->bring_up(); !up)
        return up.error();
    return Server{std::move(running)};
}

Server::Server(std::unique_ptr<Running> running) : running_(std::move(running)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() = default;

const std::string& Server::path() const { return running_->path(); }
const DeviceInfo& Server::info() const { return running_->info(); }
const CopyChoice& Server::copy() const { return running_->copy(); }
Statistics Server::statistics() const { return running_->statistics(); }
Result<void> Server::run() { return running_->run(); }
Result<void> Server::stop() { return running_->stop(); }

} // namespace ublk
