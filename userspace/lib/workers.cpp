// SPDX-License-Identifier: MIT
// A list of jobs and who takes them.
#include "workers.h"

#include <csignal>
#include <pthread.h>
#include <system_error>

#include "queue.h"
#include "signals.h"

namespace ublk {

Workers::~Workers() {
    {
        const std::lock_guard lock{mutex_};
        ending_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_)
        thread.join();
}

// With the mutex held.
void Workers::start_another() noexcept {
    const AllSignalsBlocked blocked;
    try {
        threads_.reserve(most);
        threads_.emplace_back([this] { work(); });
    } catch (const std::exception&) {
        // There are too many threads on this machine; those that are here do it.
    }
}

void Workers::take(detail::Job& job) noexcept {
    {
        const std::lock_guard lock{mutex_};
        if (idle_ == 0 && threads_.size() < most)
            start_another();
        if (!threads_.empty()) {
            jobs_.push(job);
            changed_.notify_one();
            return;
        }
    }
    job.run();
}

void Workers::work() noexcept {
    ::pthread_setname_np(::pthread_self(), "ublk-worker");
    // What it cannot get it does without: the queues' threads have said so.
    static_cast<void>(driver_->prepare_thread({}));
    std::unique_lock lock{mutex_};
    for (;;) {
        ++idle_;
        changed_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
        --idle_;
        if (jobs_.empty())
            return;
        detail::Job& job = *jobs_.first();
        jobs_.pop();
        lock.unlock();
        job.run();
        lock.lock();
    }
}

namespace detail {

void hand_to_workers(Queue& queue, Job& job) noexcept { queue.workers().take(job); }

} // namespace detail

} // namespace ublk
