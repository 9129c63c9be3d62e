// SPDX-License-Identifier: GPL-2.0-or-later
// The calls of librbd that requests of one queue wait for. librbd can cancel none. So each has a
// place of its own on the heap, which a request leaves to librbd if it can wait no longer.
#ifndef UBLK_TARGETS_RBD_CALLS_H
#define UBLK_TARGETS_RBD_CALLS_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <ublk/event.h>
#include <ublk/request.h>
#include <ublk/ring.h>
#include <ublk/task.h>

#include "rbd_library.h"

namespace ublk::targets {

// By the queue's thread, except for what librbd's threads do to a call.
class RbdCalls {
public:
    RbdCalls(const RbdLibrary& library, rbd_image_t image);
    RbdCalls(const RbdCalls&) = delete;
    RbdCalls& operator=(const RbdCalls&) = delete;
    ~RbdCalls();

    // A read, write, flush, discard or write_zeroes of the image: FUA is not looked at. Answers as
    // serve() does; -EIO after give_up().
    Async<Answer> run(Ring ring, Request request);

    // Whoever waits gets -EIO now, and whoever comes later at once. What librbd still does it does
    // to memory that is its own then, and returns to nobody; how many such calls there are is
    // returned.
    std::size_t give_up() noexcept;

private:
    struct Waiting;
    struct Call;

    Call* take(const Request& request, Waiting& waiting) noexcept;
    void put_back(Call& call) noexcept;
    int start(Call& call, const Request& request) noexcept;
    static void finished(rbd_completion_t completion, void* call) noexcept;

    const RbdLibrary& library_;
    rbd_image_t image_;
    bool given_up_ = false;
    std::vector<std::unique_ptr<Call>> idle_{};
    std::vector<Call*> running_{}; // each knows its place
};

} // namespace ublk::targets

#endif
