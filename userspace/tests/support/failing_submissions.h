// SPDX-License-Identifier: GPL-2.0-or-later
// Stands in for liburing's io_uring_submit() in the test program: fails it on purpose, and tells
// what each submission would have given to the kernel.
#ifndef UBLK_TESTS_FAILING_SUBMISSIONS_H
#define UBLK_TESTS_FAILING_SUBMISSIONS_H

#include <cstdint>
#include <vector>

namespace ublk::test {

// As the kernel does that takes nothing: the entries stay in the ring.
void fail_next_submission(int error);

// Opcodes of the entries that the last submission found in its ring.
std::vector<std::uint8_t> last_submission();

} // namespace ublk::test

#endif
