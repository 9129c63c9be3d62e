// SPDX-License-Identifier: GPL-2.0-or-later
// Zones is the state of a zoned disk's zones: conditions, write pointers, and the limits of how
// many may be open and active. It knows what may be done next, and does no I/O.
#ifndef UBLK_TARGETS_ZONES_H
#define UBLK_TARGETS_ZONES_H

#include <cstdint>
#include <mutex>
#include <vector>

#include <ublk/zone.h>

namespace ublk::targets {

// All of it constant for the life of a disk. Bytes.
struct ZoneLayout {
    std::uint64_t zone_size = 0;     // power of two
    std::uint64_t zone_capacity = 0; // of a sequential zone; up to zone_size
    std::uint32_t zones = 0;
    std::uint32_t conventional = 0; // the first ones; less than all
    std::uint32_t max_open = 0;     // 0: no limit
    std::uint32_t max_active = 0;   // 0: no limit
    std::uint32_t block_size = 0;   // what is written is whole blocks

    std::uint64_t size() const { return zones * zone_size; }
    std::uint64_t start_of(std::uint32_t zone) const { return zone * zone_size; }
    std::uint32_t zone_at(std::uint64_t offset) const {
        return static_cast<std::uint32_t>(offset / zone_size);
    }
    bool is_conventional(std::uint32_t zone) const { return zone < conventional; }
};

// What outlives the server: a zone that was open is closed then.
struct ZoneRecord {
    std::uint64_t written = 0; // so many bytes from the zone's start hold data
    bool full = false;         // nothing more can be written, whatever is

    bool operator==(const ZoneRecord&) const = default;
};

// The operations return 0 or the negative errno that the disk's user gets; EIO is what the kernel's
// own zoned disks say to whatever a zone's condition forbids. May be used by several threads at a
// time, but what changes a zone must have that zone's turn (see zoned.cpp).
class Zones {
public:
    // All of them empty.
    explicit Zones(const ZoneLayout& layout);
    // As they were when the records were made: one for each zone, all possible for the layout.
    Zones(const ZoneLayout& layout, const std::vector<ZoneRecord>& records);

    const ZoneLayout& layout() const { return layout_; }
    Zone describe(std::uint32_t zone) const;
    ZoneRecord record(std::uint32_t zone) const;
    // How many bytes of a zone can be read from its start; what is behind them reads as zeroes.
    std::uint64_t readable(std::uint32_t zone) const;

    // `at` counts from the zone's start. Unless refused the zone is open, and its write pointer
    // moves when the write has ended, by what was written: `length`, or 0 if it failed.
    int begin_write(std::uint32_t zone, std::uint64_t at, std::uint64_t length);
    void end_write(std::uint32_t zone, std::uint64_t length);

    int open(std::uint32_t zone);
    int close(std::uint32_t zone);
    int finish(std::uint32_t zone);
    int reset(std::uint32_t zone);

private:
    struct State {
        std::uint64_t written = 0;
        // Neighbours in the line of those that are open implicitly.
        std::uint32_t older = nobody;
        std::uint32_t newer = nobody;
        ZoneCondition condition = ZoneCondition::empty;
        bool writing = false; // between begin_write() and end_write()
    };
    static constexpr std::uint32_t nobody = UINT32_MAX;

    // All with the mutex held.
    void enter(std::uint32_t zone, ZoneCondition condition);
    void leave_line(std::uint32_t zone);
    void join_line(std::uint32_t zone);
    void settle(std::uint32_t zone);
    int make_room(ZoneCondition from);
    std::uint32_t* count_of(ZoneCondition condition);
    std::uint32_t open_zones() const { return implicitly_open_ + explicitly_open_; }

    const ZoneLayout layout_;
    mutable std::mutex mutex_{};
    std::vector<State> zones_;
    std::uint32_t implicitly_open_ = 0;
    std::uint32_t explicitly_open_ = 0;
    std::uint32_t closed_ = 0;
    std::uint32_t oldest_ = nobody; // of those that are open implicitly: least recently written
    std::uint32_t newest_ = nobody;
};

} // namespace ublk::targets

#endif
