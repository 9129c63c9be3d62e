// SPDX-License-Identifier: MIT
// Buffers by size.
#include "buffer_pool.h"

#include <algorithm>
#include <bit>
#include <new>

namespace ublk {

Buffer::~Buffer() {
    if (pool_)
        pool_->give_back(data_);
}

Buffer BufferPool::take(std::size_t size) noexcept {
    const std::size_t rounded = std::bit_ceil(std::max<std::size_t>(size, 1U << smallest_shift));
    const auto shelf = static_cast<unsigned>(std::countr_zero(rounded)) - smallest_shift;
    if (shelf >= shelves_.size())
        return Buffer{nullptr, Data{}};
    std::vector<Data>& free = shelves_[shelf];
    if (free.empty() && !grow(free, rounded))
        return Buffer{nullptr, Data{}};
    const Data data = free.back(); // used last, so it is in the cache
    free.pop_back();
    return Buffer{this, data};
}

void BufferPool::give_back(const Data& data) noexcept {
    const auto shelf = static_cast<unsigned>(std::countr_zero(data.size())) - smallest_shift;
    shelves_[shelf].push_back(data); // there is room: grow() has seen to it
}

bool BufferPool::grow(std::vector<Data>& shelf, std::size_t size) noexcept {
    Result<Mapping> mapping = Mapping::anonymous(size);
    if (!mapping)
        return false;
    try {
        mappings_.push_back(*std::move(mapping));
        shelf.reserve(mappings_.size());
    } catch (const std::bad_alloc&) {
        return false;
    }
    shelf.push_back(make_known(mappings_.back()));
    return true;
}

// Those that the ring does not know work as well, only more slowly.
Data BufferPool::make_known(const Mapping& mapping) noexcept {
    const std::span<std::byte> memory{mapping.data(), mapping.size()};
    Data data = Data::of(memory);
    if (!std::exchange(has_table_, true) && uring_->register_buffer_slots(ring_buffers))
        next_ring_buffer_ = end_of_ring_buffers_;
    if (next_ring_buffer_ < end_of_ring_buffers_ &&
        uring_->register_buffer(next_ring_buffer_, memory) == 0)
        data.ring_buffer_ = static_cast<std::int32_t>(next_ring_buffer_++);
    return data;
}

} // namespace ublk
