// SPDX-License-Identifier: GPL-2.0-or-later
// ZoneStore is where a zoned disk keeps its bytes and, if they are to outlive the server, the
// records of its zones: in memory or in a file.
#ifndef UBLK_TARGETS_ZONE_STORE_H
#define UBLK_TARGETS_ZONE_STORE_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include <ublk/target.h>

#include "zone_image.h"
#include "zones.h"

namespace ublk::targets {

// Offsets are those of the disk. Results of asynchronous operations are 0 or a negative errno. May
// be used by several threads at a time.
class ZoneStore {
public:
    ZoneStore() = default;
    ZoneStore(const ZoneStore&) = delete;
    ZoneStore& operator=(const ZoneStore&) = delete;
    virtual ~ZoneStore() = default;

    virtual void register_files(FileTable& files) = 0;
    virtual Persistence persistence() const = 0;
    // nullptr for one in memory.
    virtual const Backing* backing() const { return nullptr; }
    // What the store adds to the disk's geometry.
    virtual void describe(Geometry& geometry) const = 0;

    virtual Async<int> read(Ring ring, std::span<std::byte> buffer, std::uint64_t offset) = 0;
    virtual Async<int> write(Ring ring, std::span<const std::byte> data, std::uint64_t offset,
                             Durability durability) = 0;
    // Nobody will read this range before it is written again.
    virtual Async<int> forget(Ring ring, std::uint64_t offset, std::uint64_t length) = 0;

    // The record of the zone has changed.
    virtual void changed(std::uint32_t zone) = 0;
    // What was written and what has changed before the call is on stable storage when it is over,
    // or will never be: after a failure nothing can be written any more.
    virtual Async<int> commit(Ring ring, const Zones& zones) = 0;

    // The disk has been there. One that never was leaves no file behind.
    virtual void keep() {}
    // The last commit; no operation is under way. Blocks. Fails also if an earlier one did.
    virtual Result<void> close(const Zones& zones) = 0;
};

Result<std::unique_ptr<ZoneStore>> open_zones_in_memory(const ZoneLayout& layout);

std::unique_ptr<ZoneStore> open_zones_in_file(ZoneImage image);

} // namespace ublk::targets

#endif
