// SPDX-License-Identifier: MIT
// Builds the parts of a queue on the thread that will use them, as its ring demands.
#include "queue_thread.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <pthread.h>
#include <sys/eventfd.h>
#include <thread>

#include "signals.h"

namespace ublk {

struct QueueThread::State {
    std::shared_ptr<Device> device;
    int char_device;
    unsigned index;
    std::vector<unsigned> cpus;

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
    void live(Queue& own);
};

namespace {

Result<void> register_files(Uring& uring, int char_device, const FileTable& table) {
    std::vector<int> files(table.descriptors().begin(), table.descriptors().end());
    files[Queue::char_device_file] = char_device;
    if (const int error = uring.register_files(files))
        return Error{-error, "register files with the ring"};
    return {};
}

struct BuiltQueue {
    Descriptors descriptors;
    std::unique_ptr<Queue> queue;
};

Result<BuiltQueue> build_queue(QueueThread::Device& device, int char_device, unsigned index,
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
    Result<FramePool> frames = FramePool::create(Queue::frame_blocks(depth));
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
        return Error{-error, "offer the tags of queue " + std::to_string(queue.index())};
    return {};
}

} // namespace

// From the target's begin() to the last word.
void QueueThread::State::live(Queue& own) {
    change([&] { queue = &own; });
    const Result<void> got_ready = get_ready(own);
    change([&] { ready.emplace(got_ready); });
    own.run();
    change([&] {
        last_statistics = own.statistics();
        queue = nullptr;
    });
}

QueueThread::QueueThread(std::shared_ptr<Device> device, int char_device, unsigned index,
                         std::vector<unsigned> cpus)
    : state_(new State{std::move(device), char_device, index, std::move(cpus)}) {
    const AllSignalsBlocked blocked;
    std::thread{[](std::shared_ptr<State> state) {
                    Device& device = *state->device;
                    const std::string name = "ublk" + std::to_string(device.info.number) + "q" +
                                             std::to_string(state->index);
                    ::pthread_setname_np(::pthread_self(), name.c_str());
                    if (Result<BuiltQueue> built =
                            build_queue(device, state->char_device, state->index, state->cpus))
                        state->live(*built->queue);
                    else
                        state->change([&] { state->ready.emplace(built.error()); });
                    ::eventfd_write(device.ended.get(), 1);
                    state->change([&] { state->ended = true; });
                },
                state_}
        .detach();
}

void QueueThread::ask_to_end() {
    const std::lock_guard lock{state_->mutex};
    if (state_->queue)
        state_->queue->ask_to_end();
}

Result<void> QueueThread::wait_until_ready(Deadline deadline) {
    std::unique_lock lock{state_->mutex};
    if (!state_->changed.wait_until(lock, deadline, [this] { return state_->ready.has_value(); }))
        return Error{ETIMEDOUT, "wait for queue " + std::to_string(state_->index)};
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
