// SPDX-License-Identifier: GPL-2.0-or-later
#include "frame_pool.h"

#include <gtest/gtest.h>
#include <vector>

#include <ublk/task.h>

namespace ublk {
namespace {

TEST(FramePool, GivesDistinctBlocksUntilItIsEmpty) {
    FramePool pool = *FramePool::create(2);
    void* first = pool.take(100);
    void* second = pool.take(FramePool::block_size);
    EXPECT_NE(first, nullptr);
    EXPECT_NE(second, nullptr);
    EXPECT_NE(first, second);
    EXPECT_EQ(pool.take(100), nullptr);
    pool.give_back(first);
    pool.give_back(second);
}

TEST(FramePool, ReusesTheLastBlockFirst) {
    FramePool pool = *FramePool::create(4);
    void* first = pool.take(100);
    void* second = pool.take(100);
    pool.give_back(first);
    pool.give_back(second);
    EXPECT_EQ(pool.take(100), second);
    EXPECT_EQ(pool.take(100), first);
}

TEST(FramePool, RefusesWhatIsTooLarge) {
    FramePool pool = *FramePool::create(2);
    EXPECT_EQ(pool.take(FramePool::block_size + 1), nullptr);
}

TEST(FramePool, FramesComeFromThePoolInUse) {
    FramePool pool = *FramePool::create(1);
    const FramePool::Use use{pool};
    void* frame = detail::allocate_frame(64);
    EXPECT_EQ(pool.heap_allocations(), 0U);
    EXPECT_EQ(pool.take(1), nullptr);
    detail::free_frame(frame);
    EXPECT_NE(pool.take(1), nullptr);
}

TEST(FramePool, CountsFramesFromTheHeap) {
    FramePool pool = *FramePool::create(1);
    const FramePool::Use use{pool};
    std::vector<void*> frames{detail::allocate_frame(64), detail::allocate_frame(64),
                              detail::allocate_frame(FramePool::block_size)};
    EXPECT_EQ(pool.heap_allocations(), 2U);
    for (void* frame : frames)
        detail::free_frame(frame);
}

TEST(FramePool, FrameReturnsToItsPoolAfterTheUseEnded) {
    FramePool pool = *FramePool::create(1);
    void* frame = nullptr;
    {
        const FramePool::Use use{pool};
        frame = detail::allocate_frame(64);
    }
    detail::free_frame(frame);
    EXPECT_NE(pool.take(1), nullptr);
}

TEST(FramePool, WithoutAPoolFramesAreOnTheHeap) {
    void* frame = detail::allocate_frame(64);
    ASSERT_NE(frame, nullptr);
    detail::free_frame(frame);
}

} // namespace
} // namespace ublk
