// SPDX-License-Identifier: GPL-2.0-or-later
// Counts the system calls of a piece of code, for tests that claim how they grow.
#ifndef UBLK_TESTS_SYSTEM_CALLS_H
#define UBLK_TESTS_SYSTEM_CALLS_H

#include <cstdint>
#include <functional>

namespace ublk::test {

// Those that `work` makes in its thread, done in a child process: what it changes in memory is
// lost. A few more for the process itself. -1 if it does not come to an end.
std::int64_t count_system_calls(const std::function<void()>& work);

} // namespace ublk::test

#endif
