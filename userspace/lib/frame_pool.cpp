// SPDX-License-Identifier: MIT
// Hands out coroutine frames, and falls back to the heap for a frame that is too large or one too
// many.
#include "frame_pool.h"

#include <new>
#include <sanitizer/asan_interface.h>

#include <ublk/task.h>

namespace ublk {

namespace {

thread_local FramePool* current_pool = nullptr;

// In front of each frame, because it may outlive the Use under which it was taken.
struct alignas(std::max_align_t) FrameHeader {
    FramePool* pool; // nullptr: from the heap
};

} // namespace

Result<FramePool> FramePool::create(unsigned blocks) {
    Result<Mapping> arena = Mapping::anonymous(blocks * block_size);
    if (!arena)
        return arena.error();
    return FramePool{std::move(*arena)};
}

FramePool::~FramePool() { ASAN_UNPOISON_MEMORY_REGION(arena_.data(), arena_.size()); }

void* FramePool::take(std::size_t size) noexcept {
    if (size > block_size)
        return nullptr;
    if (FreeBlock* block = free_) {
        ASAN_UNPOISON_MEMORY_REGION(block, block_size);
        free_ = block->next;
        return block;
    }
    if (untouched_ == arena_.size())
        return nullptr;
    void* block = arena_.data() + untouched_;
    untouched_ += block_size;
    return block;
}

void FramePool::give_back(void* block) noexcept {
    free_ = new (block) FreeBlock{free_};
    ASAN_POISON_MEMORY_REGION(block, block_size);
}

FramePool::Use::Use(FramePool& pool) noexcept : outer_(current_pool) { current_pool = &pool; }
FramePool::Use::~Use() { current_pool = outer_; }

namespace detail {

void* allocate_frame(std::size_t size) {
    const std::size_t total = sizeof(FrameHeader) + size;
    FramePool* pool = current_pool;
    void* block = pool ? pool->take(total) : nullptr;
    if (!block) {
        if (pool)
            pool->count_heap_allocation();
        pool = nullptr;
        block = ::operator new(total);
    }
    return new (block) FrameHeader{pool} + 1;
}

void free_frame(void* frame) noexcept {
    FrameHeader* header = static_cast<FrameHeader*>(frame) - 1;
    if (header->pool)
        header->pool->give_back(header);
    else
        ::operator delete(header);
}

} // namespace detail

} // namespace ublk
