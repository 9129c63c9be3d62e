// SPDX-License-Identifier: GPL-2.0-or-later
// Compares superblocks. A leg is believed if the one with the most events believes it.
#include "mirror_plan.h"

#include <algorithm>
#include <bit>
#include <cerrno>

namespace ublk::targets {

namespace {

using mirror_format::LegState;
using mirror_format::Superblock;
using Kind = FoundLeg::Kind;
using Legs = std::vector<FoundLeg>;

std::string number(std::size_t leg) { return std::to_string(leg); }

Error refuse(std::string step, std::string hint) {
    return Error{EINVAL, std::move(step), std::move(hint), ErrorKind::backend};
}

// One of no events is none.
std::size_t head_of(const Legs& legs) {
    std::size_t head = legs.size();
    for (std::size_t i = 0; i < legs.size(); ++i)
        if (legs[i].kind == Kind::member &&
            (head == legs.size() || legs[i].superblock.events > legs[head].superblock.events))
            head = i;
    return head;
}

std::string keep_hint(std::size_t leg) {
    return "keep=" + number(leg) + " overwrites all others with the data of child " + number(leg);
}

Result<void> check_one(const Legs& legs, std::size_t i, std::size_t head) {
    switch (legs[i].kind) {
    case Kind::other:
        return refuse("child " + number(i),
                      "there is something in its first MiB, which a mirror needs for itself; wipe "
                      "it: dd if=/dev/zero bs=1M count=1 conv=notrunc of=..." +
                          (head < legs.size() ? "; or " + keep_hint(head) : ""));
    case Kind::damaged:
        return refuse("child " + number(i) + ": " + legs[i].reason,
                      head < legs.size() ? keep_hint(head)
                                         : "wipe its first MiB to make a new mirror");
    case Kind::member:
        break;
    default:
        return {};
    }
    const Superblock& own = legs[i].superblock;
    const Superblock& right = legs[head].superblock;
    if (own.uuid != right.uuid)
        return refuse("child " + number(i), "it belongs to another mirror than child " +
                                                number(head) + "; " + keep_hint(head));
    if (own.leg != i)
        return refuse("child " + number(i),
                      "it was child " + number(own.leg) +
                          " of this mirror; give the children in their order");
    if (i != head && own.legs[head] == LegState::out)
        return refuse("children " + number(std::min(i, head)) + " and " +
                          number(std::max(i, head)) + " were each used without the other",
                      "say whose data are right, the other's are lost: keep=" +
                          number(std::min(i, head)) + " or keep=" + number(std::max(i, head)));
    return {};
}

Result<void> check_layout(const Superblock& right, const MirrorWish& wish) {
    if (wish.size < right.size)
        return Error{ENODATA, "size",
                     "the mirror has " + std::to_string(right.size) +
                         " bytes, and a child has no room for more than " +
                         std::to_string(wish.size) + "; make it larger",
                     ErrorKind::backend};
    if (wish.chunk && wish.chunk != right.chunk)
        return refuse("chunk=" + std::to_string(wish.chunk),
                      "this mirror has chunk=" + std::to_string(right.chunk) + "; leave it out");
    return {};
}

Result<void> check_chunks(std::uint64_t size, std::uint64_t chunk) {
    if ((size - 1) / chunk < mirror_format::most_chunks)
        return {};
    return refuse("chunk=" + std::to_string(chunk),
                  "the bitmap has no room for so many; use chunk=" +
                      std::to_string(usual_chunk(size)) + " for a new mirror");
}

bool is_there(const FoundLeg& leg) { return leg.kind != Kind::missing; }

// Others than the first are to be overwritten.
MirrorPlan plan_all_from(std::size_t first, const Legs& legs, const MirrorWish& wish,
                         const Superblock& before) {
    MirrorPlan plan;
    plan.superblock = before;
    plan.superblock.size = wish.size;
    for (std::size_t i = 0; i < legs.size(); ++i)
        plan.superblock.legs[i] = i == first          ? LegState::in_sync
                                  : is_there(legs[i]) ? LegState::syncing
                                                      : LegState::out;
    plan.known_size = wish.size;
    return plan;
}

std::uint64_t most_events(const Legs& legs) {
    std::uint64_t most = 0;
    for (const FoundLeg& leg : legs)
        if (leg.kind == Kind::member)
            most = std::max(most, leg.superblock.events);
    return most;
}

Result<MirrorPlan> plan_new(const Legs& legs, const MirrorWish& wish,
                            const mirror_format::Uuid& uuid) {
    if (wish.read_only)
        return refuse("make a new mirror", "it cannot be made read-only");
    std::size_t first = 0;
    while (first < legs.size() && !is_there(legs[first]))
        ++first;
    if (first == legs.size())
        return Error{ENXIO, "start", "none of the children can be read", ErrorKind::backend};
    Superblock fresh{.uuid = uuid,
                     .events = 1,
                     .size = wish.size,
                     .chunk = wish.chunk ? wish.chunk : usual_chunk(wish.size)};
    if (auto fits = check_chunks(wish.size, fresh.chunk); !fits)
        return fits.error();
    MirrorPlan plan = plan_all_from(first, legs, wish, fresh);
    plan.is_new = true;
    return plan;
}

Result<MirrorPlan> plan_kept(const Legs& legs, const MirrorWish& wish) {
    const std::size_t kept = *wish.keep;
    if (kept >= legs.size() || legs[kept].kind != Kind::member)
        return refuse("keep=" + number(kept), "this child is no leg of a mirror");
    if (wish.read_only)
        return refuse("keep=" + number(kept), "it overwrites the others, so not --read-only");
    if (auto fits = check_layout(legs[kept].superblock, wish); !fits)
        return fits.error();
    Superblock before = legs[kept].superblock;
    before.events = most_events(legs) + 1;
    return plan_all_from(kept, legs, wish, before);
}

Error nobody_is_right(const Superblock& right, const Legs& legs, std::size_t head) {
    std::string last;
    for (std::size_t i = 0; i < right.legs.size(); ++i)
        if (right.legs[i] == LegState::in_sync)
            last += (last.empty() ? "" : ", ") + number(i);
    std::size_t best = head;
    for (std::size_t i = 0; i < legs.size(); ++i)
        if (legs[i].kind == Kind::member && right.legs[i] == LegState::syncing)
            best = i;
    return refuse(
        "no child that is there has all data",
        "child " + last +
            " had them last: add it; or, with what it alone has lost, keep=" + number(best));
}

Result<MirrorPlan> plan_known(const Legs& legs, std::size_t head, const MirrorWish& wish) {
    const Superblock& right = legs[head].superblock;
    if (auto fits = check_layout(right, wish); !fits)
        return fits.error();
    if (auto fits = check_chunks(wish.size, right.chunk); !fits)
        return fits.error();
    MirrorPlan plan;
    plan.superblock = right;
    plan.superblock.events = right.events + 1;
    plan.superblock.size = wish.size;
    plan.known_size = right.size;
    for (std::size_t i = 0; i < legs.size(); ++i) {
        LegState& state = plan.superblock.legs[i];
        const bool member = legs[i].kind == Kind::member;
        if (member && right.legs[i] == LegState::in_sync)
            plan.bitmaps_of |= 1U << i;
        else
            state = is_there(legs[i]) ? LegState::syncing : LegState::out;
    }
    // Nobody keeps bits for those that are given no more.
    std::fill(plan.superblock.legs.begin() + static_cast<std::ptrdiff_t>(legs.size()),
              plan.superblock.legs.end(), LegState::none);
    if (plan.bitmaps_of == 0)
        return nobody_is_right(right, legs, head);
    // One that knows nothing of this mirror, or that this mirror knows nothing of, differs
    // everywhere.
    for (std::size_t i = 0; i < legs.size(); ++i) {
        const bool known = legs[i].kind == Kind::member && right.legs[i] != LegState::none;
        if (is_there(legs[i]) && !known)
            plan.bitmaps_of = 0;
    }
    return plan;
}

} // namespace

std::uint64_t usual_chunk(std::uint64_t size) {
    constexpr std::uint64_t usual = 1U << 20;
    const std::uint64_t in_one_block =
        (size + mirror_format::bits_per_block - 1) / mirror_format::bits_per_block;
    return std::max(usual, std::bit_ceil(in_one_block));
}

Result<MirrorPlan> plan_mirror(const std::vector<FoundLeg>& legs, const MirrorWish& wish,
                               const mirror_format::Uuid& fresh_uuid) {
    const std::size_t head = head_of(legs);
    Result<void> fits{};
    for (std::size_t i = 0; i < legs.size() && fits; ++i)
        fits = check_one(legs, i, head);
    if (!fits)
        return wish.keep ? plan_kept(legs, wish) : Result<MirrorPlan>{fits.error()};
    if (head == legs.size())
        return plan_new(legs, wish, fresh_uuid);
    auto plan = plan_known(legs, head, wish);
    // It only decides what would be refused, so that the same words mean the same at the next
    // start.
    return !plan && wish.keep ? plan_kept(legs, wish) : plan;
}

} // namespace ublk::targets
