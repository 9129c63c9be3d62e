// SPDX-License-Identifier: MIT
// What has to be known and agreed on before a device has a server.
#include <ublk/server.h>

#include <cerrno>
#include <pthread.h>
#include <sys/eventfd.h>

#include "copy_choice.h"
#include "driver_features.h"
#include "driver_port.h"
#include "lifecycle.h"
#include "queue_thread.h"
#include "recovery_choice.h"
#include "server_with_driver.h"
#include "stop_signals.h"

namespace ublk {

namespace {

Result<void> check(const ServerOptions& options) {
    if (options.queues == 0 || options.queues > UBLK_MAX_NR_QUEUES)
        return Error{EINVAL, "check the number of queues", "give 1 to 4096", ErrorKind::usage};
    if (options.depth == 0 || options.depth > UBLK_MAX_QUEUE_DEPTH)
        return Error{EINVAL, "check the queue depth", "give 1 to 4096", ErrorKind::usage};
    return {};
}

// What the geometry asks of the driver.
Result<std::uint64_t> features_of(const Geometry& geometry, std::uint64_t available) {
    if (!geometry.is_zoned())
        return std::uint64_t{0};
    if (Result<void> can = check_features("make a zoned device", UBLK_F_ZONED | UBLK_F_USER_COPY,
                                          available, ours_has_it);
        !can)
        return can.error();
    return std::uint64_t{UBLK_F_ZONED};
}

Result<std::uint64_t> wanted_features(const ServerOptions& options, const CopyChoice& copy,
                                      const Target& target, std::uint64_t available) {
    Result<std::uint64_t> recovery = choose_recovery(options.recovery, available, target);
    if (!recovery)
        return recovery;
    Result<std::uint64_t> zones = features_of(target.geometry(), available);
    if (!zones)
        return zones;
    const std::uint64_t features = features_of(copy.mode) | *recovery | *zones;
    if (options.partition_scan)
        return features;
    if (Result<void> can = check_features("start without a partition scan",
                                          UBLK_F_NO_AUTO_PART_SCAN, available, ours_has_it);
        !can)
        return can.error();
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
    wanted.mark = options.mark;
    Result<DeviceInfo> info = control.add(wanted);
    if (info && (features & ~info->features)) {
        static_cast<void>(control.remove_without_waiting(info->number));
        return Error{EOPNOTSUPP, "add a device with what the driver says it has",
                     geometry.is_zoned() ? "it granted less; its kernel has no zoned disks"
                                         : "it granted less; use --copy=driver --recovery=off",
                     ErrorKind::driver};
    }
    return info;
}

// A device that nobody would remove yet.
class Added {
public:
    Added(Control& control, int number) : control_(&control), number_(number) {}
    Added(const Added&) = delete;
    Added& operator=(const Added&) = delete;
    ~Added() {
        if (control_)
            static_cast<void>(
                without_exceptions([this] { return control_->remove_without_waiting(number_); }));
    }
    void is_cared_for() noexcept { control_ = nullptr; }

private:
    Control* control_;
    int number_;
};

bool uses_memory_of_users(const DeviceInfo& info) {
    const CopyMode mode = copy_mode_of(info.features);
    return mode == CopyMode::zero || mode == CopyMode::shmem;
}

// A disk does not change what it is because another server comes.
Result<void> check_takes_over(const Target& target, const Geometry& disk, const DeviceInfo& info) {
    const Geometry ours = target.geometry();
    const std::string step = "take " + block_device_path(info.number) + " over";
    if (ours.size_bytes != disk.size_bytes)
        return Error{ENODATA, step,
                     "the disk has " + std::to_string(disk.size_bytes) +
                         " bytes, what it is made of " + std::to_string(ours.size_bytes),
                     ErrorKind::backend};
    const char* difference = nullptr;
    if (ours.logical_block_size != disk.logical_block_size)
        difference = "block size";
    else if (ours.zones != disk.zones)
        difference = "zones";
    else if (ours.max_io_bytes < disk.max_io_bytes)
        difference = "longest I/O";
    else if (ours.volatile_cache && !disk.volatile_cache)
        difference = "volatile cache";
    else if (uses_memory_of_users(info) && ours.dma_alignment > disk.dma_alignment)
        difference = "memory alignment";
    else if (copy_mode_of(info.features) == CopyMode::zero &&
             target.data_access() != DataAccess::ring)
        difference = "zero copy, which gives the data to nobody's memory,";
    if (!difference)
        return {};
    return Error{EINVAL, step, std::string{"its "} + difference + " is not what this target has",
                 ErrorKind::backend};
}

struct World {
    std::shared_ptr<DriverPort> driver;
    Control control;
    UniqueFd ended;
};

Result<World> open_world(std::shared_ptr<DriverPort> driver, Milliseconds timeout) {
    if (Result<void> prepared = driver->prepare_process(); !prepared)
        return prepared.error();
    UniqueFd ended{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!ended)
        return Error{errno, "create an eventfd"};
    const sigset_t signals = stop_signals();
    ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    Result<Control> control = driver->open_control(timeout);
    if (!control)
        return control.error();
    return World{std::move(driver), *std::move(control), std::move(ended)};
}

std::shared_ptr<ServedDevice> make_device(World& world, std::unique_ptr<Target> target,
                                          const DeviceInfo& info, CopyChoice copy,
                                          std::shared_ptr<const SharedMemory> memory) {
    Target& served = *target;
    FileTable files;
    served.register_files(files);
    if (copy.mode != CopyMode::shmem)
        memory.reset();
    return std::shared_ptr<ServedDevice>{
        new ServedDevice{world.driver, std::move(target), std::move(files), CheckedTarget{served},
                         info, std::move(copy), std::move(world.ended),
                         SharedPlace{std::move(memory)}, Workers{world.driver}}};
}

} // namespace

// Each may throw.
struct ServerMaker {
    static Result<Server> start(std::shared_ptr<DriverPort> driver, std::unique_ptr<Target> target,
                                const ServerOptions& options);
    static Result<Server> recover(std::shared_ptr<DriverPort> driver, int number,
                                  std::unique_ptr<Target> target, const RecoverOptions& options);
};

Result<Server> Server::start(std::unique_ptr<Target> target, const ServerOptions& options) {
    return start_with_driver(kernel_driver(), std::move(target), options);
}

Result<Server> Server::recover(int number, std::unique_ptr<Target> target,
                               const RecoverOptions& options) {
    return recover_with_driver(kernel_driver(), number, std::move(target), options);
}

Result<Server> start_with_driver(std::shared_ptr<DriverPort> driver, std::unique_ptr<Target> target,
                                 const ServerOptions& options) {
    return without_exceptions(
        [&] { return ServerMaker::start(std::move(driver), std::move(target), options); });
}

Result<Server> recover_with_driver(std::shared_ptr<DriverPort> driver, int number,
                                   std::unique_ptr<Target> target, const RecoverOptions& options) {
    return without_exceptions([&] {
        return ServerMaker::recover(std::move(driver), number, std::move(target), options);
    });
}

Result<Server> ServerMaker::start(std::shared_ptr<DriverPort> driver,
                                  std::unique_ptr<Target> target, const ServerOptions& options) {
    const Geometry geometry = target->geometry();
    if (Result<void> valid = validate(geometry); !valid)
        return valid.error();
    if (Result<void> valid = check(options); !valid)
        return valid.error();
    Result<World> world = open_world(std::move(driver), options.timeout);
    if (!world)
        return world.error();
    Result<std::uint64_t> available = world->control.features();
    if (!available)
        return available.error();
    Result<CopyChoice> copy =
        choose_copy_mode(options.copy, {*available, *target, options.shared_memory.get()});
    if (!copy)
        return copy.error();
    Result<std::uint64_t> features = wanted_features(options, *copy, *target, *available);
    if (!features)
        return features.error();
    Result<DeviceInfo> info = add_device(world->control, geometry, options, *features);
    if (!info)
        return info.error();
    Added added{world->control, info->number};
    auto device =
        make_device(*world, std::move(target), *info, *std::move(copy), options.shared_memory);
    auto lifecycle = std::make_unique<Server::Lifecycle>(
        std::move(world->driver), std::move(world->control), std::move(device), options.timeout);
    added.is_cared_for();
    if (Result<void> up = lifecycle->bring_up(options.before_disk); !up)
        return up.error();
    return Server{std::move(lifecycle)};
}

Result<Server> ServerMaker::recover(std::shared_ptr<DriverPort> driver, int number,
                                    std::unique_ptr<Target> target, const RecoverOptions& options) {
    Result<World> world = open_world(std::move(driver), options.timeout);
    if (!world)
        return world.error();
    Result<DeviceInfo> info = world->control.info(number);
    if (!info)
        return info.error();
    if (options.mark && *options.mark != info->mark)
        return Error{ENODEV, "recover " + block_device_path(number),
                     "it was deleted, and its number is another device's by now"};
    Result<Geometry> disk = world->control.geometry(number);
    if (!disk)
        return disk.error();
    if (Result<void> fits = check_takes_over(*target, *disk, *info); !fits)
        return fits.error();
    CopyChoice copy{copy_mode_of(info->features), "what the device was added with"};
    auto device =
        make_device(*world, std::move(target), *info, std::move(copy), options.shared_memory);
    auto lifecycle = std::make_unique<Server::Lifecycle>(
        std::move(world->driver), std::move(world->control), std::move(device), options.timeout);
    if (Result<void> taken = lifecycle->take_over(); !taken)
        return taken.error();
    return Server{std::move(lifecycle)};
}

Server::Server(std::unique_ptr<Lifecycle> lifecycle) : lifecycle_(std::move(lifecycle)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() = default;

const std::string& Server::path() const { return lifecycle_->path(); }
const DeviceInfo& Server::info() const { return lifecycle_->info(); }
const CopyChoice& Server::copy() const { return lifecycle_->copy(); }
const Target& Server::target() const { return lifecycle_->target(); }
Statistics Server::statistics() const { return lifecycle_->statistics(); }
Metrics Server::metrics() const { return lifecycle_->metrics(); }

Result<End> Server::run(const std::vector<Watch>& also) {
    return without_exceptions([&] { return lifecycle_->run(also); });
}

Result<void> Server::stop() {
    return without_exceptions([this] { return lifecycle_->stop(); });
}

Result<Resized> Server::resize(const SizeRequest& request) {
    return without_exceptions([&] { return lifecycle_->resize(request); });
}

Result<Reply> Server::command(const std::string& name, const std::vector<std::string>& words,
                              Target* layer) {
    return without_exceptions([&] { return lifecycle_->command(name, words, layer); });
}

} // namespace ublk
