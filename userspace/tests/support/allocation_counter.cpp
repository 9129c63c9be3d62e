// SPDX-License-Identifier: GPL-2.0-or-later
// Replaces the global operator new; most other forms of it end up here too.
#include "support/allocation_counter.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::uint64_t> allocations{0};
std::atomic<std::int64_t> until_failure{0}; // 0: none is to fail
std::atomic<bool> failed{false};
thread_local int own = 0;

bool fails() {
    if (until_failure.load(std::memory_order_relaxed) <= 0 || own)
        return false;
    return until_failure.fetch_sub(1) == 1 && !failed.exchange(true);
}

} // namespace

void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = fails() ? nullptr : std::malloc(size))
        return memory;
    throw std::bad_alloc{};
}

// AddressSanitizer has one of its own, whose memory is not for std::free(). Not counted.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return std::malloc(size); }

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace ublk::test {

std::uint64_t heap_allocations() { return allocations.load(); }

bool fail_allocation(std::uint64_t nth) {
    until_failure = static_cast<std::int64_t>(nth);
    return failed.exchange(false);
}

void remember_failure() { failed = true; }

OwnAllocations::OwnAllocations() noexcept { ++own; }
OwnAllocations::~OwnAllocations() { --own; }

} // namespace ublk::test
