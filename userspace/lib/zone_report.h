// SPDX-License-Identifier: MIT
// How the answer to a report_zones lies in the request's buffer: the kernel's descriptors of zones,
// one behind the other, those that the target left out being all zero.
#ifndef UBLK_LIB_ZONE_REPORT_H
#define UBLK_LIB_ZONE_REPORT_H

#include <cstddef>
#include <linux/blkzoned.h>

#include "tag.h"

namespace ublk {

constexpr std::uint64_t report_bytes(std::uint32_t zones) { return zones * sizeof(blk_zone); }

unsigned zones_wanted(const detail::Tag& tag) noexcept;

// Before the target gets the request.
void clear_report(const detail::Tag& tag) noexcept;

blk_zone described_zone(const detail::Tag& tag, unsigned index) noexcept;

// Type, condition, capacity and write pointer go together.
bool is_possible(const blk_zone& zone) noexcept;

} // namespace ublk

#endif
