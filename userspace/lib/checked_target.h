// SPDX-License-Identifier: MIT
// CheckedTarget enforces the contract between the library and any target, in both directions: what
// a target sees lies inside its geometry, and what it answers makes sense for the request.
#ifndef UBLK_LIB_CHECKED_TARGET_H
#define UBLK_LIB_CHECKED_TARGET_H

#include <atomic>
#include <cstdint>

#include <ublk/target.h>

#include "tag.h"

namespace ublk {

class CheckedTarget {
public:
    // The target must have a valid geometry and outlive this.
    explicit CheckedTarget(Target& target);

    // As it was at the start.
    const Geometry& geometry() const noexcept { return geometry_; }
    Target& target() const noexcept { return *target_; }

    // 0, or the negative errno that the request is to be failed with unseen by the target.
    int check(const detail::Tag& tag) const noexcept;

    // The disk may grow to `size`. There is no way back: requests for what lies behind a new end
    // can be under way, and the target serves them.
    void allow_up_to(std::uint64_t size) noexcept;

    // The request is made where the target gets it.
    Async<Answer> serve(Ring ring, const detail::Tag& tag) const {
        return target_->serve(ring, tag.request());
    }

    // Whether the target may answer the request so. A read or write that is neither complete nor
    // failed is not allowed: drivers disagree on what to do with the rest, and one drops it. What
    // is said about zones must be possible; not every driver looks at it.
    bool allowed(const detail::Tag& tag, int result) const noexcept;

private:
    int check_range(const detail::Tag& tag) const noexcept;
    int check_transfer(const detail::Tag& tag) const noexcept;
    int check_zone(const detail::Tag& tag) const noexcept;
    int check_append(const detail::Tag& tag) const noexcept;
    int check_report(const detail::Tag& tag) const noexcept;
    bool append_is_possible(const detail::Tag& tag) const noexcept;
    bool report_is_possible(const detail::Tag& tag) const noexcept;

    Target* target_;
    Geometry geometry_;
    // Raised before the driver knows of it, whose requests come after that.
    std::atomic<std::uint64_t> limit_;
};

} // namespace ublk

#endif
