// SPDX-License-Identifier: MIT
// FramePool holds the coroutine frames of one queue: blocks of one size, used by one thread,
// touched only as far as requests were in flight at a time. It must not move once a frame was
// taken.
#ifndef UBLK_LIB_FRAME_POOL_H
#define UBLK_LIB_FRAME_POOL_H

#include <cstddef>
#include <cstdint>

#include "counter.h"
#include "mapping.h"

namespace ublk {

class FramePool {
public:
    static constexpr std::size_t block_size = 2048;

    static Result<FramePool> create(unsigned blocks);
    FramePool(FramePool&&) = default;
    FramePool& operator=(FramePool&&) = delete;
    ~FramePool();

    // nullptr if `size` does not fit or all blocks are taken.
    void* take(std::size_t size) noexcept;
    void give_back(void* block) noexcept;

    // Frames that had to come from the heap while this pool was in use.
    std::uint64_t heap_allocations() const noexcept { return heap_allocations_.get(); }

    // While it lives, coroutines created by this thread take their frames from `pool`.
    class Use {
    public:
        explicit Use(FramePool& pool) noexcept;
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        ~Use();

    private:
        FramePool* outer_;
    };

    void count_heap_allocation() noexcept { ++heap_allocations_; }

private:
    explicit FramePool(Mapping arena) : arena_(std::move(arena)) {}

    struct FreeBlock {
        FreeBlock* next;
    };

    Mapping arena_;
    std::size_t untouched_ = 0; // offset of the first block that was never taken
    FreeBlock* free_ = nullptr; // last returned first, because it is in the cache
    Counter heap_allocations_;
};

} // namespace ublk

#endif
