// SPDX-License-Identifier: GPL-2.0-or-later
// Replaces the global operator new; the other forms of it end up here too.
#include "support/allocation_counter.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::uint64_t> allocations{0};

} // namespace

void* operator new(std::size_t size) {
    ++allocations;
    if (void* memory = std::malloc(size))
        return memory;
    throw std::bad_alloc{};
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace ublk::test {

std::uint64_t heap_allocations() { return allocations.load(); }

} // namespace ublk::test
