// SPDX-License-Identifier: MIT
// Server is a block device in life: while the object exists, /dev/ublkbN exists and the target
// serves it, one thread per queue.
#ifndef UBLK_SERVER_H
#define UBLK_SERVER_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ublk/control.h>
#include <ublk/copy_mode.h>
#include <ublk/recovery.h>
#include <ublk/shared_memory.h>
#include <ublk/target.h>

namespace ublk {

// Called when a device has its number, and before there is a disk that somebody could use.
using BeforeDisk = std::function<Result<void>(const DeviceInfo&, const CopyChoice&)>;

struct ServerOptions {
    int number = -1; // -1 lets the driver choose
    unsigned queues = 1;
    unsigned depth = 128;
    bool partition_scan = true; // false needs a driver with NO_AUTO_PART_SCAN
    CopyMode copy = CopyMode::automatic;
    Recovery recovery = Recovery::off; // anything else needs a target with a backing
    std::uint64_t mark = 0;            // for DeviceInfo::mark
    // For CopyMode::shmem, which is what automatic then means.
    std::shared_ptr<const SharedMemory> shared_memory{};
    Milliseconds timeout{10000}; // bounds each step of starting and stopping
    // To write down what a next server will have to know: this one can die as soon as it has a
    // disk. An error ends the start.
    BeforeDisk before_disk{};
};

struct RecoverOptions {
    // For a device with CopyMode::shmem; without it everything is copied.
    std::shared_ptr<const SharedMemory> shared_memory{};
    Milliseconds timeout{10000}; // bounds each step
    // Of the device that is meant: numbers are used again. None: whatever has the number.
    std::optional<std::uint64_t> mark{};
};

struct SizeRequest {
    std::optional<std::uint64_t> bytes{}; // none: as large as the target's backing is by now
    bool may_shrink = false;
};

struct Resized {
    std::uint64_t before; // bytes
    std::uint64_t after;
};

// Something that run() waits for beside its own business, and does then, in its thread.
struct Watch {
    int descriptor; // readable when there is something to do
    std::function<void()> handle;
};

enum class End {
    removed, // the device is gone
    left,    // the device waits for its next server
};

struct OperationStatistics {
    std::uint64_t requests = 0; // answered by the target
    std::uint64_t bytes = 0;    // of those that succeeded
    std::uint64_t errors = 0;   // of those that did not
};

// Since the server has come to serve. Counted per queue; one number may be ahead of another.
struct Statistics {
    static constexpr std::size_t highest_operation = static_cast<std::size_t>(Op::report_zones);

    const OperationStatistics& of(Op op) const { return operations[static_cast<std::size_t>(op)]; }

    std::uint64_t requests = 0;               // answered by the target
    std::uint64_t rejected = 0;               // failed before the target saw them
    std::uint64_t contract_violations = 0;    // results that no such request can have
    std::uint64_t refused_answers = 0;        // of which the driver would not hear
    std::uint64_t frame_heap_allocations = 0; // coroutine frames that the pool had no room for
    // For how long I/O has waited for a thread or for memory of the kernel's; 0: none waits.
    std::uint64_t short_for_seconds = 0;
    std::array<OperationStatistics, highest_operation + 1> operations{}; // by Op
};

// The world outside; internal to the library and its tests.
class DriverPort;

class Server {
public:
    // On return /dev/ublkbN exists and can be opened. SIGINT and SIGTERM are blocked in the calling
    // thread from then on, for run() to consume; so call it from the main thread.
    static Result<Server> start(std::unique_ptr<Target> target, const ServerOptions& options = {});
    // Takes over a device that has lost its server: what waits is served on return. Its queues, its
    // depth and the way of its data are those it was added with, and `target` must be what the
    // old server had: GeometryRequest makes it fit. The device stays if this fails.
    static Result<Server> recover(int number, std::unique_ptr<Target> target,
                                  const RecoverOptions& options = {});
    Server(Server&&) noexcept;
    Server& operator=(Server&&) noexcept;
    // Stops and removes the device if it is still there.
    ~Server();

    const std::string& path() const; // "/dev/ublkbN"
    const DeviceInfo& info() const;
    const CopyChoice& copy() const;
    const Target& target() const; // what was handed over, for what it can be asked at any time
    // By any thread while this object lives, beside everything else.
    Statistics statistics() const;
    // What the target has counted.
    Metrics metrics() const;

    // Serves until SIGINT or SIGTERM arrives or somebody else stops the device, then stops and
    // removes it. In-flight requests are finished first. The number becomes free at once, or when
    // the last user of the block device closes it. A device that outlives its server is left when
    // somebody quiesces it, or when a signal comes while the disk is in use: another process can
    // then recover it. Without recovery a disk in use is served on, which standard error tells,
    // until a second signal comes. Whoever gets End::left exits soon: queues may still be at work.
    Result<End> run(const std::vector<Watch>& also = {});
    Result<void> stop();

    // While it is served; by the thread that calls run(), so from a Watch. Nothing that the target
    // stores is lost, but what lies behind a new end is out of the users' reach.
    Result<Resized> resize(const SizeRequest& request);

    // Target::command() of the target, or of a layer inside it. The same holds. It has a thread of
    // its own: ETIMEDOUT if it takes longer than ServerOptions::timeout, and EBUSY until it ends.
    Result<Reply> command(const std::string& name, const std::vector<std::string>& words,
                          Target* layer = nullptr);

private:
    friend struct ServerMaker;
    class Lifecycle;
    explicit Server(std::unique_ptr<Lifecycle> lifecycle);
    std::unique_ptr<Lifecycle> lifecycle_;
};

} // namespace ublk

#endif
