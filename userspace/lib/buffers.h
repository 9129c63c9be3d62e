// SPDX-License-Identifier: MIT
// CopyBuffers is the data path in which the driver copies between the request's pages and a buffer
// of the server: one buffer per tag, all in one range that costs memory only where it was touched.
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
