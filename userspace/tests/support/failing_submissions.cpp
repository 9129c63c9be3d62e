// SPDX-License-Identifier: GPL-2.0-or-later
// The dynamic linker finds this io_uring_submit() first.
#include "support/failing_submissions.h"

#include <dlfcn.h>
#include <liburing.h>
#include <utility>

namespace {

thread_local int next_error = 0;
thread_local std::vector<std::uint8_t> found;

} // namespace

extern "C" int io_uring_submit(io_uring* ring) {
    const unsigned shift = ring->flags & IORING_SETUP_SQE128 ? 1 : 0;
    found.clear();
    for (unsigned at = *ring->sq.khead; at != ring->sq.sqe_tail; ++at)
        found.push_back(ring->sq.sqes[(at & (ring->sq.ring_entries - 1)) << shift].opcode);
    if (const int error = std::exchange(next_error, 0))
        return error;
    static const auto real =
        reinterpret_cast<int (*)(io_uring*)>(::dlsym(RTLD_NEXT, "io_uring_submit"));
    return real(ring);
}

namespace ublk::test {

void fail_next_submission(int error) { next_error = error; }
std::vector<std::uint8_t> last_submission() { return found; }

} // namespace ublk::test
