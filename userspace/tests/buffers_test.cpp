// SPDX-License-Identifier: GPL-2.0-or-later
#include "buffers.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <vector>

namespace ublk {
namespace {

TEST(CopyBuffers, EachTagHasAPageAlignedBufferOfItsOwn) {
    constexpr std::uint32_t size = 64U << 10;
    const CopyBuffers buffers = *CopyBuffers::create(8, size);
    for (unsigned tag = 0; tag < 8; ++tag) {
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffers.of(tag)) % 4096, 0U);
        buffers.of(tag)[0] = std::byte{1};
        buffers.of(tag)[size - 1] = std::byte{1};
        if (tag > 0) {
            EXPECT_GE(buffers.of(tag) - buffers.of(tag - 1), std::ptrdiff_t{size});
        }
    }
}

TEST(CopyBuffers, AreNotCongruentModuloALargePowerOfTwo) {
    const CopyBuffers buffers = *CopyBuffers::create(2, 512U << 10);
    EXPECT_NE((buffers.of(1) - buffers.of(0)) % 8192, 0);
}

TEST(CopyBuffers, CostNoMemoryUntilTouched) {
    constexpr std::size_t size = 1U << 20;
    const CopyBuffers buffers = *CopyBuffers::create(16, size);
    buffers.of(3)[0] = std::byte{1};
    std::vector<unsigned char> resident(16 * size / 4096);
    ASSERT_EQ(::mincore(buffers.of(0), 16 * size, resident.data()), 0);
    EXPECT_EQ(std::count_if(resident.begin(), resident.end(), [](auto page) { return page & 1; }),
              1);
}

} // namespace
} // namespace ublk
