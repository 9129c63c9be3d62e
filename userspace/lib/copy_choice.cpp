// SPDX-License-Identifier: MIT
// The modes, what they need, and which is preferred.
#include "copy_choice.h"

#include <array>
#include <cerrno>

#include "driver_features.h"
#include "uapi.h"

namespace ublk {

namespace {

constexpr std::array modes{CopyMode::automatic, CopyMode::driver, CopyMode::user, CopyMode::zero,
                           CopyMode::shmem};

bool hands_data_on(const Target& target) { return target.data_access() == DataAccess::ring; }

// A commit has room for a buffer's address or for the place of an append, and a report of zones is
// made in memory.
Result<CopyChoice> choose_for_zones(CopyMode wanted, const CopyMeans& means) {
    const std::string step = "copy mode '" + std::string{name_of(wanted)} + "'";
    if (means.shared)
        return Error{EINVAL, step, "a zoned device uses no shared memory; leave --shmem out",
                     ErrorKind::usage};
    if (wanted == CopyMode::automatic)
        return CopyChoice{CopyMode::user, "a zoned device needs that"};
    if (wanted == CopyMode::user)
        return CopyChoice{CopyMode::user, "asked for"};
    return Error{EINVAL, step, "the data of a zoned device go by user copy; use --copy=auto",
                 ErrorKind::usage};
}

Result<CopyChoice> grant(CopyMode wanted, const CopyMeans& means) {
    const std::string step = "copy mode '" + std::string{name_of(wanted)} + "'";
    if (wanted == CopyMode::shmem && !means.shared)
        return Error{EINVAL, step, "say which memory is shared: --shmem FILE", ErrorKind::usage};
    if (wanted != CopyMode::shmem && means.shared)
        return Error{EINVAL, step, "it uses no shared memory; leave --shmem out", ErrorKind::usage};
    if (Result<void> can = check_features(step, features_of(wanted), means.available,
                                          "--copy=auto takes what it has");
        !can)
        return can.error();
    if (wanted == CopyMode::zero && !hands_data_on(means.target))
        return Error{EINVAL, step, "this target needs the data in its own memory; use --copy=auto",
                     ErrorKind::usage};
    return CopyChoice{wanted, "asked for"};
}

// Who shares memory wants it used, but cannot help the driver's age.
CopyChoice choose_shared(std::uint64_t available) {
    const std::string missing = missing_feature(features_of(CopyMode::shmem), available);
    if (missing.empty())
        return {CopyMode::shmem, "there is shared memory"};
    return {CopyMode::driver, "the driver lacks " + missing};
}

} // namespace

std::string_view name_of(CopyMode mode) {
    switch (mode) {
    case CopyMode::automatic:
        return "auto";
    case CopyMode::driver:
        return "driver";
    case CopyMode::user:
        return "user";
    case CopyMode::zero:
        return "zero";
    case CopyMode::shmem:
        return "shmem";
    }
    return "unknown";
}

Result<CopyMode> parse_copy_mode(std::string_view text) {
    std::string names;
    for (CopyMode mode : modes) {
        if (name_of(mode) == text)
            return mode;
        names.append(names.empty() ? "" : ", ").append(name_of(mode));
    }
    return Error{EINVAL, "copy mode '" + std::string{text} + "'", "use one of: " + names,
                 ErrorKind::usage};
}

CopyMode copy_mode_of(std::uint64_t features) {
    if (features & (UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG))
        return CopyMode::zero;
    if (features & UBLK_F_USER_COPY)
        return CopyMode::user;
    return features & UBLK_F_SHMEM_ZC ? CopyMode::shmem : CopyMode::driver;
}

std::uint64_t features_of(CopyMode mode) {
    switch (mode) {
    case CopyMode::user:
        return UBLK_F_USER_COPY;
    case CopyMode::zero:
        return UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG;
    case CopyMode::shmem:
        return UBLK_F_SHMEM_ZC;
    case CopyMode::automatic:
    case CopyMode::driver:
        break;
    }
    return 0;
}

// Zero copy saves most where it can be had. User copy is not preferred to the driver's: for a
// request that the server keeps in a buffer it costs a submission more and saves no copy.
Result<CopyChoice> choose_copy_mode(CopyMode wanted, const CopyMeans& means) {
    if (means.target.geometry().is_zoned())
        return choose_for_zones(wanted, means);
    if (wanted != CopyMode::automatic)
        return grant(wanted, means);
    if (means.shared)
        return choose_shared(means.available);
    if (!hands_data_on(means.target))
        return CopyChoice{CopyMode::driver, "the target needs the data in its own memory"};
    if (const std::string missing = missing_feature(features_of(CopyMode::zero), means.available);
        !missing.empty())
        return CopyChoice{CopyMode::driver, "the driver lacks " + missing};
    return CopyChoice{CopyMode::zero, "the best that driver and target have"};
}

// What the users chose is the alignment of the target's own I/O in shared memory. That can be
// direct I/O, and then a target that does not know what its backing asks for is safe with whole
// blocks.
Geometry geometry_for(CopyMode mode, Geometry geometry) {
    if (mode == CopyMode::shmem && geometry.dma_alignment == 0)
        geometry.dma_alignment = geometry.logical_block_size;
    return geometry;
}

} // namespace ublk
