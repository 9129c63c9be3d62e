// SPDX-License-Identifier: MIT
// The checks of requests and results.
#include "checked_target.h"

namespace ublk {

CheckedTarget::CheckedTarget(Target& target)
    : target_(&target), geometry_(target.geometry()), limit_(geometry_.size_bytes) {}

void CheckedTarget::allow_up_to(std::uint64_t size) noexcept {
    if (size > limit_.load(std::memory_order_relaxed))
        limit_.store(size, std::memory_order_relaxed);
}

int CheckedTarget::check(const detail::Request& request) const noexcept {
    switch (request.op) {
    case Op::read:
        return request.length <= geometry_.max_io_bytes ? check_range(request) : -EINVAL;
    case Op::write:
        if (geometry_.read_only)
            return -EROFS;
        return request.length <= geometry_.max_io_bytes ? check_range(request) : -EINVAL;
    case Op::flush:
        return geometry_.volatile_cache ? 0 : -EOPNOTSUPP;
    case Op::discard:
        if (geometry_.read_only)
            return -EROFS;
        return geometry_.discard.max_bytes ? check_range(request) : -EOPNOTSUPP;
    case Op::write_zeroes:
        if (geometry_.read_only)
            return -EROFS;
        return geometry_.max_write_zeroes_bytes ? check_range(request) : -EOPNOTSUPP;
    }
    return -EOPNOTSUPP;
}

int CheckedTarget::check_range(const detail::Request& request) const noexcept {
    const std::uint64_t size = limit_.load(std::memory_order_relaxed);
    const std::uint64_t unaligned = geometry_.logical_block_size - 1;
    if (request.length == 0 || ((request.offset | request.length) & unaligned))
        return -EINVAL;
    return request.length <= size && request.offset <= size - request.length ? 0 : -EINVAL;
}

bool CheckedTarget::allowed(const detail::Request& request, int result) noexcept {
    if (result < 0)
        return true;
    return !detail::has_data(request.op) || static_cast<std::uint64_t>(result) == request.length;
}

} // namespace ublk
