// SPDX-License-Identifier: GPL-2.0-or-later
// Discards of a block device. Only an ioctl asks for them on all kernels, and that waits for the
// disk, which a queue's thread must not do: so a thread of its own does it, from the first one on.
#ifndef UBLK_TARGETS_DISK_DISCARD_H
#define UBLK_TARGETS_DISK_DISCARD_H

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>

#include <ublk/event.h>
#include <ublk/ring.h>
#include <ublk/task.h>

namespace ublk::targets {

class DiskDiscard {
public:
    // Discards and returns 0 or a negative errno; what it does is discard_range() for all but
    // tests.
    using Discard = std::function<int(std::uint64_t offset, std::uint64_t length)>;

    explicit DiskDiscard(Discard discard) : discard_(std::move(discard)) {}
    DiskDiscard(const DiskDiscard&) = delete;
    DiskDiscard& operator=(const DiskDiscard&) = delete;
    ~DiskDiscard();

    // By any queue, in the order of the calls.
    Async<int> run(Ring ring, std::uint64_t offset, std::uint64_t length);

private:
    struct Job {
        std::uint64_t offset;
        std::uint64_t length;
        Event done;
        int result = 0;
        Job* next = nullptr;
    };

    bool give(Job& job);
    void work();
    Job* take();

    Discard discard_;
    std::mutex mutex_{};
    std::condition_variable changed_{};
    // The rest is guarded by the mutex.
    Job* first_ = nullptr;
    Job* last_ = nullptr;
    bool ending_ = false;
    std::thread thread_{};
};

// BLKDISCARD of a disk.
int discard_range(int descriptor, std::uint64_t offset, std::uint64_t length);

} // namespace ublk::targets

#endif
