// SPDX-License-Identifier: MIT
// The real io_uring of a queue: deferred task work where the kernel has it and survives it, so that
// completions are handled in batches by the thread that waits for them and never interrupt it.
#include "uring.h"

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <string>
#include <sys/utsname.h>

namespace ublk {

namespace {

// Best first; a kernel that lacks a flag says -EINVAL.
constexpr unsigned setup_flags[] = {
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
    IORING_SETUP_COOP_TASKRUN,
    0,
};

bool kernel_defers_safely() {
    utsname name{};
    return ::uname(&name) == 0 && defers_task_work_safely(name.release);
}

} // namespace

bool defers_task_work_safely(std::string_view release) {
    int major = 0;
    int minor = 0;
    return std::sscanf(std::string{release}.c_str(), "%d.%d", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 3));
}

std::string advice_on_ring(int error, std::string_view disabled) {
    switch (error) {
    case EPERM:
    case EACCES:
        if (disabled == "1" || disabled == "2")
            return "it is disabled: sysctl kernel.io_uring_disabled=0";
        return "a seccomp filter forbids it, as those of most containers do: allow io_uring_setup, "
               "io_uring_enter and io_uring_register";
    case ENOSYS:
        return "this kernel has none, or a seccomp filter hides it: allow io_uring_setup, "
               "io_uring_enter and io_uring_register";
    case EMFILE:
        return "raise the limit of open files: ulimit -n";
    case ENFILE:
        return "raise the system's limit of open files: sysctl fs.file-max";
    case ENOMEM:
        return "raise the limit of locked memory (ulimit -l), or of the cgroup's memory";
    default:
        return "";
    }
}

std::string advice_on_ring(int error) {
    std::ifstream sysctl{"/proc/sys/kernel/io_uring_disabled"};
    std::string disabled;
    std::getline(sysctl, disabled);
    return advice_on_ring(error, disabled);
}

Result<std::unique_ptr<Uring>> KernelUring::create(unsigned entries) {
    std::unique_ptr<KernelUring> uring{new KernelUring};
    const bool defers = kernel_defers_safely();
    int error = -EINVAL;
    for (unsigned flags : setup_flags) {
        if ((flags & IORING_SETUP_DEFER_TASKRUN) && !defers)
            continue;
        io_uring_params params{};
        params.flags = flags | IORING_SETUP_SUBMIT_ALL;
        error = io_uring_queue_init_params(entries, &uring->ring_, &params);
        if (error != -EINVAL)
            break;
    }
    if (error < 0) {
        uring->ring_.ring_fd = -1;
        return Error{-error, "create an io_uring", advice_on_ring(-error)};
    }
    // Only saves a descriptor look-up per system call; works without.
    io_uring_register_ring_fd(&uring->ring_);
    return std::unique_ptr<Uring>{std::move(uring)};
}

KernelUring::~KernelUring() {
    if (ring_.ring_fd >= 0)
        io_uring_queue_exit(&ring_);
}

int KernelUring::enter(unsigned wait) noexcept {
    const int result = wait ? io_uring_submit_and_wait(&ring_, wait) : io_uring_submit(&ring_);
    return result < 0 ? result : 0;
}

int KernelUring::register_files(std::span<const int> descriptors) noexcept {
    return io_uring_register_files(&ring_, descriptors.data(),
                                   static_cast<unsigned>(descriptors.size()));
}

int KernelUring::register_buffer_slots(unsigned count) noexcept {
    return io_uring_register_buffers_sparse(&ring_, count);
}

int KernelUring::register_buffer(unsigned place, std::span<std::byte> memory) noexcept {
    const iovec buffer{memory.data(), memory.size()};
    const __u64 untagged = 0;
    const int count = io_uring_register_buffers_update_tag(&ring_, place, &buffer, &untagged, 1);
    return count < 0 ? count : 0;
}

} // namespace ublk
