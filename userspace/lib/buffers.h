// SPDX-License-Identifier: MIT
// CopyBuffers holds the data of a queue's requests in the server: as many buffers as there are
// tags, all in one range that costs memory only where it was touched.
#ifndef UBLK_LIB_BUFFERS_H
#define UBLK_LIB_BUFFERS_H

#include <cstddef>
#include <cstdint>

#include "mapping.h"

namespace ublk {

class CopyBuffers {
public:
    static Result<CopyBuffers> create(unsigned depth, std::uint32_t max_io_bytes);

    std::byte* of(unsigned tag) const noexcept { return arena_.data() + tag * stride_; }

private:
    CopyBuffers(Mapping arena, std::size_t stride) : arena_(std::move(arena)), stride_(stride) {}

    Mapping arena_;
    std::size_t stride_;
};

} // namespace ublk

#endif
