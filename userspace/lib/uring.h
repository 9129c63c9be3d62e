// SPDX-License-Identifier: MIT
// Uring is the memory of one io_uring plus the single call that crosses into the kernel, which
// tests replace. The only place that knows what Debian's liburing lacks.
#ifndef UBLK_LIB_URING_H
#define UBLK_LIB_URING_H

#include <cstdint>
#include <liburing.h>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <ublk/result.h>

namespace ublk {

// May rings of a kernel of this release, as uname() tells it, defer task work? Before 6.3 io_uring
// puts a mark on its own stack into the list of deferred work while it runs that. When the thread
// is about to exit, what completes on another processor takes the mark for a request, so a server
// that is killed under load can take the kernel along. (Linux's "io_uring: optimise deferred tw
// execution" of January 2023 did away with the mark.)
bool defers_task_work_safely(std::string_view release);

// What to do when no io_uring can be had; `disabled` is what sysctl kernel.io_uring_disabled says,
// empty where there is none.
std::string advice_on_ring(int error, std::string_view disabled);
// The same for this machine.
std::string advice_on_ring(int error);

class Uring {
public:
    Uring() = default;
    Uring(const Uring&) = delete;
    Uring& operator=(const Uring&) = delete;
    virtual ~Uring() = default;

    // A zeroed entry, or nullptr while the submission queue is full.
    io_uring_sqe* next_sqe() noexcept {
        io_uring_sqe* sqe = _io_uring_get_sqe(&ring_);
        if (sqe)
            *sqe = io_uring_sqe{};
        return sqe;
    }

    // How many entries next_sqe() would give.
    unsigned room() const noexcept { return io_uring_sq_space_left(&ring_); }

    // Calls handle(user_data, result) for what has completed.
    template <class Handler> void reap(Handler&& handle) {
        io_uring_cqe* cqe = nullptr;
        unsigned head = 0;
        unsigned count = 0;
        io_uring_for_each_cqe(&ring_, head, cqe) {
            ++count;
            handle(cqe->user_data, cqe->res);
        }
        io_uring_cq_advance(&ring_, count);
    }

    // Submits every prepared entry and waits for `wait` completions; 0 or a negative errno.
    virtual int enter(unsigned wait) noexcept = 0;
    // Makes the descriptors known to the ring under their position.
    virtual int register_files(std::span<const int> descriptors) noexcept = 0;
    // Makes a table of empty buffers, for others to fill.
    virtual int register_buffer_slots(unsigned count) noexcept = 0;
    // Puts memory into the table at a place that is empty.
    virtual int register_buffer(unsigned place, std::span<std::byte> memory) noexcept = 0;

protected:
    io_uring ring_{};
};

// To be created and used by one thread only.
class KernelUring final : public Uring {
public:
    static Result<std::unique_ptr<Uring>> create(unsigned entries);
    ~KernelUring() override;

    int enter(unsigned wait) noexcept override;
    int register_files(std::span<const int> descriptors) noexcept override;
    int register_buffer_slots(unsigned count) noexcept override;
    int register_buffer(unsigned place, std::span<std::byte> memory) noexcept override;

private:
    KernelUring() = default;
};

} // namespace ublk

#endif
