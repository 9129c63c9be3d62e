// SPDX-License-Identifier: GPL-2.0-or-later
// CRC-32C by a table.
#include "crc32c.h"

#include <array>

namespace ublk::targets {

namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
    constexpr std::uint32_t polynomial = 0x82f63b78; // Castagnoli's, reflected
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
        std::uint32_t crc = byte;
        for (int bit = 0; bit < 8; ++bit)
            crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
        table[byte] = crc;
    }
    return table;
}

} // namespace

std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t before) {
    static constexpr std::array<std::uint32_t, 256> table = make_table();
    std::uint32_t crc = ~before;
    for (const std::byte byte : data)
        crc = crc >> 8 ^ table[(crc ^ static_cast<std::uint32_t>(byte)) & 0xff];
    return ~crc;
}

} // namespace ublk::targets
