// SPDX-License-Identifier: GPL-2.0-or-later
// What a mirror has in front of the data of its legs. A bit is on stable storage before anything is
// written to its chunk, and stays there until all legs have that on theirs.
#include <algorithm>
#include <bit>
#include <cerrno>

#include <ublk/task_group.h>

#include "mirror.h"

namespace ublk::targets {

using mirror_format::LegState;

bool Mirror::bit(Chunk chunk) const noexcept {
    return bits_[chunk / 8].load(std::memory_order_relaxed) >> chunk % 8 & 1;
}

bool Mirror::stable_bit(Chunk chunk) const noexcept { return stable_[chunk / 8] >> chunk % 8 & 1; }

void Mirror::set_bit(Chunk chunk) noexcept {
    bits_[chunk / 8].fetch_or(static_cast<std::uint8_t>(1U << chunk % 8));
}

void Mirror::reset_bit(Chunk chunk) noexcept {
    bits_[chunk / 8].fetch_and(static_cast<std::uint8_t>(~(1U << chunk % 8)));
}

void Mirror::set_all_bits(std::uint64_t from) noexcept {
    for (std::uint64_t chunk = from >> chunk_shift_; chunk < chunks(); ++chunk)
        set_bit(static_cast<Chunk>(chunk));
}

Request Mirror::for_page(Op op, unsigned leg, std::uint64_t place) {
    Request request;
    request.op = op;
    request.offset = place;
    request.length = mirror_format::block_size;
    request.data = Data::of(std::span<std::byte>{pages_[leg].bytes});
    return request;
}

// The leg's page. 0, or what went wrong.
Async<Answer> Mirror::store(Ring ring, unsigned leg, std::uint64_t place) {
    Request request = for_page(Op::write, leg, place);
    request.fua = legs_[leg].fua;
    const Answer written = co_await part(leg).serve(ring, request);
    if (!is_complete(request, written))
        co_return written.is_error() ? written : Answer{-EIO};
    if (!legs_[leg].caches || legs_[leg].fua)
        co_return 0;
    Request flush;
    flush.op = Op::flush;
    co_return co_await part(leg).serve(ring, flush);
}

Async<Answer> Mirror::load(Ring ring, unsigned leg, std::uint64_t place) {
    const Request request = for_page(Op::read, leg, place);
    const Answer read = co_await part(leg).serve(ring, request);
    if (is_complete(request, read))
        co_return 0;
    co_return read.is_error() ? read : Answer{-EIO};
}

// Each its own page. Legs that fail are left; an error if none remains.
Async<int> Mirror::store_pages(Ring ring, unsigned legs, std::uint64_t place) {
    Answers answers = no_answers;
    TaskGroup group;
    for (unsigned left = legs; left; left &= left - 1) {
        const auto leg = static_cast<unsigned>(std::countr_zero(left));
        group.start(store(ring, leg, place), answers[leg]);
    }
    co_await group;
    int error = 0;
    for (unsigned leg = static_cast<unsigned>(count()); leg-- > 0;) {
        if (!(legs & (1U << leg)) || !answers[leg].is_error())
            continue;
        if (ending_ || !give_up(leg, "write what the mirror needs to know", answers[leg].result()))
            error = answers[leg].result();
    }
    co_return error;
}

// Those in sync first: what only others know counts for nothing.
Async<int> Mirror::store_superblocks(Ring ring, Standing standing) {
    mirror_format::Superblock superblock{.uuid = uuid_,
                                         .events = events_,
                                         .size = geometry_.size_bytes,
                                         .chunk = std::uint64_t{1} << chunk_shift_};
    for (unsigned leg = 0; leg < count(); ++leg)
        superblock.legs[leg] = standing.in_sync >> leg & 1   ? LegState::in_sync
                               : standing.syncing >> leg & 1 ? LegState::syncing
                                                             : LegState::out;
    for (unsigned leg = 0; leg < count(); ++leg) {
        superblock.leg = leg;
        pages_[leg].bytes = mirror_format::encode(superblock);
    }
    const std::uint64_t place = mirror_format::place_of_superblock(events_);
    if (const int error = co_await store_pages(ring, standing.in_sync, place))
        co_return error;
    co_return co_await store_pages(ring, standing.syncing, place);
}

// Puts the block on all pages. Until they are stored it is not known what is there.
void Mirror::compose_bitmap(std::uint32_t block) noexcept {
    mirror_format::Bits bits;
    const std::size_t from = block * bits.size();
    for (std::size_t i = 0; i < bits.size(); ++i) {
        bits[i] = bits_[from + i].load(std::memory_order_relaxed);
        stable_[from + i] &= bits[i];
    }
    const Block encoded = mirror_format::encode_bitmap(uuid_, block, bits);
    for (Page& page : pages_)
        page.bytes = encoded;
}

void Mirror::note_stored_bitmap(std::uint32_t block) noexcept {
    const auto bits = mirror_format::decode_bitmap(uuid_, block, pages_.front().bytes);
    std::copy(bits.begin(), bits.end(),
              stable_.begin() + static_cast<std::ptrdiff_t>(block * bits.size()));
}

Async<int> Mirror::store_bitmap(Ring ring, unsigned legs, std::uint32_t block) {
    compose_bitmap(block);
    if (const int error = co_await store_pages(ring, legs, mirror_format::place_of_bitmap(block)))
        co_return error;
    note_stored_bitmap(block);
    co_return 0;
}

Async<int> Mirror::store_whole_bitmap(Ring ring, unsigned legs) {
    const std::uint32_t blocks = mirror_format::bitmap_blocks(chunks());
    for (std::uint32_t block = 0; block < blocks; ++block)
        if (const int error = co_await store_bitmap(ring, legs, block))
            co_return error;
    co_return 0;
}

// A leg may differ anywhere: it gets everything when it is back.
Async<int> Mirror::doubt_everything(Ring ring) {
    set_all_bits(0);
    if (const int error = co_await store_whole_bitmap(ring, standing_.load().written()))
        co_return error;
    for (std::uint64_t chunk = 0; chunk < chunks(); ++chunk)
        regions_->mark(static_cast<Chunk>(chunk));
    co_return co_await settle_locked(ring);
}

// Many that come at a time are marked together: who has waited finds his bits there.
Async<int> Mirror::intend(Ring ring, Chunk first, Chunk last) {
    for (Chunk chunk = first; chunk <= last; ++chunk)
        set_bit(chunk);
    const Mutex::Guard guard = co_await metadata_.lock(ring);
    for (Chunk begin = first; begin <= last;) {
        const Chunk block = begin / mirror_format::bits_per_block;
        const Chunk end = std::min(last + 1, (block + 1) * mirror_format::bits_per_block);
        bool known = true;
        for (; begin < end; ++begin) {
            known &= stable_bit(begin);
            set_bit(begin); // somebody may have cleaned meanwhile
        }
        if (known)
            continue;
        if (const int error = co_await store_bitmap(ring, standing_.load().written(), block))
            co_return error;
        if (const int error = co_await settle_locked(ring))
            co_return error;
    }
    for (Chunk chunk = first; chunk <= last; ++chunk)
        regions_->mark(chunk);
    co_return 0;
}

// Nothing, or the first error. Legs that fail are left.
Async<int> Mirror::flush_legs(Ring ring, unsigned legs) {
    Answers answers = no_answers;
    Request flush;
    flush.op = Op::flush;
    TaskGroup group;
    for (unsigned left = legs; left; left &= left - 1) {
        const auto leg = static_cast<unsigned>(std::countr_zero(left));
        if (legs_[leg].caches)
            group.start(part(leg).serve(ring, flush), answers[leg]);
    }
    co_await group;
    int error = 0;
    for (unsigned leg = static_cast<unsigned>(count()); leg-- > 0;) {
        if (!answers[leg].is_error())
            continue;
        error = answers[leg].result();
        if (!ending_)
            give_up(leg, "flush", error);
    }
    co_return error;
}

// Those where nobody has been for a while, and which are the same on all legs.
std::size_t Mirror::collect_cleanable(Standing standing) {
    const std::uint64_t same = standing.syncing ? resynced_to_.load() : geometry_.size_bytes;
    cleaned_.clear();
    for (std::uint64_t next = 0; next < chunks(); ++next) {
        const auto chunk = static_cast<Chunk>(next);
        if (chunk % 8 == 0 && !bits_[chunk / 8].load(std::memory_order_relaxed)) {
            next += 7;
            continue;
        }
        const std::uint64_t end = std::min((next + 1) << chunk_shift_, geometry_.size_bytes);
        if (!bit(chunk) || end > same)
            continue;
        if (!regions_->try_unmark(chunk)) {
            regions_->cool(chunk);
            continue;
        }
        reset_bit(chunk);
        cleaned_.push_back(chunk);
    }
    return cleaned_.size();
}

// Results in an error only if there is a disk no more.
Async<int> Mirror::clean(Ring ring) {
    const Mutex::Guard guard = co_await metadata_.lock(ring);
    const Standing standing = standing_.load();
    const bool all_are_there = standing.written() == (1U << count()) - 1;
    if (!all_are_there || geometry_.read_only || collect_cleanable(standing) == 0)
        co_return 0;
    if (const int error = co_await flush_legs(ring, standing.written())) {
        for (const Chunk chunk : cleaned_) {
            set_bit(chunk);
            regions_->mark(chunk);
        }
        static_cast<void>(error); // it was told
        co_return co_await settle_locked(ring);
    }
    co_return co_await store_cleaned(ring);
}

Async<int> Mirror::store_cleaned(Ring ring) {
    for (std::size_t i = 0; i < cleaned_.size();) {
        const std::uint32_t block = cleaned_[i] / mirror_format::bits_per_block;
        if (const int error = co_await store_bitmap(ring, standing_.load().written(), block))
            co_return error;
        while (i < cleaned_.size() && cleaned_[i] / mirror_format::bits_per_block == block)
            ++i;
    }
    co_return co_await settle_locked(ring);
}

} // namespace ublk::targets
