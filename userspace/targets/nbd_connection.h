// SPDX-License-Identifier: GPL-2.0-or-later
// Connection is a connection to an NBD server that is kept up: commands wait while it is down, and
// what the server had not answered is sent again. libnbd's state machine is turned by the thread of
// one queue, its home; other queues may send through it.
#ifndef UBLK_TARGETS_NBD_CONNECTION_H
#define UBLK_TARGETS_NBD_CONNECTION_H

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <ublk/event.h>
#include <ublk/result.h>
#include <ublk/ring.h>
#include <ublk/task.h>
#include <ublk/unique_fd.h>

#include "nbd_command.h"
#include "nbd_export.h"
#include "nbd_handle.h"

namespace ublk::targets::nbd {

struct Limits {
    std::chrono::nanoseconds open{};      // until the first answer of a server
    std::chrono::nanoseconds answer{};    // without a reply, while there are commands
    std::chrono::nanoseconds reconnect{}; // that I/O waits for a server to come back
};

// What has happened to all connections of a disk. By any thread.
struct Counts {
    std::atomic<std::uint64_t> up{0}; // now
    std::atomic<std::uint64_t> losses{0};
    std::atomic<std::uint64_t> refused_servers{0};
    std::atomic<std::uint64_t> resent{0};
    std::atomic<std::uint64_t> failed_waiting{0};
};

// What all connections of a disk have in common; outlives them.
struct Link {
    Settings settings{};
    Limits limits{};
    Export offered{};                   // when the disk was made
    std::atomic<std::uint64_t> size{0}; // of the disk
    Counts counts{};
};

class Connection {
public:
    // `number` is that of its home queue.
    Connection(Link& link, unsigned number) : link_(link), number_(number) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Takes a handle that is ready, so that begin() need not connect. Before that.
    void adopt(Handle handle) { handle_ = std::move(handle); }

    // Once per queue that uses it, by its thread. That of the home connects.
    Async<Result<void>> begin(Ring ring);
    // The queue uses it no more: its commands that are under way fail. That of the home waits for
    // the other queues.
    Async<void> end(Ring ring);

    // Sends the command, now or once there is a server; `command.done` is set when it has an
    // answer, or there will be none. By the thread of the command's queue.
    void start(Command& command, Ring ring) noexcept;

    // Connects anew once what is under way has been answered: a server tells each connection one
    // size for life. By any thread.
    void renew() noexcept;

private:
    enum class State {
        down,     // commands wait
        up,       // commands are sent
        draining, // commands wait for those that were sent, for a new connection
        given_up, // down for too long: commands fail
        closed,   // for good: commands fail
    };

    bool is_home(Ring ring) const noexcept { return ring.queue_index() == number_; }
    Async<Result<Handle>> connect(Ring ring, Clock::duration limit);
    Result<void> use(Handle handle);
    Async<void> keep(Ring ring);
    Async<void> pump(Ring ring);
    Async<void> dismantle(Ring ring);
    Async<void> reconnect(Ring ring);
    Async<void> watch(Ring ring);
    Async<void> write_out(Ring ring);

    short to_wait_for() noexcept;
    bool transfer(int events) noexcept;
    bool begin_outage() noexcept;
    void resume(Ring ring) noexcept;
    void complain(const Error& error) noexcept;
    void say(const std::string& text) const noexcept;

    // With the mutex held.
    bool is_over() const noexcept { return state_ == State::closed; }
    bool is_used() const noexcept { return state_ == State::up || state_ == State::draining; }
    void check_age() noexcept;
    void receive(short events) noexcept;
    void issue(Command& command) noexcept;
    std::int64_t send(Command& command) noexcept;
    void finish(Command& command, int result) noexcept;
    void lose(std::string reason) noexcept;
    void give_up() noexcept;
    void close() noexcept;
    bool needs_writer() noexcept;
    static int on_completion(void* command, int* error) noexcept;

    Link& link_;
    const unsigned number_;
    UniqueFd bell_{}; // eventfd: readable from close() on

    // Of the home's thread.
    int connecting_ = -1; // the descriptor that it waits for
    std::optional<Clock::time_point> outage_began_{};
    Clock::duration pause_{};
    std::string complaint_{}; // the last one, said once
    // Set when keep() and watch() have ended.
    std::unique_ptr<Event> kept_{};
    std::unique_ptr<Event> watched_{};

    std::mutex mutex_{};
    // The rest is guarded by the mutex.
    Handle handle_{};
    UniqueFd socket_{}; // of the handle, but ours: libnbd closes its own at any time
    State state_ = State::down;
    std::string reason_{}; // why it is lost; empty: as we wanted it
    Clock::time_point up_since_{};
    std::uint64_t time_ = 0;        // grows with each look of watch()
    std::uint64_t answered_at_ = 0; // the last time
    std::uint64_t completed_ = 0;
    std::uint64_t completed_before_ = 0; // when it came up
    CommandList issued_{};               // in the order of their age
    CommandList waiting_{};
    unsigned users_ = 0; // queues, without the home
    Event* last_user_gone_ = nullptr;
    bool writing_ = false; // a write_out() is under way
    Event* writer_gone_ = nullptr;
};

} // namespace ublk::targets::nbd

#endif
