// SPDX-License-Identifier: GPL-2.0-or-later
// Counts every operator new of the test program, for tests that claim there was none.
#ifndef UBLK_TESTS_ALLOCATION_COUNTER_H
#define UBLK_TESTS_ALLOCATION_COUNTER_H

#include <cstdint>

namespace ublk::test {

std::uint64_t heap_allocations();

} // namespace ublk::test

#endif
