// SPDX-License-Identifier: GPL-2.0-or-later
// The thread, and its list of what to do.
#include "disk_discard.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include <linux/fs.h>
#include <pthread.h>
#include <sys/ioctl.h>

namespace ublk::targets {

int discard_range(int descriptor, std::uint64_t offset, std::uint64_t length) {
    std::array<std::uint64_t, 2> range{offset, length};
    return ::ioctl(descriptor, BLKDISCARD, range.data()) == 0 ? 0 : -errno;
}

DiskDiscard::~DiskDiscard() {
    if (!thread_.joinable())
        return;
    {
        const std::lock_guard lock{mutex_};
        ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

Async<int> DiskDiscard::run(Ring ring, std::uint64_t offset, std::uint64_t length) {
    Job job{offset, length, Event{ring}};
    if (!give(job))
        co_return discard_(offset, length);
    co_await job.done;
    co_return job.result;
}

// Whether there is a thread for it; without one, the queue does it and its users wait.
bool DiskDiscard::give(Job& job) {
    const std::lock_guard lock{mutex_};
    if (!thread_.joinable()) {
        // Signals are for the threads of the program.
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            thread_ = std::thread{[this] { work(); }};
        } catch (const std::system_error&) { // the next one will try again
        }
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    if (!thread_.joinable())
        return false;
    (last_ ? last_->next : first_) = &job;
    last_ = &job;
    changed_.notify_one();
    return true;
}

DiskDiscard::Job* DiskDiscard::take() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return first_ || ending_; });
    Job* job = first_;
    if (job)
        first_ = job->next;
    if (!first_)
        last_ = nullptr;
    return job;
}

void DiskDiscard::work() {
    ::pthread_setname_np(::pthread_self(), "discard");
    while (Job* job = take()) {
        job->result = discard_(job->offset, job->length);
        job->done.set(); // the job may be gone now
    }
}

} // namespace ublk::targets
