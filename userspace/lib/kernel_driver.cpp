// SPDX-License-Identifier: MIT
// The real driver behind DriverPort.
#include "driver_port.h"

#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>

namespace ublk {

namespace {

std::size_t page_round_up(std::size_t size) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (size + page - 1) / page * page;
}

void move_to_cpus(const std::vector<unsigned>& cpus) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned cpu : cpus)
        if (cpu < CPU_SETSIZE)
            CPU_SET(cpu, &set);
    // A cpuset may forbid all of them: then any other CPU serves as well, only slower.
    ::sched_setaffinity(0, sizeof set, &set);
}

// Memory reclaim that is caused by the server must never wait for the server's own device.
Result<void> become_io_flusher() {
    if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) < 0)
        return Error{errno, "become an I/O flusher", "this needs CAP_SYS_RESOURCE; run it as root"};
    if (::prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) != 1)
        return Error{EIO, "become an I/O flusher", "the kernel accepted it without effect"};
    return {};
}

class KernelDriver final : public DriverPort {
public:
    Result<void> prepare_process() override { return become_io_flusher(); }

    Result<Control> open_control(Milliseconds timeout) override { return Control::open(timeout); }

    Result<UniqueFd> open_char_device(int number) override {
        const std::string path = char_device_path(number);
        UniqueFd device{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
        while (!device && errno == EINTR)
            device = UniqueFd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
        if (!device)
            return Error{errno, "open " + path,
                         errno == ENOENT  ? "is /dev a devtmpfs?"
                         : errno == EBUSY ? "another server has it"
                                          : ""};
        return device;
    }

    Result<void> find_block_device(int number) override {
        const std::string path = block_device_path(number);
        struct stat status {};
        if (::stat(path.c_str(), &status) < 0)
            return Error{errno, "find " + path, errno == ENOENT ? "is /dev a devtmpfs?" : ""};
        if (!S_ISBLK(status.st_mode))
            return Error{ENOTBLK, "find " + path, "remove what lies in its place"};
        return {};
    }

    Result<UniqueFd> claim_block_device(int number) override {
        const std::string path = block_device_path(number);
        UniqueFd device{::open(path.c_str(), O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC)};
        if (!device)
            return Error{errno, "open " + path};
        return device;
    }

    Result<Descriptors> map_descriptors(int char_device, unsigned queue, unsigned depth) override {
        const std::size_t spacing = page_round_up(UBLK_MAX_QUEUE_DEPTH * sizeof(ublksrv_io_desc));
        Result<Mapping> mapping =
            Mapping::read_only(char_device, page_round_up(depth * sizeof(ublksrv_io_desc)),
                               static_cast<off_t>(UBLKSRV_CMD_BUF_OFFSET + queue * spacing));
        if (!mapping)
            return mapping.error();
        const auto* first = reinterpret_cast<const ublksrv_io_desc*>(mapping->data());
        return Descriptors{std::move(*mapping), first};
    }

    Result<std::unique_ptr<Uring>> create_ring(unsigned entries) override {
        return KernelUring::create(entries);
    }

    Result<void> prepare_thread(const std::vector<unsigned>& cpus) override {
        move_to_cpus(cpus);
        return become_io_flusher();
    }
};

} // namespace

std::shared_ptr<DriverPort> kernel_driver() { return std::make_shared<KernelDriver>(); }

} // namespace ublk
