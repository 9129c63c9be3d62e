// SPDX-License-Identifier: GPL-2.0-or-later
// Starting a server process in the background and learning whether it got ready. The parent stays
// until it knows; the child goes away by itself if the parent does not want it after all.
#ifndef UBLKD_LAUNCH_H
#define UBLKD_LAUNCH_H

#include <cstdint>
#include <functional>
#include <string>

#include <sys/types.h>
#include <ublk/result.h>
#include <ublk/unique_fd.h>

#include "process.h"

namespace ublk::daemon {

// What a server says about itself when its device is live.
struct Ready {
    int number = -1; // N of /dev/ublkbN
    std::string target{};
    std::uint64_t size_bytes = 0;
    pid_t server = 0;

    bool operator==(const Ready&) const = default;
};

// What to tell of a server that did not live until somebody used its device.
Error died_too_soon(pid_t server);

// The child's end of the conversation.
class Launcher {
public:
    explicit Launcher(UniqueFd socket) : socket_(std::move(socket)) {}

    void report_error(const Error& error) const noexcept;
    // Returns once the parent has accepted the device; fails if it does not, or has died.
    Result<void> report_ready(const Ready& ready, Deadline deadline) const;

private:
    UniqueFd socket_;
};

// The parent's end; while it is not accepted, the server is taken down again on destruction.
class Launched {
public:
    Launched(UniqueFd socket, pid_t child, const Ready& ready, Deadline deadline)
        : socket_(std::move(socket)), child_(child), ready_(ready), deadline_(deadline) {}
    Launched(Launched&&) noexcept = default;
    Launched& operator=(Launched&&) = delete;
    ~Launched();

    const Ready& ready() const { return ready_; }
    // Fails unless the server is alive and answers: one that is being killed can still hold its
    // end of the socket open.
    Result<void> confirm();
    // Leaves the server to itself. One that has died since confirm() is like one that dies later.
    void accept();

private:
    UniqueFd socket_;
    pid_t child_;
    Ready ready_;
    Deadline deadline_;
};

// What becomes of a server that has not reported in time.
enum class Late {
    ends,   // it is told to take its device down
    killed, // its device may be worth more than it is
};

// Runs `serve` in a child with a session of its own and returns when that has reported.
Result<Launched> launch(const std::function<void(const Launcher&)>& serve, Deadline deadline,
                        Late late = Late::ends);

} // namespace ublk::daemon

#endif
