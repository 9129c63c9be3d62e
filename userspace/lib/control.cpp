// SPDX-License-Identifier: MIT
// The commands of the driver as methods, with errors that name the device.
#include <ublk/control.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "control_port.h"
#include "driver_features.h"
#include "params.h"
#include "uapi.h"

namespace ublk {

namespace {

constexpr std::size_t cpu_mask_bytes = 1024; // 8192 CPUs, the most that x86 Linux knows

template <class T> std::span<std::byte> bytes_of(T& object) {
    return std::as_writable_bytes(std::span{&object, 1});
}

std::string on_device(const char* what, int number) {
    return std::string{what} + " " + std::to_string(number);
}

Result<void> check(int result, std::string step, std::string hint = {}) {
    if (result < 0)
        return Error{-result, std::move(step), std::move(hint)};
    return {};
}

DeviceInfo from_driver(const ublksrv_ctrl_dev_info& raw) {
    DeviceInfo info;
    info.number = static_cast<int>(raw.dev_id);
    info.queues = raw.nr_hw_queues;
    info.depth = raw.queue_depth;
    info.max_io_bytes = raw.max_io_buf_bytes;
    info.state = static_cast<DeviceState>(raw.state);
    info.server = raw.ublksrv_pid > 0 ? raw.ublksrv_pid : -1;
    info.features = raw.flags;
    info.owner_user = raw.owner_uid;
    info.owner_group = raw.owner_gid;
    info.mark = raw.ublksrv_flags;
    return info;
}

} // namespace

std::string_view name_of(DeviceState state) {
    switch (state) {
    case DeviceState::dead:
        return "dead";
    case DeviceState::live:
        return "live";
    case DeviceState::quiesced:
        return "quiesced";
    case DeviceState::fail_io:
        return "fail_io";
    }
    return "unknown";
}

std::span<const FeatureName> feature_names() {
    static constexpr std::array<FeatureName, 21> names{{
        {UBLK_F_SUPPORT_ZERO_COPY, "SUPPORT_ZERO_COPY"},
        {UBLK_F_URING_CMD_COMP_IN_TASK, "URING_CMD_COMP_IN_TASK"},
        {UBLK_F_NEED_GET_DATA, "NEED_GET_DATA"},
        {UBLK_F_USER_RECOVERY, "USER_RECOVERY"},
        {UBLK_F_USER_RECOVERY_REISSUE, "USER_RECOVERY_REISSUE"},
        {UBLK_F_UNPRIVILEGED_DEV, "UNPRIVILEGED_DEV"},
        {UBLK_F_CMD_IOCTL_ENCODE, "CMD_IOCTL_ENCODE"},
        {UBLK_F_USER_COPY, "USER_COPY"},
        {UBLK_F_ZONED, "ZONED"},
        {UBLK_F_USER_RECOVERY_FAIL_IO, "USER_RECOVERY_FAIL_IO"},
        {UBLK_F_UPDATE_SIZE, "UPDATE_SIZE"},
        {UBLK_F_AUTO_BUF_REG, "AUTO_BUF_REG"},
        {UBLK_F_QUIESCE, "QUIESCE"},
        {UBLK_F_PER_IO_DAEMON, "PER_IO_DAEMON"},
        {UBLK_F_BUF_REG_OFF_DAEMON, "BUF_REG_OFF_DAEMON"},
        {UBLK_F_BATCH_IO, "BATCH_IO"},
        {UBLK_F_INTEGRITY, "INTEGRITY"},
        {UBLK_F_SAFE_STOP_DEV, "SAFE_STOP_DEV"},
        {UBLK_F_NO_AUTO_PART_SCAN, "NO_AUTO_PART_SCAN"},
        {UBLK_F_SHMEM_ZC, "SHMEM_ZC"},
        {UBLK_F_IO_DESC_SIZE, "IO_DESC_SIZE"},
    }};
    return names;
}

std::string block_device_path(int number) { return "/dev/ublkb" + std::to_string(number); }
std::string char_device_path(int number) { return "/dev/ublkc" + std::to_string(number); }

Result<int> parse_device(std::string_view text) {
    std::string_view digits = text;
    for (std::string_view prefix : {"/dev/", "ublkb"})
        if (digits.starts_with(prefix))
            digits.remove_prefix(prefix.size());
    int number = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc{} || end != digits.data() + digits.size() || number < 0)
        return Error{EINVAL, "device '" + std::string{text} + "'",
                     "give it as /dev/ublkbN, ublkbN or N", ErrorKind::usage};
    return number;
}

Result<Control> Control::open(Milliseconds timeout) {
    return without_exceptions([&]() -> Result<Control> {
        Result<std::unique_ptr<ControlPort>> port = open_control_device();
        if (!port)
            return port.error();
        return Control{std::move(*port), timeout};
    });
}

Control::Control(std::unique_ptr<ControlPort> port, Milliseconds timeout)
    : port_(std::move(port)), timeout_(timeout) {}
Control::Control(Control&&) noexcept = default;
Control& Control::operator=(Control&&) noexcept = default;
Control::~Control() = default;

void Control::set_timeout(Milliseconds timeout) { timeout_ = timeout; }

Result<std::uint64_t> Control::features() {
    return without_exceptions([this]() -> Result<std::uint64_t> {
        std::uint64_t features = 0;
        const int result = port_->execute(
            {.opcode = UBLK_U_CMD_GET_FEATURES, .buffer = bytes_of(features)}, timeout_);
        if (result < 0)
            return Error{-result, "ask the driver for its features",
                         "it is too old; load the ublk_drv of this project", ErrorKind::driver};
        return features;
    });
}

Result<void> Control::require(const std::string& step, std::uint64_t wanted) {
    return without_exceptions([&]() -> Result<void> {
        Result<std::uint64_t> available = features();
        if (!available)
            return available.error();
        return check_features(step, wanted, *available, ours_has_it);
    });
}

Result<DeviceInfo> Control::add(const DeviceInfo& wanted) {
    return without_exceptions([&]() -> Result<DeviceInfo> {
        ublksrv_ctrl_dev_info raw{};
        raw.dev_id = static_cast<std::uint32_t>(wanted.number);
        raw.nr_hw_queues = static_cast<std::uint16_t>(wanted.queues);
        raw.queue_depth = static_cast<std::uint16_t>(wanted.depth);
        raw.max_io_buf_bytes = wanted.max_io_bytes;
        raw.ublksrv_pid = -1;
        raw.flags = wanted.features;
        raw.ublksrv_flags = wanted.mark;
        const int result = port_->execute(
            {.opcode = UBLK_U_CMD_ADD_DEV, .number = wanted.number, .buffer = bytes_of(raw)},
            timeout_);
        if (result < 0)
            return Error{-result,
                         wanted.number < 0 ? "add a device"
                                           : on_device("add device", wanted.number),
                         result == -EEXIST ? "choose another number, or none" : ""};
        return from_driver(raw);
    });
}

Result<DeviceInfo> Control::info(int number) {
    return without_exceptions([&]() -> Result<DeviceInfo> {
        ublksrv_ctrl_dev_info raw{};
        const int result = port_->execute(
            {.opcode = UBLK_U_CMD_GET_DEV_INFO, .number = number, .buffer = bytes_of(raw)},
            timeout_);
        if (result < 0)
            return Error{-result, on_device("query device", number)};
        return from_driver(raw);
    });
}

Result<DeviceList> Control::list() {
    return without_exceptions([this]() -> Result<DeviceList> {
        std::vector<int> numbers = port_->device_numbers();
        std::sort(numbers.begin(), numbers.end());
        DeviceList list;
        for (int number : numbers) {
            Result<DeviceInfo> device = info(number);
            if (device)
                list.devices.push_back(*device);
            else if (device.error().code != ENODEV) // removed meanwhile
                list.errors.push_back(device.error());
        }
        return list;
    });
}

Result<void> Control::set_geometry(int number, const Geometry& geometry) {
    return without_exceptions([&]() -> Result<void> {
        ublk_params params = to_params(geometry);
        const int result = port_->execute(
            {.opcode = UBLK_U_CMD_SET_PARAMS, .number = number, .buffer = bytes_of(params)},
            timeout_);
        return check(result, on_device("describe the disk to the driver, as device", number),
                     result == -EINVAL ? "it takes no such disk: try other block sizes (-b, "
                                         "--physical-block-size) or --max-io; dmesg may say more"
                                       : "");
    });
}

Result<Geometry> Control::geometry(int number) {
    return without_exceptions([&]() -> Result<Geometry> {
        ublk_params params{};
        params.len = sizeof params;
        const int result = port_->execute(
            {.opcode = UBLK_U_CMD_GET_PARAMS, .number = number, .buffer = bytes_of(params)},
            timeout_);
        if (result < 0)
            return Error{-result, on_device("get the parameters of device", number)};
        return from_params(params);
    });
}

Result<std::vector<unsigned>> Control::queue_cpus(int number, unsigned queue) {
    return without_exceptions([&]() -> Result<std::vector<unsigned>> {
        std::array<std::uint8_t, cpu_mask_bytes> mask{};
        const int result = port_->execute({.opcode = UBLK_U_CMD_GET_QUEUE_AFFINITY,
                                           .number = number,
                                           .data = queue,
                                           .buffer = bytes_of(mask)},
                                          timeout_);
        if (result < 0)
            return Error{-result, on_device("get the queue affinity of device", number)};
        std::vector<unsigned> cpus;
        for (unsigned cpu = 0; cpu < 8 * mask.size(); ++cpu)
            if (mask[cpu / 8] & (1U << (cpu % 8)))
                cpus.push_back(cpu);
        return cpus;
    });
}

Result<void> Control::start(int number, pid_t server) {
    return without_exceptions([&]() -> Result<void> {
        return check(port_->execute({.opcode = UBLK_U_CMD_START_DEV,
                                     .number = number,
                                     .data = static_cast<std::uint64_t>(server)},
                                    timeout_),
                     on_device("start device", number));
    });
}

Result<void> Control::stop(int number) {
    return without_exceptions([&]() -> Result<void> {
        return check(port_->execute({.opcode = UBLK_U_CMD_STOP_DEV, .number = number}, timeout_),
                     on_device("stop device", number));
    });
}

Result<void> Control::stop_unless_open(int number) {
    return without_exceptions([&]() -> Result<void> {
        const std::string step = on_device("stop device", number);
        if (Result<void> can = require(step, UBLK_F_SAFE_STOP_DEV); !can)
            return can;
        const int result =
            port_->execute({.opcode = UBLK_U_CMD_TRY_STOP_DEV, .number = number}, timeout_);
        return check(result, step, result == -EBUSY ? "somebody has it open; is it mounted?" : "");
    });
}

Result<void> Control::quiesce(int number, Milliseconds patience) {
    return without_exceptions([&]() -> Result<void> {
        const std::string step = on_device("quiesce device", number);
        if (Result<void> can = require(step, UBLK_F_QUIESCE); !can)
            return can;
        // To the driver 0 is for ever.
        const auto limit = static_cast<std::uint64_t>(std::max(patience, Milliseconds{1}).count());
        const int result =
            port_->execute({.opcode = UBLK_U_CMD_QUIESCE_DEV, .number = number, .data = limit},
                           patience + timeout_);
        return check(result, step,
                     result == -EBUSY ? "it is too busy; try again, or with less load" : "");
    });
}

Result<void> Control::start_recovery(int number) {
    return without_exceptions([&]() -> Result<void> {
        return check(
            port_->execute({.opcode = UBLK_U_CMD_START_USER_RECOVERY, .number = number}, timeout_),
            on_device("recover device", number));
    });
}

Result<void> Control::end_recovery(int number, pid_t server) {
    return without_exceptions([&]() -> Result<void> {
        return check(port_->execute({.opcode = UBLK_U_CMD_END_USER_RECOVERY,
                                     .number = number,
                                     .data = static_cast<std::uint64_t>(server)},
                                    timeout_),
                     on_device("recover device", number));
    });
}

Result<void> Control::set_size(int number, std::uint64_t bytes) {
    return without_exceptions([&]() -> Result<void> {
        const std::string step = on_device("resize device", number);
        if (Result<void> can = require(step, UBLK_F_UPDATE_SIZE); !can)
            return can;
        return check(
            port_->execute(
                {.opcode = UBLK_U_CMD_UPDATE_SIZE, .number = number, .data = bytes / sector_size},
                timeout_),
            step);
    });
}

Result<unsigned> Control::share(int number, const SharedMemory& memory) {
    return without_exceptions([&]() -> Result<unsigned> {
        ublk_shmem_buf_reg buffer{};
        buffer.addr = reinterpret_cast<std::uintptr_t>(memory.data());
        buffer.len = memory.size();
        buffer.flags = memory.use() == SharedFor::writes ? UBLK_SHMEM_BUF_READ_ONLY : 0;
        const int result = port_->execute(
            {.opcode = UBLK_U_CMD_REG_BUF, .number = number, .buffer = bytes_of(buffer)}, timeout_);
        if (result < 0)
            return Error{-result, on_device("share memory with device", number),
                         result == -ENOMEM ? "is the limit of locked memory large enough?" : ""};
        return static_cast<unsigned>(result);
    });
}

Result<void> Control::unshare(int number, unsigned index) {
    return without_exceptions([&]() -> Result<void> {
        return check(
            port_->execute({.opcode = UBLK_U_CMD_UNREG_BUF, .number = number, .data = index},
                           timeout_),
            on_device("stop sharing memory with device", number));
    });
}

Result<void> Control::remove(int number) {
    return without_exceptions([&]() -> Result<void> {
        return check(port_->execute({.opcode = UBLK_U_CMD_DEL_DEV, .number = number}, timeout_),
                     on_device("remove device", number));
    });
}

Result<void> Control::remove_without_waiting(int number) {
    return without_exceptions([&]() -> Result<void> {
        return check(
            port_->execute({.opcode = UBLK_U_CMD_DEL_DEV_ASYNC, .number = number}, timeout_),
            on_device("remove device", number));
    });
}

} // namespace ublk
