// SPDX-License-Identifier: MIT
// Io is one request of the block layer. It completes exactly once; an Io that is dropped completes
// with -EIO, so that a forgotten request can never hang the disk.
#ifndef UBLK_IO_H
#define UBLK_IO_H

#include <cassert>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <ublk/ring.h>
#include <ublk/zone.h>

namespace ublk {

enum class Op : std::uint8_t {
    read = 0,
    write = 1,
    flush = 2,
    discard = 3,
    write_zeroes = 5,
    // Of a zoned device only; about the zone that begins at offset().
    zone_open = 10,
    zone_close = 11,
    zone_finish = 12,
    zone_append = 13, // writes at the zone's write pointer and tells where that was
    zone_reset_all = 14,
    zone_reset = 15,
    report_zones = 18, // describes this zone and those behind it
};

namespace detail {

// Whether bytes go to the target, or come from it.
constexpr bool is_write(Op op) noexcept { return op == Op::write || op == Op::zone_append; }
constexpr bool is_read(Op op) noexcept { return op == Op::read || op == Op::report_zones; }
constexpr bool has_data(Op op) noexcept { return is_read(op) || is_write(op); }

// Where a request is on its way through the queue.
enum class Stage : std::uint8_t {
    driver,  // not here: the driver has the tag
    receive, // its data are on their way to the target
    target,
    send,   // its data are on their way to the driver
    commit, // its result is
};

inline constexpr std::uint64_t nowhere = UINT64_MAX;

// One per tag, owned by the queue, reused for every request of that tag.
struct Request {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    std::uint64_t appended_at = nowhere; // the target's answer to a zone_append
    std::byte* buffer = nullptr;         // nullptr: no memory of the server's holds the data
    Queue* queue = nullptr;
    Request* next = nullptr; // while waiting for room in the submission queue
    std::int32_t result = 0;
    std::uint32_t flags = 0;       // UBLK_IO_F_* of the uapi
    std::int32_t ring_buffer = -1; // place of the data in the ring's buffer table; -1: none
    std::uint16_t tag = 0;
    Op op = Op::read;
    Stage stage = Stage::driver;
};

inline constexpr std::uint32_t flag_fua = 1U << 13;
inline constexpr std::uint32_t flag_no_unmap = 1U << 15;

// The only way a request leaves the target; checks the result against the request.
void complete(Request& request, int result) noexcept;

// Of a report_zones.
unsigned zones_wanted(const Request& request) noexcept;
void report(const Request& request, unsigned index, const Zone& zone) noexcept;

} // namespace detail

class Io {
public:
    explicit Io(detail::Request& request) noexcept : request_(&request) {}
    Io(Io&& other) noexcept : request_(std::exchange(other.request_, nullptr)) {}
    Io& operator=(Io&&) = delete;
    ~Io() {
        if (request_)
            detail::complete(*request_, -EIO);
    }

    Op op() const noexcept { return request().op; }
    // Bytes; inside the device and multiples of the logical block, which the library has checked.
    // Both are 0 for a flush and for zone_reset_all; length() is 0 for an operation on a zone.
    std::uint64_t offset() const noexcept { return request().offset; }
    std::uint64_t length() const noexcept {
        return request().op == Op::report_zones ? 0 : request().length;
    }
    // length() bytes: to fill for a read, to store for a write or zone_append; empty for any other
    // operation. Only for targets whose data_access() is DataAccess::memory.
    std::span<std::byte> buffer() const noexcept {
        const detail::Request& r = request();
        if (!detail::has_data(r.op) || r.op == Op::report_zones)
            return {};
        assert(r.buffer && "a target with DataAccess::ring has data(), not buffer()");
        return {r.buffer, static_cast<std::size_t>(r.length)};
    }
    // The same bytes, for Ring::read() and Ring::write() alone. For any target.
    Data data() const noexcept {
        const detail::Request& r = request();
        const std::uint64_t bytes = detail::has_data(r.op) ? length() : 0;
        return r.ring_buffer < 0 ? Data{r.buffer, bytes} : Data{r.ring_buffer, bytes};
    }
    // The write must be on stable storage before it completes. Set only if Geometry::fua is.
    bool fua() const noexcept { return request().flags & detail::flag_fua; }
    // write_zeroes must keep the space allocated.
    bool no_unmap() const noexcept { return request().flags & detail::flag_no_unmap; }

    // Of a report_zones: how many zones to describe, none of which lies behind the device's end,
    // and the description of the index-th. A report ends before the first that has none.
    unsigned zones_wanted() const noexcept { return detail::zones_wanted(request()); }
    void report(unsigned index, const Zone& zone) const noexcept {
        detail::report(request(), index, zone);
    }

    unsigned tag() const noexcept { return request().tag; }
    // For the target's own I/O; valid for longer than this Io.
    Ring ring() const noexcept { return Ring{*request().queue}; }

    // result: a negative errno; or length() for a read or write and 0 (or more) for anything else.
    // Reads and writes are all or nothing: any other count is taken as -EIO, and so is a
    // zone_append that does not say where it went.
    void complete(int result) noexcept {
        assert(request_ && "completed twice");
        detail::complete(*std::exchange(request_, nullptr), result);
    }
    void succeed() noexcept { complete(detail::has_data(op()) ? static_cast<int>(length()) : 0); }
    // Of a zone_append: its data are at `offset`, which lies in the zone.
    void succeed_at(std::uint64_t offset) noexcept {
        assert(request_ && op() == Op::zone_append);
        request_->appended_at = offset;
        succeed();
    }
    // error: a positive errno.
    void fail(int error) noexcept { complete(-error); }

private:
    const detail::Request& request() const noexcept {
        assert(request_ && "used after completion");
        return *request_;
    }

    detail::Request* request_;
};

} // namespace ublk

#endif
