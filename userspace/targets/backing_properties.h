// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel says of a file or disk, and what becomes of it when that is a backing: taken
// over, translated, refused or remarked upon. Documentation/backing.rst has the list.
#ifndef UBLK_TARGETS_BACKING_PROPERTIES_H
#define UBLK_TARGETS_BACKING_PROPERTIES_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ublk/result.h>

#include "identity.h"

namespace ublk::targets {

struct BackingRequest {
    std::string path;
    bool direct = true; // O_DIRECT; buffered if the file system has none
    bool read_only = false;
};

enum class DiscardWay : std::uint8_t {
    none,
    punch_hole,  // fallocate()
    block_layer, // BLKDISCARD
};

struct Properties {
    bool rotational = false;
    // Its data are checksummed or mirrored: they must not change while they are written.
    bool stable_pages = false;
    std::uint32_t offset_alignment = 512; // of file offsets and lengths of I/O
    std::uint32_t memory_alignment = 0;   // of I/O buffers; 0: unknown
    std::uint32_t physical_block_size = 0;
    std::uint64_t first_physical_block = 0; // offset of the first that begins in the backing
    std::uint32_t io_min = 0;
    std::uint32_t io_opt = 0;
    DiscardWay discard = DiscardWay::none;
    std::uint32_t discard_granularity = 0;
    std::uint64_t first_granule = 0; // as first_physical_block
    std::uint32_t max_discard_bytes = 0;
    std::vector<std::string> remarks{}; // what a user should know; each a part of a line

    bool operator==(const Properties&) const = default;
};

// As the ioctls and sysfs have them.
struct DiskFacts {
    std::string zoned = "none"; // or host-aware, host-managed
    bool write_protected = false;
    bool rotational = false;
    bool stable_writes = false;
    std::uint64_t logical_block_size = 512;
    std::uint64_t physical_block_size = 512;
    std::uint64_t io_min = 0;
    std::uint64_t io_opt = 0;
    std::int64_t alignment_offset = 0; // of its first physical block; below 0: never aligned
    std::uint64_t discard_max_bytes = 0;
    std::uint64_t discard_granularity = 0;
    std::uint64_t discard_alignment = 0;
    std::optional<std::int32_t> locked_by{}; // as for a file
};

// As fstat, fstatfs, statx and fcntl have them.
struct FileFacts {
    std::uint64_t size = 0;
    std::uint64_t file_system_block = 0; // f_frsize
    std::uint64_t io_size = 0;           // st_blksize
    long file_system = 0;                // f_type
    int seals = 0;                       // of a memfd
    bool rotational = false;
    bool swap = false;
    bool punches_holes = false;
    bool ends_where_it_says = true;          // its last byte can be read
    std::optional<std::int32_t> locked_by{}; // a process; 0: one that is not known
};

DiskFacts ask_disk(int descriptor, dev_t device, bool read_only, const KernelPaths& paths = {});
FileFacts ask_file(int descriptor, bool read_only, const KernelPaths& paths = {});

Result<Properties> properties_of(const DiskFacts& disk, const BackingRequest& request);
Result<Properties> properties_of(const FileFacts& file, const BackingRequest& request);

} // namespace ublk::targets

#endif
