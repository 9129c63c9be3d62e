// SPDX-License-Identifier: GPL-2.0-or-later
// What becomes of legs of a mirror that fail, and of the requests that saw it. A leg is out when
// all others know it on stable storage, and not before is anything answered that it lacks.
#include <bit>
#include <cerrno>
#include <cstring>

#include "mirror.h"

namespace ublk::targets {

namespace {

int error_of(const Answer& answer) { return answer.is_error() ? answer.result() : -EIO; }

// Advice that a leg does not take.
bool is_declined(const Request& request, const Answer& answer) {
    return request.op == Op::discard && answer.result() == -EOPNOTSUPP;
}

bool is_good(const Request& request, const Answer& answer) {
    return is_complete(request, answer) || is_declined(request, answer);
}

const char* text_of(int error) {
    const char* text = ::strerrordesc_np(-error);
    return text ? text : "an unknown error";
}

std::string doing(const Request& request) {
    std::string text = name_of(request.op);
    return request.op == Op::flush ? text : text + " at " + std::to_string(request.offset);
}

} // namespace

std::string Mirror::describe(unsigned leg) const {
    return "child " + std::to_string(leg) + legs_[leg].name;
}

// False: there is no other, so it stays.
bool Mirror::give_up(unsigned leg, std::string_view doing, int error) {
    const auto bit = static_cast<std::uint8_t>(1U << leg);
    const std::string why = describe(leg) + ": " + std::string(doing) + ": " + text_of(error);
    const std::lock_guard guard{standing_mutex_};
    Standing now = standing_.load();
    if (!(now.written() & bit))
        return true; // it is known
    if (now.in_sync == bit) {
        if (!last_has_failed_.exchange(true))
            tell_of_mirror(why + "; it is the last one that has all data, so users see the errors");
        return false;
    }
    now.in_sync &= static_cast<std::uint8_t>(~bit);
    now.syncing &= static_cast<std::uint8_t>(~bit);
    now.leaving |= bit;
    standing_.store(now);
    legs_[leg].left.fetch_add(1, std::memory_order_relaxed);
    tell_of_mirror(why + "; the disk goes on without it, until ublkd command DEV rejoin " +
                   std::to_string(leg));
    return true;
}

Async<int> Mirror::settle(Ring ring) {
    const Mutex::Guard guard = co_await metadata_.lock(ring);
    co_return co_await settle_locked(ring);
}

// Until the legs that are left have all been told who is out.
Async<int> Mirror::settle_locked(Ring ring) {
    for (;;) {
        const Standing told = standing_.load();
        if (!told.leaving && !superblocks_are_old_)
            co_return 0;
        ++events_;
        if (const int error = co_await store_superblocks(ring, told))
            co_return error;
        superblocks_are_old_ = false;
        const std::lock_guard guard{standing_mutex_};
        Standing now = standing_.load();
        now.leaving &= static_cast<std::uint8_t>(~told.leaving);
        standing_.store(now);
    }
}

// A change or a flush is good when a leg that is in sync has taken it, and no other is believed to
// have taken what it has not.
Async<Answer> Mirror::sort_out(Ring ring, Request request, unsigned asked, Answers answers) {
    unsigned good = 0;
    int first_error = 0;
    bool none_can = true;
    for (unsigned leg = 0; leg < count(); ++leg) {
        if (!(asked & (1U << leg)))
            continue;
        if (is_good(request, answers[leg]))
            good |= 1U << leg;
        else if (!first_error)
            first_error = error_of(answers[leg]);
        none_can &= answers[leg].result() == -EOPNOTSUPP;
    }
    if (none_can)
        co_return -EOPNOTSUPP;
    if (ending_) // whoever waits for the outside is told to end: that says nothing of the legs
        co_return good == asked ? request.done() : Answer{first_error};
    for (unsigned leg = static_cast<unsigned>(count()); leg-- > 0;)
        if ((asked & ~good) & (1U << leg))
            give_up(leg, doing(request), error_of(answers[leg]));
    if (const int error = co_await settle(ring))
        co_return error;
    if (request.op == Op::flush)
        good |= ~asked; // which have no need of it
    if (good & standing_.load().in_sync)
        co_return request.done();
    co_return first_error ? first_error : -EIO;
}

Async<Answer> Mirror::read_elsewhere(Ring ring, Request request, unsigned failed, Answer answer) {
    if (ending_)
        co_return answer;
    unsigned tried = 1U << failed;
    unsigned bad = tried;
    bool read = false;
    for (unsigned left; !read && (left = standing_.load().in_sync & ~tried) != 0;) {
        const auto leg = static_cast<unsigned>(std::countr_zero(left));
        tried |= 1U << leg;
        const Answer other = co_await part(leg).serve(ring, for_leg(leg, request));
        read = is_good(request, other);
        if (!read)
            bad |= 1U << leg;
    }
    if (!read) {
        if (!last_has_failed_.exchange(true))
            tell_of_mirror(doing(request) + " fails on all children that have the data");
        co_return error_of(answer);
    }
    if (geometry_.read_only)
        co_return request.done();
    for (; bad; bad &= bad - 1)
        co_await mend(ring, request, static_cast<unsigned>(std::countr_zero(bad)), answer);
    if (const int error = co_await settle(ring))
        co_return error;
    co_return request.done();
}

// One that has become shorter has lost more than this, and a repair would make it look whole.
Async<void> Mirror::mend(Ring ring, Request request, unsigned leg, Answer answer) {
    const bool is_shorter = !answer.is_error();
    bool mended = false;
    if (!is_shorter)
        mended = co_await repair(ring, request, leg);
    if (mended || !give_up(leg, doing(request), error_of(answer)) || !is_shorter)
        co_return;
    const Mutex::Guard guard = co_await metadata_.lock(ring);
    static_cast<void>(co_await doubt_everything(ring)); // whose errors every write sees
}

// Writes what another leg has to one that cannot read it, and sees whether it can read it then.
Async<bool> Mirror::repair(Ring ring, Request request, unsigned leg) {
    const Chunk first = chunk_at(request.offset);
    const Chunk last = chunk_at(request.offset + request.length - 1);
    for (Chunk chunk = first; chunk <= last; ++chunk)
        co_await regions_->lock(ring, chunk);
    const bool repaired = co_await rewrite(ring, request, leg);
    for (Chunk chunk = first; chunk <= last; ++chunk)
        regions_->unlock(chunk);
    if (repaired)
        legs_[leg].repaired.fetch_add(1, std::memory_order_relaxed);
    co_return repaired;
}

// With its chunks locked, so that nothing that is newer is overwritten. What was read before may be
// older, so it is read again.
Async<bool> Mirror::rewrite(Ring ring, Request request, unsigned leg) {
    const Buffer buffer = ring.borrow(request.length);
    if (!buffer)
        co_return false;
    request.data = buffer.data().slice(0, request.length);
    const unsigned others = standing_.load().in_sync & ~(1U << leg);
    if (!others)
        co_return false;
    const auto source = static_cast<unsigned>(std::countr_zero(others));
    const Answer there = co_await part(source).serve(ring, for_leg(source, request));
    if (!is_good(request, there))
        co_return false;
    Request write = request;
    write.op = Op::write;
    const Answer written = co_await part(leg).serve(ring, for_leg(leg, write));
    if (!is_good(write, written))
        co_return false;
    const Answer again = co_await part(leg).serve(ring, for_leg(leg, request));
    co_return is_good(request, again);
}

} // namespace ublk::targets
