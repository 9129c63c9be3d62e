// SPDX-License-Identifier: GPL-2.0-or-later
// A GPT has its header in the second sector. A table of DOS is in the first one whatever its size,
// so that only partitions that cannot be there tell.
#include "partition_table.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace ublk::targets {

namespace {

constexpr std::array<std::uint32_t, 4> sector_sizes{512, 1024, 2048, 4096};
constexpr std::size_t least = 4096; // what direct I/O reads anywhere

using Start = std::array<std::byte, 2 * least>;

// Little-endian.
std::uint64_t number_at(const Start& start, std::size_t offset, unsigned bytes) {
    std::uint64_t value = 0;
    for (unsigned i = bytes; i-- > 0;)
        value = value << 8 | std::to_integer<std::uint64_t>(start[offset + i]);
    return value;
}

bool is_text(const Start& start, std::size_t offset, std::string_view text) {
    return std::memcmp(start.data() + offset, text.data(), text.size()) == 0;
}

// The header says where it is itself, so what happens to lie there is not taken for one.
bool has_gpt(const Start& start, std::uint32_t sector) {
    return is_text(start, sector, "EFI PART") && number_at(start, sector + 24, 8) == 1;
}

bool is_boot_sector_of_fat(const Start& start) {
    return is_text(start, 54, "FAT") || is_text(start, 82, "FAT") || is_text(start, 3, "NTFS") ||
           is_text(start, 3, "EXFAT");
}

struct DosTable {
    bool found = false;
    std::uint64_t end = 0; // in sectors
};

DosTable look_for_dos_table(const Start& start) {
    constexpr std::size_t entries = 446;
    constexpr std::size_t entry_size = 16;
    DosTable table;
    if (number_at(start, 510, 2) != 0xaa55 || is_boot_sector_of_fat(start))
        return table;
    for (std::size_t i = 0; i < 4; ++i) {
        const std::size_t entry = entries + i * entry_size;
        const std::uint64_t flag = number_at(start, entry, 1);
        if (flag != 0 && flag != 0x80)
            return {};
        if (number_at(start, entry + 4, 1) == 0)
            continue;
        table.found = true;
        table.end =
            std::max(table.end, number_at(start, entry + 8, 4) + number_at(start, entry + 12, 4));
    }
    return table;
}

} // namespace

std::optional<std::uint32_t> other_sector_size(const ReadDisk& read, std::uint64_t size,
                                               std::uint32_t sector_size) {
    Start start{};
    if (size < start.size() || !read(0, start) || has_gpt(start, sector_size))
        return std::nullopt;
    for (const std::uint32_t sector : sector_sizes)
        if (sector != sector_size && has_gpt(start, sector))
            return sector;
    const DosTable dos = look_for_dos_table(start);
    if (dos.found && sector_size > 512 && dos.end > size / sector_size && dos.end <= size / 512)
        return 512;
    return std::nullopt;
}

} // namespace ublk::targets
