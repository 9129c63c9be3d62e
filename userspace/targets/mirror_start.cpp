// SPDX-License-Identifier: GPL-2.0-or-later
// How a mirror begins, from what is found on its legs, and how it ends.
#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include <sys/random.h>

#include "mirror.h"

namespace ublk::targets {

namespace {

// So long is waited at the end for what would only save work at the next start.
constexpr std::chrono::milliseconds patience{300};
constexpr std::uint64_t piece = 64U << 10; // of what may be blank

unsigned lowest(unsigned legs) { return legs & (~legs + 1); }

} // namespace

// The legs that have begun.
Async<Result<unsigned>> Mirror::begin_legs(Ring ring) {
    unsigned begun = 0;
    for (unsigned leg = 0; leg < count(); ++leg) {
        if (!has_part(leg))
            continue;
        const Result<void> result = co_await part(leg).begin(ring);
        if (result) {
            begun |= 1U << leg;
            continue;
        }
        if (!options_.lenient) {
            co_await end_legs(ring, begun);
            co_return in_part(leg, result.error());
        }
        unreachable_ |= 1U << leg;
        tell_of_mirror(describe(leg) + ": " + result.error().message());
    }
    co_return begun;
}

Async<void> Mirror::end_legs(Ring ring, unsigned legs) {
    for (unsigned leg = 0; leg < count(); ++leg)
        if (legs & (1U << leg))
            co_await part(leg).end(ring);
}

Async<Result<void>> Mirror::begin(Ring ring) {
    const Result<unsigned> begun = co_await begin_legs(ring);
    if (!begun)
        co_return begun.error();
    Result<void> result = co_await assemble_once(ring);
    if (result)
        result = co_await go_without_others(ring, *begun);
    if (!result) {
        co_await undo_begin(ring, *begun);
        co_return result;
    }
    const std::lock_guard guard{queues_mutex_};
    begun_[ring.queue_index()] = *begun;
    co_return result;
}

// Another queue may have begun with a leg that this one has not got.
Async<Result<void>> Mirror::go_without_others(Ring ring, unsigned begun) {
    for (unsigned leg = 0; leg < count(); ++leg)
        if (has_part(leg) && !(begun & (1U << leg)) && !give_up(leg, "begin", -ENOTCONN))
            co_return in_part(leg, Error{ENOTCONN, "begin"});
    if (geometry_.read_only)
        co_return Result<void>{};
    if (const int error = co_await settle(ring))
        co_return Error{-error, "write what the mirror needs to know"};
    co_return Result<void>{};
}

Async<void> Mirror::undo_begin(Ring ring, unsigned legs) {
    const bool is_home = ring.queue_index() == home_;
    if (is_home) {
        stopping_ = true;
        kick();
    }
    co_await end_legs(ring, legs);
    if (is_home)
        co_await wait_until_idle(ring, &background_runs_, std::nullopt);
}

Async<Result<void>> Mirror::assemble_once(Ring ring) {
    const Mutex::Guard guard = co_await assembly_.lock(ring);
    if (assembled_)
        co_return *assembled_;
    assembled_.emplace(co_await assemble(ring));
    if (!*assembled_)
        co_return *assembled_;
    home_ = ring.queue_index();
    if (!geometry_.read_only) {
        background_runs_ = true;
        run_in_background(this, ring).start();
    }
    co_return Result<void>{};
}

Async<Result<void>> Mirror::assemble(Ring ring) {
    std::vector<FoundLeg> found;
    for (unsigned leg = 0; leg < count(); ++leg) {
        const bool reachable = has_part(leg) && !(unreachable_ & (1U << leg));
        if (!reachable) {
            found.emplace_back();
            continue;
        }
        auto looked = co_await look_at(ring, leg);
        if (!looked && !options_.lenient)
            co_return in_part(leg, looked.error());
        if (!looked)
            tell_of_mirror(describe(leg) + ": " + looked.error().message());
        found.push_back(looked ? *looked : FoundLeg{});
    }
    mirror_format::Uuid fresh{};
    if (::getrandom(fresh.data(), fresh.size(), 0) != static_cast<ssize_t>(fresh.size()))
        co_return Error{errno, "get a random number"};
    auto plan = plan_mirror(found, options_.wish, fresh);
    if (!plan)
        co_return plan.error();
    co_return co_await take_up(ring, *plan);
}

Async<Result<FoundLeg>> Mirror::look_at(Ring ring, unsigned leg) {
    FoundLeg found{.kind = FoundLeg::Kind::blank};
    for (const std::uint64_t turn : {0U, 1U}) {
        const Answer read = co_await load(ring, leg, mirror_format::place_of_superblock(turn));
        if (read.is_error())
            co_return Error{-read.result(), "read the superblock"};
        auto superblock = mirror_format::decode(pages_[leg].bytes);
        if (superblock && (found.kind != FoundLeg::Kind::member ||
                           superblock->events > found.superblock.events)) {
            found.kind = FoundLeg::Kind::member;
            found.superblock = *superblock;
        }
        if (!superblock && superblock.error().code != EMEDIUMTYPE &&
            found.kind != FoundLeg::Kind::member) {
            found.kind = FoundLeg::Kind::damaged;
            found.reason = superblock.error().message();
        }
    }
    if (found.kind != FoundLeg::Kind::blank)
        co_return found;
    const std::uint64_t step = std::min<std::uint64_t>(piece, part(leg).geometry().max_io_bytes);
    const Buffer buffer = ring.borrow(step);
    if (!buffer)
        co_return Error{ENOMEM, "read the first MiB"};
    for (std::uint64_t at = 0; at < mirror_format::data_offset; at += step) {
        Request request;
        request.offset = at;
        request.length = std::min(step, mirror_format::data_offset - at);
        request.data = buffer.data().slice(0, request.length);
        const Answer read = co_await part(leg).serve(ring, request);
        if (read.result() != static_cast<int>(request.length))
            co_return Error{read.is_error() ? -read.result() : EIO, "read the first MiB"};
        if (!mirror_format::is_blank(buffer.memory().first(request.length)))
            found.kind = FoundLeg::Kind::other;
    }
    co_return found;
}

// False: it cannot be read.
Async<bool> Mirror::load_bitmap(Ring ring, unsigned leg) {
    const std::uint32_t blocks = mirror_format::bitmap_blocks(chunks());
    for (std::uint32_t block = 0; block < blocks; ++block) {
        const Answer read = co_await load(ring, leg, mirror_format::place_of_bitmap(block));
        if (read.is_error())
            co_return false;
        add_bits(leg, block);
    }
    co_return true;
}

// Those on the leg's page.
void Mirror::add_bits(unsigned leg, std::uint32_t block) noexcept {
    const auto bits = mirror_format::decode_bitmap(uuid_, block, pages_[leg].bytes);
    for (std::size_t i = 0; i < bits.size(); ++i)
        bits_[block * bits.size() + i].fetch_or(bits[i]);
}

// Each of those has all that is needed; together they are sure to.
Async<Result<void>> Mirror::load_bitmaps(Ring ring, MirrorPlan plan) {
    if (plan.bitmaps_of == 0)
        set_all_bits(0);
    for (unsigned leg = 0; leg < count(); ++leg) {
        if (!(plan.bitmaps_of & (1U << leg)))
            continue;
        const bool loaded = co_await load_bitmap(ring, leg);
        if (!loaded)
            co_return in_part(leg, Error{EIO, "read the mirror's bitmap"});
    }
    if (plan.known_size < geometry_.size_bytes)
        set_all_bits(plan.known_size);
    // Behind the end there are none.
    for (std::uint64_t bit = chunks(); bit < bits_.size() * 8; ++bit)
        reset_bit(static_cast<Chunk>(bit));
    co_return Result<void>{};
}

// Where writes may have been under way the first leg is right: the others become what it is before
// anybody reads them.
Async<Result<void>> Mirror::take_up(Ring ring, MirrorPlan plan) {
    uuid_ = plan.superblock.uuid;
    events_ = plan.superblock.events - 1;
    chunk_shift_ = static_cast<unsigned>(std::countr_zero(plan.superblock.chunk));
    const std::size_t bytes =
        mirror_format::bitmap_blocks(chunks()) * std::tuple_size_v<mirror_format::Bits>;
    bits_ = std::vector<std::atomic<std::uint8_t>>(bytes);
    stable_.assign(bytes, 0);
    cleaned_.reserve(std::min<std::uint64_t>(chunks(), mirror_format::bits_per_block));
    regions_ = std::make_unique<Regions>(chunks());
    if (auto loaded = co_await load_bitmaps(ring, plan); !loaded)
        co_return loaded;

    Standing standing;
    for (unsigned leg = 0; leg < count(); ++leg) {
        const auto bit = static_cast<std::uint8_t>(1U << leg);
        if (plan.superblock.legs[leg] == mirror_format::LegState::in_sync)
            standing.in_sync |= bit;
        if (plan.superblock.legs[leg] == mirror_format::LegState::syncing)
            standing.syncing |= bit;
    }
    if (dirty_chunks() > 0) {
        const auto first = static_cast<std::uint8_t>(lowest(standing.in_sync));
        standing.syncing |= static_cast<std::uint8_t>(standing.in_sync & ~first);
        standing.in_sync = first;
    }
    if (geometry_.read_only) { // nobody catches up, and nobody is told
        standing.syncing = 0;
        standing_.store(standing);
        resynced_to_ = geometry_.size_bytes;
        co_return Result<void>{};
    }
    standing_.store(standing);
    const Mutex::Guard guard = co_await metadata_.lock(ring);
    // A leg that is blank has to get its superblock before anything else, or it would be taken for
    // one with other data after a crash; without a bitmap it is taken to differ everywhere.
    int error = 0;
    if (!plan.is_new)
        error = co_await store_whole_bitmap(ring, standing.in_sync);
    superblocks_are_old_ = true;
    if (!error)
        error = co_await settle_locked(ring);
    const Standing now = standing_.load();
    if (!error)
        error = co_await store_whole_bitmap(ring, plan.is_new ? now.written() : now.syncing);
    if (!error)
        error = co_await settle_locked(ring);
    if (error)
        co_return Error{-error, "write what the mirror needs to know"};
    for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk)
        if (bit(static_cast<Chunk>(chunk)))
            regions_->mark(static_cast<Chunk>(chunk));
    begin_resync();
    tell_standing();
    co_return Result<void>{};
}

void Mirror::tell_standing() const {
    const Standing now = standing_.load();
    for (unsigned leg = 0; leg < count(); ++leg)
        if (!(now.in_sync & (1U << leg)))
            tell_of_mirror(describe(leg) + " is " + std::string(name_of_standing(leg)));
}

// What goes on in the background is given a moment to come to an end, which leaves the mirror
// clean. Then the legs are told to end, so that it must.
Async<void> Mirror::end(Ring ring) {
    unsigned legs = 0;
    bool is_last = false;
    {
        const std::lock_guard guard{queues_mutex_};
        const auto own = begun_.find(ring.queue_index());
        if (own != begun_.end())
            legs = own->second;
        begun_.erase(ring.queue_index());
        is_last = begun_.empty();
    }
    if (ring.queue_index() == home_) {
        stopping_ = true;
        kick();
        co_await wait_until_idle(ring, &background_runs_, patience);
    }
    ending_ = true;
    if (is_last && !geometry_.read_only && !background_runs_) {
        cleaning_runs_ = true;
        clean_at_the_end(this, ring).start();
        co_await wait_until_idle(ring, &cleaning_runs_, patience);
    }
    co_await end_legs(ring, legs);
    if (ring.queue_index() == home_)
        co_await wait_until_idle(ring, &background_runs_, std::nullopt);
    if (is_last)
        co_await wait_until_idle(ring, &cleaning_runs_, std::nullopt);
}

} // namespace ublk::targets
