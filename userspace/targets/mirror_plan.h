// SPDX-License-Identifier: GPL-2.0-or-later
// What to make of the legs of a mirror as they are found at its start: which one is right, which
// ones have to catch up, and when that is not for us to say. Does no I/O.
#ifndef UBLK_TARGETS_MIRROR_PLAN_H
#define UBLK_TARGETS_MIRROR_PLAN_H

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ublk/result.h>

#include "mirror_format.h"

namespace ublk::targets {

// What is in front of the data of a leg.
struct FoundLeg {
    enum class Kind : std::uint8_t {
        missing, // there is no leg, or it cannot be read
        blank,   // nothing but zeroes: a new one
        other,   // something, but no superblock
        damaged, // or of a later version: `reason` says it
        member,
    };

    Kind kind = Kind::missing;
    mirror_format::Superblock superblock{}; // of a member
    std::string reason{};
};

struct MirrorWish {
    std::uint64_t size = 0;         // of the data, as the legs have room for it
    std::uint64_t chunk = 0;        // as asked for; 0: what the superblock says, or the usual
    std::optional<unsigned> keep{}; // which leg is right, whatever the superblocks say
    bool read_only = false;
};

struct MirrorPlan {
    // What is to be written, one event later than anything there.
    mirror_format::Superblock superblock{};
    // Whose bitmaps together say where legs may differ: bits by leg. 0: they differ everywhere.
    unsigned bitmaps_of = 0;
    // Of a mirror that has become larger: from here on nobody knows.
    std::uint64_t known_size = 0;
    bool is_new = false; // there was no superblock anywhere
};

// The chunks' usual size for so much data.
std::uint64_t usual_chunk(std::uint64_t size);

// An error says in one line why the mirror cannot be started so, and what to type.
Result<MirrorPlan> plan_mirror(const std::vector<FoundLeg>& legs, const MirrorWish& wish,
                               const mirror_format::Uuid& fresh_uuid);

} // namespace ublk::targets

#endif
