// SPDX-License-Identifier: GPL-2.0-or-later
// Whose a call is, when its request ends, is decided by one exchange: librbd's callback or whoever
// gives up comes first.
#include "rbd_calls.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <new>

namespace ublk::targets {

// In the frame of the coroutine that waits.
struct RbdCalls::Waiting {
    explicit Waiting(Ring ring) noexcept : over(ring) {}

    Event over;
    bool given_up = false; // the call is not ours any more
};

struct RbdCalls::Call {
    enum class State : std::uint8_t { running, done, given_up };

    explicit Call(const RbdLibrary& of) noexcept : library(of) {}

    const RbdLibrary& library;
    std::atomic<State> state{State::running};
    Waiting* waiting = nullptr; // valid until the state has changed and the event is set
    ssize_t result = 0;
    std::size_t place = 0; // in running_
    // Where librbd reads to. A request's own memory is gone when the request is, and librbd reads
    // into it whenever it likes; a copy of 4 KiB is nothing beside what it does for that.
    std::unique_ptr<std::byte[]> buffer{}; // NOLINT(modernize-avoid-c-arrays): not to be cleared
    std::size_t capacity = 0;

    bool make_room(std::size_t bytes) noexcept {
        if (bytes <= capacity)
            return true;
        buffer.reset(new (std::nothrow) std::byte[bytes]);
        capacity = buffer ? bytes : 0;
        return buffer != nullptr;
    }
};

namespace {

// A buffer of more than this is not kept: most reads are small, and what a server has stays in
// memory.
constexpr std::size_t largest_kept_buffer = 128U << 10;

} // namespace

RbdCalls::RbdCalls(const RbdLibrary& library, rbd_image_t image)
    : library_(library), image_(image) {}

RbdCalls::~RbdCalls() = default;

RbdCalls::Call* RbdCalls::take(const Request& request, Waiting& waiting) noexcept {
    std::unique_ptr<Call> call;
    try {
        if (idle_.empty()) {
            call = std::make_unique<Call>(library_);
            // Later there is room for all, whatever memory is left.
            running_.reserve(running_.size() + 1);
            idle_.reserve(running_.size() + 1);
        } else {
            call = std::move(idle_.back());
            idle_.pop_back();
        }
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
    if (request.op == Op::read && !call->make_room(request.length)) {
        idle_.push_back(std::move(call));
        return nullptr;
    }
    call->state = Call::State::running;
    call->waiting = &waiting;
    call->place = running_.size();
    running_.push_back(call.get());
    return call.release();
}

void RbdCalls::put_back(Call& call) noexcept {
    running_.back()->place = call.place;
    running_[call.place] = running_.back();
    running_.pop_back();
    if (call.capacity > largest_kept_buffer) {
        call.buffer.reset();
        call.capacity = 0;
    }
    idle_.emplace_back(&call);
}

Async<Answer> RbdCalls::run(Ring ring, Request request) {
    if (given_up_)
        co_return Answer::failed(EIO);
    Waiting waiting{ring};
    Call* const call = take(request, waiting);
    if (!call)
        co_return Answer::failed(ENOMEM);
    if (const int started = start(*call, request); started < 0) {
        put_back(*call);
        co_return started;
    }
    co_await waiting.over;
    if (waiting.given_up)
        co_return Answer::failed(EIO);
    const ssize_t result = call->result;
    const bool is_read = request.op == Op::read;
    const bool is_short = is_read && result != static_cast<ssize_t>(request.length);
    if (is_read && !is_short)
        std::copy_n(call->buffer.get(), request.length, request.data.memory().begin());
    put_back(*call);
    if (result < 0)
        co_return static_cast<int>(result);
    if (is_short) // the image has become shorter
        co_return Answer::failed(EIO);
    co_return request.done();
}

int RbdCalls::start(Call& call, const Request& request) noexcept {
    rbd_completion_t completion = nullptr;
    if (const int made = library_.rbd_aio_create_completion(&call, finished, &completion); made < 0)
        return made;
    int started = -EOPNOTSUPP;
    switch (request.op) {
    case Op::read:
        started = library_.rbd_aio_read(image_, request.offset, request.length,
                                        reinterpret_cast<char*>(call.buffer.get()), completion);
        break;
    case Op::write: // librbd has a copy when it returns: rbd_disable_zero_copy_writes
        started = library_.rbd_aio_write(
            image_, request.offset, request.length,
            reinterpret_cast<const char*>(request.data.memory().data()), completion);
        break;
    case Op::discard:
        started = library_.rbd_aio_discard(image_, request.offset, request.length, completion);
        break;
    case Op::write_zeroes:
        started = library_.rbd_aio_write_zeroes(
            image_, request.offset, request.length, completion,
            request.no_unmap ? RBD_WRITE_ZEROES_FLAG_THICK_PROVISION : 0, 0);
        break;
    case Op::flush:
        started = library_.rbd_aio_flush(image_, completion);
        break;
    default:
        break;
    }
    if (started < 0)
        library_.rbd_aio_release(completion);
    return started;
}

// By a thread of librbd. Whoever changes the state sets the event; a call that was given up is
// nobody's but ours here.
void RbdCalls::finished(rbd_completion_t completion, void* argument) noexcept {
    auto* const call = static_cast<Call*>(argument);
    call->result = call->library.rbd_aio_get_return_value(completion);
    call->library.rbd_aio_release(completion);
    Waiting* const waiting = call->waiting;
    auto expected = Call::State::running;
    if (call->state.compare_exchange_strong(expected, Call::State::done))
        waiting->over.set();
    else
        delete call;
}

std::size_t RbdCalls::give_up() noexcept {
    given_up_ = true;
    std::size_t count = 0;
    for (std::size_t i = running_.size(); i-- > 0;) {
        Call* const call = running_[i];
        Waiting* const waiting = call->waiting;
        auto expected = Call::State::running;
        if (!call->state.compare_exchange_strong(expected, Call::State::given_up))
            continue; // librbd was first
        running_[i] = running_.back();
        running_[i]->place = i;
        running_.pop_back();
        waiting->given_up = true;
        waiting->over.set();
        ++count;
    }
    return count;
}

} // namespace ublk::targets
