// SPDX-License-Identifier: MIT
// Builds the parts of a queue on the thread that will use them, as its ring demands.
#include "queue_thread.h"

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <sys/eventfd.h>
#include <system_error>
#include <thread>

#include "signals.h"

namespace ublk {

struct QueueThread::State {
    std::shared_ptr<ServedDevice> device; // the thread's: none once it has ended
    int char_device;
    unsigned index;
    std::vector<unsigned> cpus;
    int number; // of the device

    mutable std::mutex mutex{};
    std::condition_variable changed{};
    // The rest is guarded by the mutex.
    std::optional<Result<void>> ready{};
    bool ended = false;
    Queue* queue = nullptr; // while it exists
    Statistics last_statistics{};

    template <class Change> void change(Change&& apply) {
        const std::lock_guard lock{mutex};
        apply();
        changed.notify_all();
    }
    void run();
    void serve();
};

namespace {

Result<void> register_files(Uring& uring, int char_device, const FileTable& table) {
    std::vector<int> files(table.descriptors().begin(), table.descriptors().end());
    files[Queue::char_device_file] = char_device;
    if (const int error = uring.register_files(files))
        return Error{-error, "register files with the ring",
                     error == -EMFILE ? "raise the limit of open files: ulimit -n" : ""};
    return {};
}

struct BuiltQueue {
    Descriptors descriptors;
    std::unique_ptr<Queue> queue;
};

Result<BuiltQueue> build_queue(ServedDevice& device, int char_device, unsigned index,
                               const std::vector<unsigned>& cpus) {
    const unsigned depth = device.info.depth;
    if (Result<void> prepared = device.driver->prepare_thread(cpus); !prepared)
        return prepared.error();
    Result<Descriptors> descriptors = device.driver->map_descriptors(char_device, index, depth);
    if (!descriptors)
        return descriptors.error();
    Result<std::unique_ptr<Uring>> uring = device.driver->create_ring(Queue::ring_entries(depth));
    if (!uring)
        return uring.error();
    if (Result<void> done = register_files(**uring, char_device, device.files); !done)
        return done.error();
    Result<std::unique_ptr<DataPath>> data =
        make_data_path(device.copy.mode, {.queue = index,
                                          .depth = depth,
                                          .max_io_bytes = device.checked.geometry().max_io_bytes,
                                          .shared = &device.shared});
    if (!data)
        return data.error();
    if (Result<void> done = (*data)->prepare(**uring); !done)
        return done.error();
    Result<FramePool> frames =
        FramePool::create(Queue::frame_blocks(depth, device.checked.target().frames()));
    if (!frames)
        return frames.error();
    auto queue = std::make_unique<Queue>(Queue::Parts{.index = index,
                                                      .depth = depth,
                                                      .uring = std::move(*uring),
                                                      .data = std::move(*data),
                                                      .frames = std::move(*frames),
                                                      .descriptors = descriptors->first,
                                                      .target = &device.checked,
                                                      .workers = &device.workers});
    return BuiltQueue{std::move(*descriptors), std::move(queue)};
}

Result<void> get_ready(Queue& queue) {
    if (Result<void> begun = queue.begin(); !begun)
        return begun;
    if (const int error = queue.fetch_all())
        return Error{-error,
                     "offer the tags of queue " + std::to_string(queue.index()) + " to the driver",
                     "has somebody stopped or taken the device? see ublkd list, and dmesg"};
    return {};
}

} // namespace

// The thread's own end: what it shares goes before others learn that it has ended. Theirs is then
// the last share, and what the target does as it goes is done when they let go of it.
void QueueThread::State::run() {
    char name[16]; // the most that there is room for
    std::snprintf(name, sizeof name, "ublk%dq%u", number, index);
    ::pthread_setname_np(::pthread_self(), name);
    serve();
    ::eventfd_write(device->ended.get(), 1);
    device.reset();
    change([this] { ended = true; });
}

// From the target's begin() to the last word.
void QueueThread::State::serve() {
    Result<BuiltQueue> built =
        without_exceptions([this] { return build_queue(*device, char_device, index, cpus); });
    if (!built) {
        change([&] { ready.emplace(built.error()); });
        return;
    }
    Queue& serving = *built->queue;
    change([&] { queue = &serving; });
    const Result<void> got_ready = without_exceptions([&] { return get_ready(serving); });
    change([&] { ready.emplace(got_ready); });
    serving.run();
    change([&] {
        last_statistics = serving.statistics();
        queue = nullptr;
    });
}

Result<QueueThread> QueueThread::start(std::shared_ptr<ServedDevice> device, int char_device,
                                       unsigned index, std::vector<unsigned> cpus) {
    const int number = device->info.number;
    std::shared_ptr<State> state{
        new State{std::move(device), char_device, index, std::move(cpus), number}};
    const AllSignalsBlocked blocked;
    try {
        std::thread{[](const std::shared_ptr<State>& own) { own->run(); }, state}.detach();
    } catch (const std::system_error& error) {
        return Error{error.code().value(), "start the thread of queue " + std::to_string(index),
                     "raise the limit of threads (pids.max of the cgroup, ulimit -u), or use less "
                     "--queues"};
    }
    return QueueThread{std::move(state)};
}

void QueueThread::ask_to_end() {
    const std::lock_guard lock{state_->mutex};
    if (state_->queue)
        state_->queue->ask_to_end();
}

Result<void> QueueThread::wait_until_ready(Deadline deadline) {
    std::unique_lock lock{state_->mutex};
    if (!state_->changed.wait_until(lock, deadline, [this] { return state_->ready.has_value(); }))
        return Error{
            ETIMEDOUT,
            "start serving queue " + std::to_string(state_->index) + " of device " +
                std::to_string(state_->number),
            "this machine is too busy or short of memory: try again, or with less --queues "
            "and --depth"};
    return *state_->ready;
}

bool QueueThread::wait_until_ended(Deadline deadline) {
    std::unique_lock lock{state_->mutex};
    return state_->changed.wait_until(lock, deadline, [this] { return state_->ended; });
}

Statistics QueueThread::statistics() const {
    const std::lock_guard lock{state_->mutex};
    return state_->queue ? state_->queue->statistics() : state_->last_statistics;
}

} // namespace ublk
