// SPDX-License-Identifier: MIT
// QueueThread runs one Queue on a thread of its own, from fetching its tags to the driver taking
// them back.
#ifndef UBLK_LIB_QUEUE_THREAD_H
#define UBLK_LIB_QUEUE_THREAD_H

#include <chrono>
#include <memory>
#include <vector>

#include "checked_target.h"
#include "driver_port.h"
#include "queue.h"
#include "shared_place.h"
#include "workers.h"

namespace ublk {

using Deadline = std::chrono::steady_clock::time_point;

// A device as its queues see it, and what they have in common. Shared, because a thread whose
// target hangs outlives the server.
struct ServedDevice {
    std::shared_ptr<DriverPort> driver;
    std::unique_ptr<Target> target;
    FileTable files; // of the target
    CheckedTarget checked;
    DeviceInfo info;
    CopyChoice copy;
    UniqueFd ended; // eventfd, written when a queue ends
    SharedPlace shared;
    Workers workers;
};

class QueueThread {
public:
    static Result<QueueThread> start(std::shared_ptr<ServedDevice> device, int char_device,
                                     unsigned index, std::vector<unsigned> cpus);
    QueueThread(QueueThread&&) = default;
    QueueThread& operator=(QueueThread&&) = default;

    // Until every tag is offered to the driver.
    Result<void> wait_until_ready(Deadline deadline);
    // What is under way is to come to an end, if need be by force: see Queue::ask_to_end().
    void ask_to_end();
    // False: it still runs.
    bool wait_until_ended(Deadline deadline);
    Statistics statistics() const;

private:
    struct State;
    explicit QueueThread(std::shared_ptr<State> state) : state_(std::move(state)) {}

    std::shared_ptr<State> state_;
};

} // namespace ublk

#endif
