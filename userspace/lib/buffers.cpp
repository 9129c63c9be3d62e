// SPDX-License-Identifier: MIT
// Lays out the copy buffers of a queue.
#include "buffers.h"

namespace ublk {

namespace {

constexpr std::size_t page = 4096;

} // namespace

Result<CopyBuffers> CopyBuffers::create(unsigned depth, std::uint32_t max_io_bytes) {
    // Page aligned for O_DIRECT. An odd number of pages apart, because buffers that are congruent
    // modulo a large power of two would fight for the same few sets of the cache.
    const std::size_t pages = (std::size_t{max_io_bytes} + page - 1) / page;
    const std::size_t stride = (pages | 1) * page;
    Result<Mapping> arena = Mapping::anonymous(stride * depth);
    if (!arena)
        return arena.error();
    // A huge page would make the first 4 KiB read of an idle device cost 2 MiB.
    ::madvise(arena->data(), arena->size(), MADV_NOHUGEPAGE);
    // What users have stored is nothing for a core dump, which would delay the next server as well.
    ::madvise(arena->data(), arena->size(), MADV_DONTDUMP);
    return CopyBuffers{std::move(*arena), stride};
}

} // namespace ublk
