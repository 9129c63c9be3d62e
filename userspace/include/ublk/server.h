// SPDX-License-Identifier: MIT
// Server is a block device in life: while the object exists, /dev/ublkbN exists and the target
// serves it, one thread per queue.
#ifndef UBLK_SERVER_H
#define UBLK_SERVER_H

#include <cstdint>
#include <memory>
#include <string>

#include <ublk/control.h>
#include <ublk/copy_mode.h>
#include <ublk/target.h>

namespace ublk {

struct ServerOptions {
    int number = -1; // -1 lets the driver choose
    unsigned queues = 1;
    unsigned depth = 128;
    bool partition_scan = true; // false needs a driver with NO_AUTO_PART_SCAN
    CopyMode copy = CopyMode::automatic;
    Milliseconds timeout{10000}; // bounds each step of starting and stopping
};

struct Statistics {
    std::uint64_t requests = 0;               // handed to the target
    std::uint64_t rejected = 0;               // failed before the target saw them
    std::uint64_t contract_violations = 0;    // results that no such request can have
    std::uint64_t frame_heap_allocations = 0; // coroutine frames that the pool had no room for
};

// The world outside; internal to the library and its tests.
class DriverPort;

class Server {
public:
    // On return /dev/ublkbN exists and can be opened. SIGINT and SIGTERM are blocked in the calling
    // thread from then on, for run() to consume; so call it from the main thread.
    static Result<Server> start(std::unique_ptr<Target> target, const ServerOptions& options = {});
    Server(Server&&) noexcept;
    Server& operator=(Server&&) noexcept;
    // Stops and removes the device if it is still there.
    ~Server();

    const std::string& path() const; // "/dev/ublkbN"
    const DeviceInfo& info() const;
    const CopyChoice& copy() const;
    Statistics statistics() const;

    // Serves until SIGINT or SIGTERM arrives or somebody else stops the device, then stops and
    // removes it. In-flight requests are finished first. The number becomes free at once, or when
    // the last user of the block device closes it.
    Result<void> run();
    Result<void> stop();

private:
    friend Result<Server> start_over(std::shared_ptr<DriverPort>, std::unique_ptr<Target>,
                                     const ServerOptions&);
    class Running;
    explicit Server(std::unique_ptr<Running> running);
    std::unique_ptr<Running> running_;
};

} // namespace ublk

#endif
