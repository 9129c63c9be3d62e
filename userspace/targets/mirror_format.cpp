// SPDX-License-Identifier: GPL-2.0-or-later
// Encodes and decodes what is in front of the data of a leg.
#include "mirror_format.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "crc32c.h"

namespace ublk::targets::mirror_format {

namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::array<char, 8> magic{'U', 'B', 'L', 'K', 'M', 'I', 'R', 'R'};
constexpr std::uint32_t version = 1;

struct RawSuperblock {
    std::array<char, 8> magic;
    std::uint32_t version;
    std::uint32_t checksum; // of all 4096 bytes, with this being 0
    Uuid uuid;
    std::uint64_t events;
    std::uint64_t size;
    std::uint64_t chunk;
    std::uint64_t data_offset;
    std::uint32_t leg;
    std::uint32_t leg_count; // that there is room for
    std::array<std::uint8_t, most_legs> legs;
    std::array<std::byte, block_size - 80> reserved;
};
static_assert(sizeof(RawSuperblock) == block_size);

struct RawBitmap {
    Bits bits;
    std::uint32_t index;
    std::uint32_t checksum; // of the UUID, then of all 4096 bytes, with this being 0
};
static_assert(sizeof(RawBitmap) == block_size);

template <class Raw> std::span<const std::byte> bytes_of(const Raw& raw) {
    return std::as_bytes(std::span{&raw, 1});
}

std::uint32_t checksum_of(RawSuperblock raw) {
    raw.checksum = 0;
    return crc32c(bytes_of(raw));
}

std::uint32_t checksum_of(const Uuid& uuid, RawBitmap raw) {
    raw.checksum = 0;
    return crc32c(bytes_of(raw), crc32c(bytes_of(uuid)));
}

Error damaged() {
    return Error{EUCLEAN, "check the mirror's superblock",
                 "keep=N makes another leg the right one, and overwrites this one",
                 ErrorKind::backend};
}

bool is_possible(const RawSuperblock& raw) {
    return std::has_single_bit(raw.chunk) && raw.chunk >= smallest_chunk &&
           raw.chunk <= largest_chunk && raw.size > 0 && (raw.size - 1) / raw.chunk < most_chunks &&
           raw.leg < most_legs && raw.data_offset == data_offset && raw.leg_count == most_legs &&
           std::all_of(raw.legs.begin(), raw.legs.end(), [](std::uint8_t state) {
               return state <= static_cast<std::uint8_t>(LegState::out);
           });
}

} // namespace

std::uint64_t place_of_superblock(std::uint64_t events) { return events % 2 * block_size; }

Block encode(const Superblock& superblock) {
    RawSuperblock raw{};
    raw.magic = magic;
    raw.version = version;
    raw.uuid = superblock.uuid;
    raw.events = superblock.events;
    raw.size = superblock.size;
    raw.chunk = superblock.chunk;
    raw.data_offset = data_offset;
    raw.leg = superblock.leg;
    raw.leg_count = most_legs;
    std::transform(superblock.legs.begin(), superblock.legs.end(), raw.legs.begin(),
                   [](LegState state) { return static_cast<std::uint8_t>(state); });
    raw.checksum = checksum_of(raw);
    return std::bit_cast<Block>(raw);
}

Result<Superblock> decode(const Block& block) {
    const auto raw = std::bit_cast<RawSuperblock>(block);
    if (raw.magic != magic)
        return Error{EMEDIUMTYPE, "look for a mirror's superblock", "this is no leg of a mirror",
                     ErrorKind::backend};
    if (raw.version != version)
        return Error{EPROTONOSUPPORT, "read version " + std::to_string(raw.version),
                     "this ublkd knows version " + std::to_string(version), ErrorKind::backend};
    if (raw.checksum != checksum_of(raw) || !is_possible(raw))
        return damaged();
    Superblock superblock{.uuid = raw.uuid,
                          .events = raw.events,
                          .size = raw.size,
                          .chunk = raw.chunk,
                          .leg = raw.leg};
    std::transform(raw.legs.begin(), raw.legs.end(), superblock.legs.begin(),
                   [](std::uint8_t state) { return static_cast<LegState>(state); });
    return superblock;
}

std::uint32_t bitmap_blocks(std::uint64_t chunks) {
    return static_cast<std::uint32_t>((chunks + bits_per_block - 1) / bits_per_block);
}

std::uint64_t place_of_bitmap(std::uint32_t block) {
    return bitmap_offset + std::uint64_t{block} * block_size;
}

Block encode_bitmap(const Uuid& uuid, std::uint32_t index, const Bits& bits) {
    RawBitmap raw{bits, index, 0};
    raw.checksum = checksum_of(uuid, raw);
    return std::bit_cast<Block>(raw);
}

Bits decode_bitmap(const Uuid& uuid, std::uint32_t index, const Block& block) {
    const auto raw = std::bit_cast<RawBitmap>(block);
    if (raw.index == index && raw.checksum == checksum_of(uuid, raw))
        return raw.bits;
    Bits all;
    all.fill(0xff);
    return all;
}

bool is_blank(std::span<const std::byte> data) {
    return std::all_of(data.begin(), data.end(),
                       [](std::byte byte) { return byte == std::byte{}; });
}

} // namespace ublk::targets::mirror_format
