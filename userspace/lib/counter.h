// SPDX-License-Identifier: MIT
// Counter is written by one thread and read by any, without costing the writer an atomic operation.
#ifndef UBLK_LIB_COUNTER_H
#define UBLK_LIB_COUNTER_H

#include <atomic>
#include <cstdint>

namespace ublk {

class Counter {
public:
    Counter() = default;
    Counter(const Counter& other) noexcept : value_(other.get()) {}
    Counter& operator=(const Counter&) = delete;

    void operator++() noexcept { *this += 1; }
    void operator+=(std::uint64_t more) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }
    std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> value_{0};
};

} // namespace ublk

#endif
