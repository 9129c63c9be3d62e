// SPDX-License-Identifier: MIT
// SharedPlace is the memory that a server shares with users of its disk, and the number by which
// the driver names it in requests: known only once it is registered, when requests may have come.
#ifndef UBLK_LIB_SHARED_PLACE_H
#define UBLK_LIB_SHARED_PLACE_H

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include <ublk/shared_memory.h>

namespace ublk {

class SharedPlace {
public:
    // Without memory there is nothing to register, and no request can lie in it.
    explicit SharedPlace(std::shared_ptr<const SharedMemory> memory)
        : memory_(std::move(memory)), number_(memory_ ? unknown : none) {}

    const SharedMemory* memory() const noexcept { return memory_.get(); }

    void is_registered_as(unsigned number) noexcept { set(static_cast<int>(number)); }
    void is_not_registered() noexcept { set(none); }

    // Where the bytes are; nullptr: not in this memory. By any thread. A request that comes before
    // the number is known waits the moment that takes.
    std::byte* find(unsigned number, std::uint64_t offset, std::uint64_t length) const noexcept {
        int ours = number_.load(std::memory_order_acquire);
        while (ours == unknown)
            [[unlikely]] {
                number_.wait(unknown, std::memory_order_acquire);
                ours = number_.load(std::memory_order_acquire);
            }
        return ours == static_cast<int>(number) ? memory_->at(offset, length) : nullptr;
    }

private:
    static constexpr int unknown = -1;
    static constexpr int none = -2;

    void set(int number) noexcept {
        number_.store(number, std::memory_order_release);
        number_.notify_all();
    }

    std::shared_ptr<const SharedMemory> memory_;
    std::atomic<int> number_;
};

} // namespace ublk

#endif
