// SPDX-License-Identifier: GPL-2.0-or-later
// One handle of libnbd, which is one connection to a server, and what it takes to make one.
#ifndef UBLK_TARGETS_NBD_HANDLE_H
#define UBLK_TARGETS_NBD_HANDLE_H

#include <chrono>
#include <memory>
#include <string>

#include <libnbd.h>
#include <ublk/result.h>

#include "nbd_export.h"
#include "nbd_uri.h"

namespace ublk::targets::nbd {

using Clock = std::chrono::steady_clock;

// How every connection to an export is made. Secrets are named, never held.
struct Settings {
    Uri uri{};
    std::string certificates{}; // a directory; empty: the system's authorities
    std::string psk{};          // a file of pre-shared keys; empty: certificates
    std::string username{};     // of TLS; empty: that of the URI, or whoever runs the server
    bool verify_peer = true;
};

class Handle {
public:
    Handle() = default;
    explicit Handle(nbd_handle* handle) noexcept : handle_(handle) {}

    nbd_handle* get() const noexcept { return handle_.get(); }
    explicit operator bool() const noexcept { return handle_ != nullptr; }
    // Ends the connection without a word. libnbd looks at no buffer any more.
    void reset() noexcept { handle_.reset(); }

private:
    struct Close {
        void operator()(nbd_handle* handle) const noexcept { ::nbd_close(handle); }
    };
    std::unique_ptr<nbd_handle, Close> handle_{};
};

// What libnbd said last in this thread, with the errno that it gave, or EIO.
Error last_error(const Settings& settings);

// A handle that is not connected yet.
Result<Handle> make_handle(const Settings& settings);
// Begins to connect it. Blocks only where Uri::needs_resolver().
Result<void> begin_connecting(const Handle& handle, const Settings& settings);
// Goes on with what libnbd waits for: `events` of its descriptor are there (poll(2)).
Result<void> go_on(const Handle& handle, const Settings& settings, short events);
// The poll(2) events that it waits for; 0: the connection is over.
short wanted_events(const Handle& handle) noexcept;
bool is_ready(const Handle& handle) noexcept;

// All of that, by a thread that may block.
Result<Handle> connect(const Settings& settings, Clock::time_point deadline);

// Of a handle that is ready.
Export describe(const Handle& handle);

// A connection that nothing comes from is noticed although nobody sends.
void keep_alive(const Handle& handle) noexcept;

// Where that is by now, as "tcp:ADDRESS:PORT/NAME"; empty for a Unix socket.
std::string address_of(const Handle& handle, const Settings& settings);

} // namespace ublk::targets::nbd

#endif
