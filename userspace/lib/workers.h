// SPDX-License-Identifier: MIT
// Workers are the few threads of a device that do what would block a queue's thread. They are
// started when there is something to do for the first time.
#ifndef UBLK_LIB_WORKERS_H
#define UBLK_LIB_WORKERS_H

#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <ublk/offload.h>

#include "backlog.h"
#include "driver_port.h"

namespace ublk {

class Workers {
public:
    static constexpr unsigned most = 4;

    explicit Workers(std::shared_ptr<DriverPort> driver) : driver_(std::move(driver)) {}
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    // Waits for the jobs that have begun.
    ~Workers();

    // By any thread. The job is run here and now if no thread can be had.
    void take(detail::Job& job) noexcept;

private:
    void start_another() noexcept;
    void work() noexcept;

    std::shared_ptr<DriverPort> driver_;
    std::mutex mutex_{};
    std::condition_variable changed_{};
    // Guarded by the mutex.
    Backlog<detail::Job, &detail::Job::next> jobs_{};
    unsigned idle_ = 0;
    bool ending_ = false;
    std::vector<std::thread> threads_{};
};

} // namespace ublk

#endif
