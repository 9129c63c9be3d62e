// SPDX-License-Identifier: MIT
// Control speaks to the driver through /dev/ublk-control: one method per command, each with a bound
// on how long it may take. Most programs want Server instead.
#ifndef UBLK_CONTROL_H
#define UBLK_CONTROL_H

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include <ublk/geometry.h>
#include <ublk/result.h>
#include <ublk/shared_memory.h>

namespace ublk {

using Milliseconds = std::chrono::milliseconds;

enum class DeviceState { dead, live, quiesced, fail_io };
std::string_view name_of(DeviceState state);

struct DeviceInfo {
    int number = -1; // N of /dev/ublkbN; to add(): -1 lets the driver choose
    unsigned queues = 1;
    unsigned depth = 128;
    std::uint32_t max_io_bytes = 512U * 1024;
    DeviceState state = DeviceState::dead;
    pid_t server = -1;          // -1: none
    std::uint64_t features = 0; // UBLK_F_* in force
    uid_t owner_user = 0;
    gid_t owner_group = 0;
    std::uint64_t mark = 0; // of the server that added it; to the driver it means nothing
};

struct FeatureName {
    std::uint64_t bit;
    std::string_view name; // as in the uapi, without UBLK_F_
};
std::span<const FeatureName> feature_names();

std::string block_device_path(int number);
std::string char_device_path(int number);
// "/dev/ublkb3", "ublkb3" and "3" are 3.
Result<int> parse_device(std::string_view text);

// How commands reach the driver; internal to the library and its tests.
class ControlPort;

struct DeviceList {
    std::vector<DeviceInfo> devices{};
    std::vector<Error> errors{}; // one for each device that exists and cannot be asked
};

// Not for use by two threads at a time. A command that takes longer than `timeout` is cancelled and
// fails with ETIMEDOUT; one that finds no memory fails with ENOMEM. Nothing is thrown.
class Control {
public:
    static Result<Control> open(Milliseconds timeout = Milliseconds{10000});
    Control(std::unique_ptr<ControlPort> port, Milliseconds timeout);
    Control(Control&&) noexcept;
    Control& operator=(Control&&) noexcept;
    ~Control();

    void set_timeout(Milliseconds timeout);

    Result<std::uint64_t> features();
    // Fails unless the driver has all of these UBLK_F_*; `step` is what needs them.
    Result<void> require(const std::string& step, std::uint64_t features);
    Result<DeviceInfo> add(const DeviceInfo& wanted);
    Result<DeviceInfo> info(int number);
    // All devices that the driver knows, in ascending order, whoever serves them.
    Result<DeviceList> list();
    Result<void> set_geometry(int number, const Geometry& geometry);
    Result<Geometry> geometry(int number);
    Result<std::vector<unsigned>> queue_cpus(int number, unsigned queue);
    Result<void> start(int number, pid_t server);
    Result<void> stop(int number);
    // Fails with EBUSY while somebody has the block device open.
    Result<void> stop_unless_open(int number);
    // Sends the server away, for another one to come; what it has it may still answer. Fails with
    // EBUSY, and changes nothing, if some queue has no idle tag for as long as `patience`. The
    // device is quiesced, or fails I/O, once the server has closed it.
    Result<void> quiesce(int number, Milliseconds patience);
    // Whether a new server may come: EBUSY while the device has one.
    Result<void> start_recovery(int number);
    Result<void> end_recovery(int number, pid_t server);
    Result<void> set_size(int number, std::uint64_t bytes); // of a device that was started
    // Has requests that lie in this memory of the server's delivered by their place; of a device
    // with SHMEM_ZC. Returns the number by which they name it.
    Result<unsigned> share(int number, const SharedMemory& memory);
    Result<void> unshare(int number, unsigned index); // waits for the requests inside
    Result<void> remove(int number);                  // returns when the number is free again
    Result<void> remove_without_waiting(int number);

private:
    std::unique_ptr<ControlPort> port_;
    Milliseconds timeout_;
};

} // namespace ublk

#endif
