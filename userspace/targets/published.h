// SPDX-License-Identifier: GPL-2.0-or-later
// Published is a value that is changed seldom and read with every request: without a lock, and
// never half of one and half of another.
#ifndef UBLK_TARGETS_PUBLISHED_H
#define UBLK_TARGETS_PUBLISHED_H

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace ublk::targets {

// A writer fills the place that nobody is told to read, then tells of it. So a reader never waits
// for a writer; it reads again only if two changes came while it read.
template <class Value> class Published {
    static_assert(std::is_trivially_copyable_v<Value>);
    static constexpr std::size_t words = sizeof(Value) / sizeof(std::uint64_t);
    static_assert(words * sizeof(std::uint64_t) == sizeof(Value), "fill it up to whole words");
    using Words = std::array<std::uint64_t, words>;

public:
    explicit Published(const Value& value) { set(value); }

    // By any thread.
    Value get() const noexcept {
        for (;;) {
            const std::uint64_t version = version_.load(std::memory_order_acquire);
            Words copy{};
            const Place& place = places_[version % places_.size()];
            for (std::size_t i = 0; i < words; ++i)
                copy[i] = place[i].load(std::memory_order_relaxed);
            // Pairs with the fence in set(): who saw a word of a later value sees its version, too.
            std::atomic_thread_fence(std::memory_order_acquire);
            if (version_.load(std::memory_order_relaxed) == version) [[likely]]
                return std::bit_cast<Value>(copy);
        }
    }

    // By one thread at a time.
    void set(const Value& value) noexcept {
        const std::uint64_t version = version_.load(std::memory_order_relaxed) + 1;
        const auto copy = std::bit_cast<Words>(value);
        Place& place = places_[version % places_.size()];
        // Who still reads this place has begun before the last change, and must come to know of it.
        std::atomic_thread_fence(std::memory_order_release);
        for (std::size_t i = 0; i < words; ++i)
            place[i].store(copy[i], std::memory_order_relaxed);
        version_.store(version, std::memory_order_release);
    }

private:
    using Place = std::array<std::atomic<std::uint64_t>, words>;

    std::array<Place, 2> places_{};
    std::atomic<std::uint64_t> version_{0};
};

} // namespace ublk::targets

#endif
