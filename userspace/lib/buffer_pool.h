// SPDX-License-Identifier: MIT
// BufferPool keeps the buffers that the targets of one queue borrow: each of a power of two, used
// again by whoever wants that many bytes next. It is used by the queue's thread only.
#ifndef UBLK_LIB_BUFFER_POOL_H
#define UBLK_LIB_BUFFER_POOL_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ublk/buffer.h>

#include "mapping.h"
#include "uring.h"

namespace ublk {

class BufferPool {
public:
    // So many buffers are known to the ring, in its table behind those of the requests.
    static constexpr unsigned ring_buffers = 64;

    // The places before `first` are for the buffers of requests. If there are any, whoever needs
    // them has made the table.
    BufferPool(Uring& uring, unsigned first)
        : uring_(&uring), next_ring_buffer_(first), end_of_ring_buffers_(first + ring_buffers),
          has_table_(first > 0) {}
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;

    // None if there is no memory, or `size` is more than 64 MiB.
    Buffer take(std::size_t size) noexcept;
    void give_back(const Data& data) noexcept;

private:
    static constexpr unsigned smallest_shift = 12;
    static constexpr unsigned largest_shift = 26;

    bool grow(std::vector<Data>& shelf, std::size_t size) noexcept;
    Data make_known(const Mapping& mapping) noexcept;

    Uring* uring_;
    unsigned next_ring_buffer_;
    unsigned end_of_ring_buffers_;
    bool has_table_;
    std::vector<Mapping> mappings_{};
    std::array<std::vector<Data>, largest_shift - smallest_shift + 1> shelves_{}; // what is free
};

} // namespace ublk

#endif
