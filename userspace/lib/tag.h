// SPDX-License-Identifier: MIT
// Tag is what a queue keeps of one of its tags: the request that it has at the moment, and where
// that is on its way.
#ifndef UBLK_LIB_TAG_H
#define UBLK_LIB_TAG_H

#include <cstddef>
#include <cstdint>

#include <ublk/request.h>

#include "uapi.h"

namespace ublk {

class Queue;

// Where a request is on its way through the queue.
enum class Stage : std::uint8_t {
    driver,  // not here: the driver has the tag
    receive, // its data are on their way to the target
    target,
    send,   // its data are on their way to the driver
    commit, // its result is
};

namespace detail {

// One per tag, owned by the queue, reused for every request of that tag.
struct Tag {
    std::uint64_t offset = 0;
    std::uint64_t length = 0; // of a report_zones: of the report
    std::uint64_t appended_at = Answer::nowhere;
    std::byte* buffer = nullptr; // nullptr: no memory of the server's holds the data
    Queue* queue = nullptr;
    Tag* next = nullptr; // while waiting for room in the submission queue
    std::int32_t result = 0;
    std::uint32_t flags = 0;       // UBLK_IO_F_* of the uapi
    std::int32_t ring_buffer = -1; // place of the data in the ring's buffer table; -1: none
    std::uint16_t number = 0;
    Op op = Op::read;
    Stage stage = Stage::driver;

    // As the target gets it.
    Request request() const noexcept {
        if (op <= Op::write) [[likely]]
            return request(length, data());
        return request(op == Op::report_zones ? 0 : length, has_data(op) ? data() : Data{});
    }

private:
    Request request(std::uint64_t bytes, Data data) const noexcept {
        return {.offset = offset,
                .length = bytes,
                .data = data,
                .op = op,
                .fua = (flags & UBLK_IO_F_FUA) != 0,
                .no_unmap = (flags & UBLK_IO_F_NOUNMAP) != 0,
                .tag = number};
    }
    Data data() const noexcept {
        if (ring_buffer >= 0) // which begins at address 0
            return {0, length, ring_buffer, false};
        return {reinterpret_cast<std::uintptr_t>(buffer), length, Data::no_ring_buffer, true};
    }
};

} // namespace detail

} // namespace ublk

#endif
