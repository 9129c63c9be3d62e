// SPDX-License-Identifier: GPL-2.0-or-later
// What a mirror does beside the requests of its users, on the ring of one queue: copying to a leg
// that catches up, forgetting what is no longer under way, and what users ask for.
#include <algorithm>
#include <bit>
#include <cerrno>

#include <poll.h>
#include <sys/eventfd.h>
#include <ublk/task_group.h>

#include "mirror.h"

namespace ublk::targets {

namespace {

constexpr std::chrono::seconds order_limit{10};
constexpr unsigned share_beside_users = 4; // of the rate that is left to a resync

void drain(int descriptor) {
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(descriptor, &count)); // nothing there is as good
}

Error wrong(unsigned leg, std::string hint) {
    return Error{EINVAL, "child " + std::to_string(leg), std::move(hint), ErrorKind::usage};
}

} // namespace

void Mirror::kick() const noexcept { ::eventfd_write(kick_.get(), 1); }

void Mirror::begin_resync() noexcept {
    resynced_to_ = standing_.load().syncing ? 0 : geometry_.size_bytes;
}

std::uint64_t Mirror::dirty_chunks() const noexcept {
    std::uint64_t dirty = 0;
    for (const auto& byte : bits_)
        dirty += static_cast<unsigned>(std::popcount(byte.load(std::memory_order_relaxed)));
    return dirty;
}

Async<void> Mirror::run_in_background(Mirror* mirror, Ring ring) {
    using Clock = std::chrono::steady_clock;
    mirror->next_clean_ = Clock::now() + mirror->options_.settle_time;
    while (!mirror->stopping_) {
        co_await mirror->obey(ring);
        std::chrono::nanoseconds pause = mirror->next_clean_ - Clock::now();
        if (mirror->standing_.load().syncing) {
            const std::uint64_t before = mirror->resynced_bytes_;
            co_await mirror->resync_some(ring);
            pause = std::min(pause, mirror->pause_after(mirror->resynced_bytes_ - before));
        }
        if (Clock::now() >= mirror->next_clean_) {
            static_cast<void>(co_await mirror->clean(ring)); // whose errors are told
            mirror->next_clean_ = Clock::now() + mirror->options_.settle_time;
        }
        if (pause.count() <= 0)
            co_await ring.yield();
        else
            static_cast<void>(co_await ring.poll(mirror->kick_.get(), POLLIN).within(pause));
        drain(mirror->kick_.get());
    }
    mirror->background_runs_ = false;
    ::eventfd_write(mirror->done_.get(), 1);
}

// Everybody who writes has ended: twice, as the first time may have been a moment ago.
Async<void> Mirror::clean_at_the_end(Mirror* mirror, Ring ring) {
    static_cast<void>(co_await mirror->clean(ring));
    static_cast<void>(co_await mirror->clean(ring));
    mirror->cleaning_runs_ = false;
    ::eventfd_write(mirror->done_.get(), 1);
}

// Or until the limit is over.
Async<void> Mirror::wait_until_idle(Ring ring, std::atomic<bool>* runs,
                                    std::optional<std::chrono::nanoseconds> limit) {
    while (*runs) {
        const int result = limit ? co_await ring.poll(done_.get(), POLLIN).within(*limit)
                                 : co_await ring.poll(done_.get(), POLLIN);
        if (result == -ETIMEDOUT)
            co_return;
        drain(done_.get());
    }
}

// So that the rate is kept; others that use the disk come first.
std::chrono::nanoseconds Mirror::pause_after(std::uint64_t bytes) {
    std::uint64_t activity = changes_.load(std::memory_order_relaxed);
    for (const Leg& leg : legs_)
        activity += leg.reads_begun.load(std::memory_order_relaxed);
    const bool alone = activity == seen_activity_;
    seen_activity_ = activity;
    const std::uint64_t rate =
        std::max<std::uint64_t>(options_.resync_rate / (alone ? 1 : share_beside_users), 1);
    constexpr double second = 1e9;
    const double pause = static_cast<double>(bytes) / static_cast<double>(rate) * second;
    return std::chrono::nanoseconds{static_cast<std::int64_t>(pause)};
}

// A window of the next chunk that may differ.
Async<void> Mirror::resync_some(Ring ring) {
    std::uint64_t at = resynced_to_;
    while (at < geometry_.size_bytes && !bit(chunk_at(at)))
        at = (std::uint64_t{chunk_at(at)} + 1) << chunk_shift_;
    at = std::min(at, geometry_.size_bytes);
    resynced_to_ = at;
    if (at == geometry_.size_bytes) {
        co_await finish_resync(ring);
        co_return;
    }
    const Chunk chunk = chunk_at(at);
    const std::uint64_t end =
        std::min((std::uint64_t{chunk} + 1) << chunk_shift_, geometry_.size_bytes);
    const std::uint64_t length = std::min(window_, end - at);
    co_await regions_->lock(ring, chunk);
    const bool copied = co_await copy_window(ring, at, length);
    regions_->unlock(chunk);
    if (!ending_)
        static_cast<void>(co_await settle(ring)); // whose errors every write sees
    if (!copied)
        co_return;
    resynced_to_ = at + length;
    resynced_bytes_ += length;
}

// False: nobody has got it. With the chunk locked.
Async<bool> Mirror::copy_window(Ring ring, std::uint64_t offset, std::uint64_t length) {
    const Buffer buffer = ring.borrow(length);
    if (!buffer)
        co_return false; // there may be memory the next time
    Request request;
    request.offset = offset;
    request.length = length;
    request.data = buffer.data().slice(0, length);
    int error = -EIO;
    for (unsigned left = standing_.load().in_sync; left; left &= left - 1) {
        const auto source = static_cast<unsigned>(std::countr_zero(left));
        const Answer read = co_await part(source).serve(ring, for_leg(source, request));
        if (read.result() == static_cast<int>(length)) {
            request.op = Op::write;
            co_return co_await copy_to(ring, request, standing_.load().syncing);
        }
        error = read.is_error() ? read.result() : -EIO;
    }
    for (unsigned leg = 0; leg < count() && !ending_; ++leg)
        if (standing_.load().syncing & (1U << leg))
            give_up(leg, "catch up: nobody can read at " + std::to_string(offset), error);
    co_return false;
}

// What is zero stays without space where the leg can do that.
Async<bool> Mirror::copy_to(Ring ring, Request request, unsigned legs) {
    const bool zero = mirror_format::is_blank(request.data.memory());
    Answers answers = no_answers;
    TaskGroup group;
    for (unsigned left = legs; left; left &= left - 1) {
        const auto leg = static_cast<unsigned>(std::countr_zero(left));
        Request own = for_leg(leg, request);
        if (zero && legs_[leg].zeroes) {
            own.op = Op::write_zeroes;
            own.data = {};
        }
        group.start(part(leg).serve(ring, own), answers[leg]);
    }
    co_await group;
    for (unsigned left = legs; left; left &= left - 1) {
        const auto leg = static_cast<unsigned>(std::countr_zero(left));
        const bool good = zero && legs_[leg].zeroes
                              ? !answers[leg].is_error()
                              : answers[leg].result() == static_cast<int>(request.length);
        if (!good && ending_)
            co_return false;
        if (!good)
            give_up(leg, "catch up at " + std::to_string(request.offset),
                    answers[leg].is_error() ? answers[leg].result() : -EIO);
    }
    co_return legs != 0;
}

// Who has caught up has all of it on stable storage before it is believed.
Async<void> Mirror::finish_resync(Ring ring) {
    const unsigned caught_up = standing_.load().syncing;
    if (co_await flush_legs(ring, caught_up) != 0) {
        if (!ending_)
            static_cast<void>(co_await settle(ring)); // whose errors every write sees
        co_return;
    }
    const Mutex::Guard guard = co_await metadata_.lock(ring);
    unsigned in_sync = 0;
    {
        const std::lock_guard changing{standing_mutex_};
        Standing now = standing_.load();
        in_sync = now.syncing & caught_up;
        now.in_sync |= static_cast<std::uint8_t>(in_sync);
        now.syncing &= static_cast<std::uint8_t>(~in_sync);
        standing_.store(now);
    }
    superblocks_are_old_ = true;
    for (unsigned leg = 0; leg < count(); ++leg)
        if (in_sync & (1U << leg))
            tell_of_mirror(describe(leg) + " has caught up");
    static_cast<void>(co_await settle_locked(ring)); // whose errors every write sees
}

// With metadata_ locked: nobody is marked or cleaned meanwhile.
Async<Result<void>> Mirror::rejoin(Ring ring, unsigned leg) {
    const Mutex::Guard guard = co_await metadata_.lock(ring);
    const unsigned bit = 1U << leg;
    if (!has_part(leg) || (unreachable_ & bit))
        co_return wrong(leg,
                        "it is missing: quiesce the disk and recover it when the child is back");
    if (standing_.load().written() & bit)
        co_return wrong(leg, "it has not been left");
    if (const int error = co_await settle_locked(ring))
        co_return Error{-error, "write what the mirror needs to know"};
    auto found = co_await look_at(ring, leg);
    if (!found)
        co_return in_part(leg, found.error());
    const bool known = found->kind == FoundLeg::Kind::member && found->superblock.uuid == uuid_ &&
                       found->superblock.leg == leg;
    int error = 0;
    if (!known)
        error = co_await doubt_everything(ring);
    if (error)
        co_return Error{-error, "write the bitmap"};
    {
        const std::lock_guard changing{standing_mutex_};
        Standing now = standing_.load();
        now.syncing |= static_cast<std::uint8_t>(bit);
        standing_.store(now);
    }
    superblocks_are_old_ = true;
    error = co_await settle_locked(ring);
    if (!error)
        error = co_await store_whole_bitmap(ring, bit);
    if (!error)
        error = co_await settle_locked(ring);
    begin_resync();
    if (error || !(standing_.load().syncing & bit))
        co_return Error{error ? -error : EIO, "bring child " + std::to_string(leg) + " back"};
    co_return Result<void>{};
}

Async<Result<void>> Mirror::carry_out(Ring ring, Order order) {
    if (order.rejoin)
        co_return co_await rejoin(ring, order.leg);
    if (!(standing_.load().written() & (1U << order.leg)))
        co_return wrong(order.leg, "it has been left already");
    if (!give_up(order.leg, "as asked for", -ECANCELED))
        co_return wrong(order.leg, "it is the last one that has all data");
    if (const int error = co_await settle(ring))
        co_return Error{-error, "write what the mirror needs to know"};
    co_return Result<void>{};
}

Async<void> Mirror::obey(Ring ring) {
    std::optional<Order> order;
    {
        const std::lock_guard guard{order_mutex_};
        if (!order_ || order_->outcome)
            co_return;
        order = order_;
    }
    const Result<void> outcome = co_await carry_out(ring, *order);
    const std::lock_guard guard{order_mutex_};
    if (order_ && order_->number == order->number) // nobody may wait for it any more
        order_->outcome.emplace(outcome);
    ordered_.notify_all();
}

std::string_view Mirror::name_of_standing(unsigned leg) const noexcept {
    const Standing now = standing_.load();
    const unsigned bit = 1U << leg;
    if (now.in_sync & bit)
        return "in sync";
    if (now.syncing & bit)
        return "catching up";
    return has_part(leg) ? "out" : "missing";
}

Result<unsigned> Mirror::leg_named(std::string_view command,
                                   std::span<const std::string> words) const {
    static_assert(mirror_format::most_legs <= 10, "their numbers are digits");
    if (words.size() == 1 && words.front().size() == 1) {
        const int leg = words.front().front() - '0';
        if (leg >= 0 && static_cast<std::size_t>(leg) < count())
            return static_cast<unsigned>(leg);
    }
    return Error{EINVAL, std::string(command),
                 "give the number of a child, 0 to " + std::to_string(count() - 1),
                 ErrorKind::usage};
}

Result<void> Mirror::order(std::string_view command, unsigned leg) {
    if (geometry_.read_only)
        return Error{EROFS, std::string(command), "nothing of a read-only mirror changes"};
    std::unique_lock guard{order_mutex_};
    order_ = Order{++orders_, command == "rejoin", leg, {}};
    kick();
    const bool done =
        ordered_.wait_for(guard, order_limit, [this] { return order_->outcome.has_value(); });
    Result<void> outcome =
        done ? *order_->outcome
             : Result<void>{Error{ETIMEDOUT, std::string(command), "a child does not answer"}};
    order_.reset();
    return outcome;
}

// "legs" tells how they stand, and so do "fail N" and "rejoin N" afterwards.
Result<Reply> Mirror::command(std::string_view name, std::span<const std::string> words) {
    if (name != "legs" && name != "fail" && name != "rejoin")
        return Composite::command(name, words);
    if (name != "legs") {
        auto leg = leg_named(name, words);
        if (!leg)
            return leg.error();
        if (auto done = order(name, *leg); !done)
            return done.error();
    }
    Reply reply;
    for (unsigned leg = 0; leg < count(); ++leg)
        reply.emplace_back("child " + std::to_string(leg),
                           std::string(name_of_standing(leg)) + legs_[leg].name);
    reply.emplace_back("dirty", std::to_string(dirty_chunks() << chunk_shift_));
    reply.emplace_back("resynced_to", std::to_string(resynced_to_.load()));
    return reply;
}

void Mirror::measure(Metrics& metrics) const {
    const Standing now = standing_.load();
    metrics.add("mirror", "legs_in_sync", static_cast<unsigned>(std::popcount(now.in_sync)));
    metrics.add("mirror", "legs_syncing", static_cast<unsigned>(std::popcount(now.syncing)));
    metrics.add("mirror", "dirty_bytes", dirty_chunks() << chunk_shift_);
    metrics.add("mirror", "resynced_bytes", resynced_bytes_.load());
    for (unsigned leg = 0; leg < count(); ++leg) {
        const std::string layer = "mirror/" + std::to_string(leg);
        metrics.add(layer, "in_sync", now.in_sync >> leg & 1);
        metrics.add(layer, "reads", legs_[leg].reads_begun.load());
        metrics.add(layer, "repaired_reads", legs_[leg].repaired.load());
        metrics.add(layer, "times_left", legs_[leg].left.load());
    }
    Composite::measure(metrics);
}

} // namespace ublk::targets
