// SPDX-License-Identifier: MIT
// Sends control commands through /dev/ublk-control on a small ring of its own, and never waits for
// one longer than it was told to.
#include "control_port.h"
#include "uapi.h"
#include "uring.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <liburing.h>
#include <string>
#include <system_error>

#include <ublk/retry.h>
#include <ublk/unique_fd.h>

namespace ublk {

namespace {

constexpr const char* control_path = "/dev/ublk-control";
constexpr const char* device_class = "/sys/class/ublk-char";
constexpr Milliseconds cancel_patience{500};
constexpr Milliseconds longest_shortage{2000}; // of threads
constexpr std::uint64_t cancel_id = 0;
constexpr std::uint64_t no_id = UINT64_MAX;
constexpr int still_running = 1 - (1 << 30); // not an errno

class ControlDevice final : public ControlPort {
public:
    explicit ControlDevice(UniqueFd device) : device_(std::move(device)) {}
    ~ControlDevice() override {
        if (has_ring_)
            io_uring_queue_exit(&ring_);
    }

    int create_ring() {
        io_uring_params params{};
        params.flags = IORING_SETUP_SQE128;
        const int error = io_uring_queue_init_params(4, &ring_, &params);
        has_ring_ = error == 0;
        return error;
    }

    int execute(const ControlCommand& command, Milliseconds timeout) override;
    // Fails if this process may have a ring but not use it.
    int try_ring();
    std::vector<int> device_numbers() override;

private:
    using Buffer = std::unique_ptr<std::byte[]>;

    int execute_once(const ControlCommand& command, Milliseconds timeout);
    io_uring_sqe* next_sqe();
    int submit(io_uring_sqe& sqe);
    int wait_for(std::uint64_t id, Milliseconds timeout);
    int cancel(std::uint64_t id);

    UniqueFd device_;
    io_uring ring_{};
    bool has_ring_ = false;
    std::uint64_t last_id_ = cancel_id;
};

io_uring_sqe* ControlDevice::next_sqe() {
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (!sqe) { // full of what could not be submitted
        io_uring_submit(&ring_);
        sqe = io_uring_get_sqe(&ring_);
    }
    if (sqe)
        std::memset(sqe, 0, 2 * sizeof *sqe);
    return sqe;
}

// What the kernel did not take stays in the ring and goes with the next submission, when its buffer
// is gone and nobody wants it any more: so it becomes one that does nothing.
int ControlDevice::submit(io_uring_sqe& sqe) {
    const int error = io_uring_submit(&ring_);
    if (error >= 0)
        return 0;
    std::memset(&sqe, 0, 2 * sizeof sqe);
    sqe.opcode = IORING_OP_NOP;
    sqe.user_data = no_id;
    return error;
}

int ControlDevice::try_ring() {
    io_uring_sqe* sqe = next_sqe();
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = ++last_id_;
    if (const int error = submit(*sqe))
        return error;
    return wait_for(last_id_, cancel_patience);
}

// A command that sleeps is handed to a thread of the kernel's. When that can make none, the command
// ends as if it had been canceled, before the driver has seen it.
int ControlDevice::execute(const ControlCommand& command, Milliseconds timeout) {
    const auto limit = std::chrono::steady_clock::now() + std::min(timeout, longest_shortage);
    const int result = retry_until(
        limit, [&] { return execute_once(command, timeout); },
        [](int outcome) { return outcome == -ECANCELED; });
    return result == -ECANCELED ? -EAGAIN : result;
}

int ControlDevice::execute_once(const ControlCommand& command, Milliseconds timeout) {
    // The driver gets a copy: a command that cannot be cancelled may write it after we gave up.
    Buffer buffer{new std::byte[command.buffer.size()]};
    std::copy(command.buffer.begin(), command.buffer.end(), buffer.get());

    ublksrv_ctrl_cmd payload{};
    payload.dev_id = static_cast<std::uint32_t>(command.number);
    payload.queue_id = command.queue;
    payload.len = static_cast<std::uint16_t>(command.buffer.size());
    payload.addr = command.buffer.empty() ? 0 : reinterpret_cast<std::uintptr_t>(buffer.get());
    payload.data[0] = command.data;

    const std::uint64_t id = ++last_id_;
    io_uring_sqe* sqe = next_sqe();
    if (!sqe)
        return -EAGAIN;
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->fd = device_.get();
    sqe->cmd_op = command.opcode;
    sqe->user_data = id;
    std::memcpy(sqe->cmd, &payload, sizeof payload);

    if (const int error = submit(*sqe))
        return error;
    int result = wait_for(id, timeout);
    if (result == -ETIMEDOUT)
        result = cancel(id);
    if (result == still_running) {
        static_cast<void>(buffer.release());
        return -ETIMEDOUT;
    }
    std::copy_n(buffer.get(), command.buffer.size(), command.buffer.begin());
    return result;
}

// The result of command `id`, or still_running if that cannot be learned; late results of earlier
// commands are dropped.
int ControlDevice::wait_for(std::uint64_t id, Milliseconds timeout) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point deadline = Clock::now() + timeout;
    for (;;) {
        const auto left =
            std::max<std::chrono::nanoseconds>(deadline - Clock::now(), Milliseconds{0});
        __kernel_timespec limit{.tv_sec = left.count() / 1'000'000'000,
                                .tv_nsec = left.count() % 1'000'000'000};
        io_uring_cqe* cqe = nullptr;
        const int error = io_uring_wait_cqe_timeout(&ring_, &cqe, &limit);
        if (error == -ETIME)
            return -ETIMEDOUT;
        if (error == -EINTR)
            continue;
        if (error < 0)
            return still_running;
        const bool ours = cqe->user_data == id;
        const int result = cqe->res;
        io_uring_cqe_seen(&ring_, cqe);
        if (ours)
            return result;
    }
}

// The command's own result if it ended in spite of the cancellation.
int ControlDevice::cancel(std::uint64_t id) {
    io_uring_sqe* sqe = next_sqe();
    if (!sqe)
        return still_running;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = id;
    sqe->user_data = cancel_id;
    if (submit(*sqe))
        return still_running;
    const int result = wait_for(id, cancel_patience);
    if (result == -ETIMEDOUT)
        return still_running;
    return result == -ECANCELED || result == -EINTR ? -ETIMEDOUT : result;
}

std::vector<int> ControlDevice::device_numbers() {
    std::vector<int> numbers;
    std::error_code error; // no directory: no device
    std::filesystem::directory_iterator entry{device_class, error};
    for (; !error && entry != std::filesystem::directory_iterator{}; entry.increment(error)) {
        const std::string name = entry->path().filename();
        int number = -1;
        const std::size_t digits = name.find_first_of("0123456789");
        if (digits != std::string::npos)
            std::from_chars(name.data() + digits, name.data() + name.size(), number);
        if (number >= 0)
            numbers.push_back(number);
    }
    return numbers;
}

// MAJOR:MINOR of the driver's control device, if it is loaded.
std::string control_number() {
    std::ifstream file{"/sys/class/misc/ublk-control/dev"};
    std::string number;
    std::getline(file, number);
    return number;
}

Error no_driver(int error) {
    const std::string number = error == ENOENT ? control_number() : "";
    if (const auto colon = number.find(':'); colon != std::string::npos)
        return Error{
            error, "open /dev/ublk-control",
            "the driver is loaded, but this /dev has no node of it; a container needs: mknod "
            "/dev/ublk-control c " +
                number.substr(0, colon) + " " + number.substr(colon + 1)};
    if (error == ENOENT || error == ENODEV || error == ENXIO)
        return Error{error, "open /dev/ublk-control",
                     "the driver is not loaded; load it with: modprobe ublk_drv",
                     ErrorKind::driver};
    if (error == EPERM)
        return Error{error, "open /dev/ublk-control",
                     "this container may not open it: allow the device in its cgroup"};
    return Error{error, "open /dev/ublk-control", error == EACCES ? "run this as root" : ""};
}

} // namespace

Result<std::unique_ptr<ControlPort>> open_control_device() {
    UniqueFd device{::open(control_path, O_RDWR | O_CLOEXEC)};
    if (!device)
        return no_driver(errno);
    return control_over(std::move(device));
}

Result<std::unique_ptr<ControlPort>> control_over(UniqueFd device) {
    auto port = std::make_unique<ControlDevice>(std::move(device));
    if (const int error = port->create_ring(); error < 0)
        return Error{-error, "create an io_uring for control commands", advice_on_ring(-error),
                     error == -ENOSYS ? ErrorKind::driver : ErrorKind::system};
    if (const int error = port->try_ring(); error < 0)
        return Error{-error, "use an io_uring for control commands", advice_on_ring(-error),
                     error == -ENOSYS ? ErrorKind::driver : ErrorKind::system};
    return std::unique_ptr<ControlPort>{std::move(port)};
}

} // namespace ublk
