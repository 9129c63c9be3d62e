// SPDX-License-Identifier: GPL-2.0-or-later
// Counts every operator new of the test program, for tests that claim there was none.
#ifndef UBLK_TESTS_ALLOCATION_COUNTER_H
#define UBLK_TESTS_ALLOCATION_COUNTER_H

#include <cstdint>

namespace ublk::test {

std::uint64_t heap_allocations();

// Fails the n-th operator new from now on, by whichever thread, and no other; 0: none any more.
// Returns whether the one before has failed.
bool fail_allocation(std::uint64_t nth);

// Makes the next fail_allocation() return true.
void remember_failure();

// While it exists what this thread allocates is not counted: it is the test's own.
class OwnAllocations {
public:
    OwnAllocations() noexcept;
    OwnAllocations(const OwnAllocations&) = delete;
    OwnAllocations& operator=(const OwnAllocations&) = delete;
    ~OwnAllocations();
};

} // namespace ublk::test

#endif
