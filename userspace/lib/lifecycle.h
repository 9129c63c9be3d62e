// SPDX-License-Identifier: MIT
// Lifecycle takes a device through its time with this server: brings it up or takes it over, serves
// it, and removes it or leaves it to the next server.
#ifndef UBLK_LIB_LIFECYCLE_H
#define UBLK_LIB_LIFECYCLE_H

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ublk/server.h>

#include "bounded_call.h"
#include "driver_port.h"
#include "queue_thread.h"

namespace ublk {

class Server::Lifecycle {
public:
    Lifecycle(std::shared_ptr<DriverPort> driver, Control control,
              std::shared_ptr<ServedDevice> device, Milliseconds timeout);
    Lifecycle(const Lifecycle&) = delete;
    Lifecycle& operator=(const Lifecycle&) = delete;
    ~Lifecycle();

    // One of the two comes first: a device that was just added, or one that has lost its server.
    Result<void> bring_up(const BeforeDisk& prepare);
    Result<void> take_over();

    Result<End> run(const std::vector<Watch>& also);
    Result<void> stop();
    Result<Resized> resize(const SizeRequest& request);
    Result<Reply> command(const std::string& name, const std::vector<std::string>& words,
                          Target* layer);

    const std::string& path() const { return path_; }
    const DeviceInfo& info() const { return device_->info; }
    const CopyChoice& copy() const { return device_->copy; }
    const Target& target() const { return *device_->target; }
    Statistics statistics() const;
    Metrics metrics() const;

private:
    int number() const { return device_->info.number; }
    Deadline deadline() const { return std::chrono::steady_clock::now() + timeout_; }
    Result<void> wait_until_vacant();
    Result<void> start_queues();
    Result<void> begin_serving();
    Result<void> check_identity();
    Result<void> share_memory();
    void stop_sharing();
    void ask_queues_to_end();
    Result<void> wait_for_queues();
    bool makes_room();
    // Nothing: goes on serving.
    std::optional<Result<End>> end_when_told(bool insists);
    Result<void> stop_if_unused();
    Result<End> stop_for_good();
    void leave();
    void leave_at_once();
    void follow_backing(int size_events);
    Result<std::uint64_t> resize_target(std::optional<std::uint64_t> bytes);
    Error no_thread_to(const std::string& what) const;
    void complain(const Result<void>& result) const;
    Result<void> remove();
    Result<void> wait_until_gone();

    std::shared_ptr<DriverPort> driver_;
    Control control_;
    std::shared_ptr<ServedDevice> device_;
    std::string path_;
    Milliseconds timeout_;
    UniqueFd char_device_{};
    std::vector<QueueThread> queues_{};
    std::optional<unsigned> shared_as_{};
    // Those that the target may still be at.
    BoundedCall<std::uint64_t> target_resize_{};
    BoundedCall<Reply> target_command_{};
    bool owns_device_ = false; // and removes it in the end; else it is somebody else's, or gone
};

} // namespace ublk

#endif
