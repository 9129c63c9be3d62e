// SPDX-License-Identifier: GPL-2.0-or-later
// What an NBD server says of an export, what becomes of it as a disk, and whether a server that has
// come back still offers what the disk is.
#ifndef UBLK_TARGETS_NBD_EXPORT_H
#define UBLK_TARGETS_NBD_EXPORT_H

#include <cstdint>
#include <string>
#include <vector>

#include <ublk/geometry.h>
#include <ublk/result.h>

namespace ublk::targets::nbd {

inline constexpr std::uint32_t most_payload = 32U << 20; // that every server takes

struct Export {
    std::string name{};        // as the server calls it; empty: it does not say
    std::string description{}; // the same
    std::uint64_t size = 0;    // bytes
    // Blocks in bytes; 0: it does not say.
    std::uint32_t minimum = 0;
    std::uint32_t preferred = 0;
    std::uint32_t maximum = 0; // of one read or write
    bool read_only = false;
    bool rotational = false;
    bool flush = false;
    bool fua = false;
    bool trim = false;
    bool zero = false;
    bool multi_conn = false; // a flush on one connection is good for all

    // The longest read or write: whole blocks of the server's.
    std::uint32_t longest_transfer() const noexcept;
};

enum class Cache {
    writeback,    // writes are as durable as the server says, until a flush
    writethrough, // each write is durable before it is answered
};

// A backend error says what the server would have to do, or the user.
Result<Geometry> geometry_of(const Export& offered, Cache cache, const GeometryRequest& request);

// What a user should know: half a line each.
std::vector<std::string> remarks_on(const Export& offered, bool asked_read_only);

// Why `now` cannot stand in for `before`, of which `size` bytes are in use; empty: it can.
std::string refusal(const Export& before, const Export& now, std::uint64_t size);

} // namespace ublk::targets::nbd

#endif
