// SPDX-License-Identifier: GPL-2.0-or-later
// How a mirror lies on each of its legs: a superblock in two places, a bitmap, and the data. The
// one place that knows; Documentation/mirror.rst describes it. Does no I/O.
#ifndef UBLK_TARGETS_MIRROR_FORMAT_H
#define UBLK_TARGETS_MIRROR_FORMAT_H

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ublk/result.h>

namespace ublk::targets::mirror_format {

inline constexpr std::size_t block_size = 4096;
inline constexpr std::size_t most_legs = 8;
inline constexpr std::uint64_t bitmap_offset = 64U << 10;
inline constexpr std::uint64_t data_offset = 1U << 20; // all before is the mirror's own
inline constexpr std::uint32_t bits_per_block = 32704;
inline constexpr std::uint64_t most_chunks =
    (data_offset - bitmap_offset) / block_size * bits_per_block;
inline constexpr std::uint64_t smallest_chunk = 64U << 10;
inline constexpr std::uint64_t largest_chunk = std::uint64_t{1} << 40;

using Block = std::array<std::byte, block_size>;
using Uuid = std::array<std::uint8_t, 16>;

enum class LegState : std::uint8_t {
    none = 0,    // there was no such leg
    in_sync = 1, // has all that was written
    syncing = 2, // has what was written since it came back, and where the bitmap has no bit
    out = 3,     // lacks what was written since it was left
};

// What a leg says of the whole mirror. The one with the most events is right.
struct Superblock {
    Uuid uuid{};
    std::uint64_t events = 0; // changes of what is in here, but not of the bitmap
    std::uint64_t size = 0;   // of the data, in bytes
    std::uint64_t chunk = 0;  // bytes that a bit stands for: a power of two
    std::uint32_t leg = 0;    // the number of this one
    std::array<LegState, most_legs> legs{};

    bool operator==(const Superblock&) const = default;
};

// They take turns, so that one which is torn by a crash leaves the one before it.
std::uint64_t place_of_superblock(std::uint64_t events);

Block encode(const Superblock& superblock);
// EMEDIUMTYPE: it is not one. EPROTONOSUPPORT: of a later version. EUCLEAN: damaged.
Result<Superblock> decode(const Block& block);

std::uint32_t bitmap_blocks(std::uint64_t chunks);
std::uint64_t place_of_bitmap(std::uint32_t block);

// The bits of a block, the lowest of the first byte first.
using Bits = std::array<std::uint8_t, bits_per_block / 8>;
Block encode_bitmap(const Uuid& uuid, std::uint32_t index, const Bits& bits);
// A block that is damaged, torn or another's says of nothing that it is the same everywhere: all of
// its bits are set.
Bits decode_bitmap(const Uuid& uuid, std::uint32_t index, const Block& block);

// Whether there is nothing in it.
bool is_blank(std::span<const std::byte> data);

} // namespace ublk::targets::mirror_format

#endif
