// SPDX-License-Identifier: MIT
// Request is one request of the block layer, as a target sees it. A target answers it by what its
// coroutine returns; a filter may hand on another one than it got.
#ifndef UBLK_REQUEST_H
#define UBLK_REQUEST_H

#include <cstdint>

#include <ublk/answer.h>
#include <ublk/data.h>
#include <ublk/zone.h>

namespace ublk {

enum class Op : std::uint8_t {
    read = 0,
    write = 1,
    flush = 2,
    discard = 3,
    write_zeroes = 5,
    // Of a zoned device only; about the zone that begins at `offset`.
    zone_open = 10,
    zone_close = 11,
    zone_finish = 12,
    zone_append = 13, // writes at the zone's write pointer and tells where that was
    zone_reset_all = 14,
    zone_reset = 15,
    report_zones = 18, // describes this zone and those behind it
};

// Whether bytes go to the target, or come from it.
constexpr bool is_write(Op op) noexcept { return op == Op::write || op == Op::zone_append; }
constexpr bool is_read(Op op) noexcept { return op == Op::read || op == Op::report_zones; }
constexpr bool has_data(Op op) noexcept { return is_read(op) || is_write(op); }
// Whether it leaves the device as it was.
constexpr bool changes_nothing(Op op) noexcept { return is_read(op) || op == Op::flush; }

// "read", "write_zeroes" ...; "?" for what is none.
const char* name_of(Op op) noexcept;

class Request {
public:
    // Bytes; inside the device and multiples of the logical block, which the library has checked.
    // Both are 0 for a flush and for zone_reset_all; length is 0 for an operation on a zone.
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    // `length` bytes: to fill for a read, to store for a write or zone_append. Of a report_zones
    // where report() puts it; none for any other operation. Valid until the request is answered.
    Data data{};
    Op op = Op::read;
    // The write must be on stable storage before it is answered. Set only if Geometry::fua is.
    bool fua = false;
    // write_zeroes must keep the space allocated.
    bool no_unmap = false;
    // Which of the queue's requests it is, below its depth: two that are under way at a time
    // differ.
    std::uint16_t tag = 0;

    // That all of it was done.
    Answer done() const noexcept { return Answer{is_transfer() ? static_cast<int>(length) : 0}; }

    // A part of a read, write, discard or write_zeroes: `length` bytes behind the first `offset`.
    Request slice(std::uint64_t from, std::uint64_t bytes) const noexcept {
        Request part = *this;
        part.offset += from;
        part.length = bytes;
        if (is_transfer())
            part.data = data.slice(from, bytes);
        return part;
    }

    // Of a report_zones: how many zones to describe, none of which lies behind the device's end,
    // and the description of the index-th. A report ends before the first that has none.
    unsigned zones_wanted() const noexcept;
    void report(unsigned index, const Zone& zone) const noexcept;

private:
    bool is_transfer() const noexcept {
        return op == Op::read || op == Op::write || op == Op::zone_append;
    }
};

} // namespace ublk

#endif
