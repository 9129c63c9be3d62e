// SPDX-License-Identifier: MIT
// The real io_uring of a queue: deferred task work where the kernel has it, so that completions are
// handled in batches by the thread that waits for them and never interrupt it.
#include "uring.h"

#include <cerrno>

namespace ublk {

namespace {

// Best first; a kernel that lacks a flag says -EINVAL.
constexpr unsigned setup_flags[] = {
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
    IORING_SETUP_COOP_TASKRUN,
    0,
};

} // namespace

Result<std::unique_ptr<Uring>> KernelUring::create(unsigned entries) {
    std::unique_ptr<KernelUring> uring{new KernelUring};
    int error = -EINVAL;
    for (unsigned flags : setup_flags) {
        io_uring_params params{};
        params.flags = flags | IORING_SETUP_SUBMIT_ALL;
        error = io_uring_queue_init_params(entries, &uring->ring_, &params);
        if (error != -EINVAL)
            break;
    }
    if (error < 0) {
        uring->ring_.ring_fd = -1;
        return Error{-error, "create an io_uring",
                     error == -EPERM ? "is it disabled by sysctl kernel.io_uring_disabled?" : ""};
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

} // namespace ublk
