// SPDX-License-Identifier: MIT
// The hot path: completion, coroutine, commit. Nothing here allocates, locks or makes a system call
// other than the one per round. What every request passes is inline, so that it becomes few
// functions.
#include "queue.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <poll.h>
#include <sys/eventfd.h>

#include "ring_operation.h"
#include "zone_report.h"

namespace ublk {

namespace {

// Tell a tag's commands, the moves of its data and the bell from the target's operations, whose
// user_data is their address.
constexpr std::uint64_t command_mark = std::uint64_t{1} << 63;
constexpr std::uint64_t move_mark = std::uint64_t{1} << 62;
constexpr std::uint64_t bell_mark = std::uint64_t{1} << 61;
constexpr std::uint64_t patience_mark = std::uint64_t{1} << 60;
constexpr std::uint64_t pause_mark = std::uint64_t{1} << 59;
// On the address of an operation: it is its limit that is over.
constexpr std::uint64_t limit_mark = 1;
constexpr std::uint64_t any_mark =
    command_mark | move_mark | bell_mark | patience_mark | pause_mark | limit_mark;

// How long requests may take after the server was asked to end.
constexpr __kernel_timespec patience{.tv_sec = 1, .tv_nsec = 0};

static_assert(static_cast<int>(Op::report_zones) == UBLK_IO_OP_REPORT_ZONES);
static_assert(static_cast<int>(Op::zone_reset) == UBLK_IO_OP_ZONE_RESET);
static_assert(static_cast<int>(Op::zone_reset_all) == UBLK_IO_OP_ZONE_RESET_ALL);
static_assert(static_cast<int>(Op::zone_append) == UBLK_IO_OP_ZONE_APPEND);
static_assert(static_cast<int>(Op::zone_finish) == UBLK_IO_OP_ZONE_FINISH);
static_assert(static_cast<int>(Op::zone_close) == UBLK_IO_OP_ZONE_CLOSE);
static_assert(static_cast<int>(Op::zone_open) == UBLK_IO_OP_ZONE_OPEN);
static_assert(static_cast<int>(Op::write_zeroes) == UBLK_IO_OP_WRITE_ZEROES);
static_assert(static_cast<int>(Op::discard) == UBLK_IO_OP_DISCARD);
static_assert(static_cast<int>(Op::flush) == UBLK_IO_OP_FLUSH);
static_assert(static_cast<int>(Op::write) == UBLK_IO_OP_WRITE);
static_assert(static_cast<int>(Op::read) == UBLK_IO_OP_READ);

std::uint64_t length_of(const ublksrv_io_desc& descriptor, Op op) noexcept {
    const std::uint64_t bytes = std::uint64_t{descriptor.nr_sectors} * sector_size;
    if (op <= Op::write) [[likely]]
        return bytes;
    switch (op) {
    case Op::report_zones:
        return report_bytes(descriptor.nr_zones);
    case Op::flush:
    case Op::zone_open:
    case Op::zone_close:
    case Op::zone_finish:
    case Op::zone_reset:
    case Op::zone_reset_all:
        return 0;
    default:
        return bytes;
    }
}

} // namespace

// Room for a commit of each tag and an operation of each, so that a round is one system call.
unsigned Queue::ring_entries(unsigned depth) {
    return std::clamp(std::bit_ceil(2 * depth), 8U, 8192U);
}

// The target's beginning and end have coroutines, too, and so has who waits for them.
unsigned Queue::frame_blocks(unsigned depth, unsigned frames) { return (depth + 1) * frames + 1; }

Queue::Queue(Parts parts)
    : parts_(std::move(parts)), tags_(parts_.depth), shortage_(parts_.index),
      thread_(std::this_thread::get_id()), bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      buffers_(*parts_.uring, parts_.data->ring_buffers()) {
    for (unsigned tag = 0; tag < parts_.depth; ++tag) {
        tags_[tag].number = static_cast<std::uint16_t>(tag);
        tags_[tag].queue = this;
    }
}

Async<void> Queue::begin_target(Queue* queue) {
    queue->begun_.emplace(co_await queue->parts_.target->target().begin(Ring{*queue}));
}

Async<void> Queue::end_target(Queue* queue) {
    co_await queue->parts_.target->target().end(Ring{*queue});
    queue->life_ = Life::ended;
}

Result<void> Queue::begin() {
    if (!bell_)
        return Error{EMFILE, "create an eventfd"};
    {
        const FramePool::Use frames{parts_.frames};
        begin_target(this).start();
    }
    while (!begun_)
        turn(1);
    if (begun_->ok() && life_ == Life::fresh)
        life_ = Life::begun;
    return *begun_;
}

// Whatever the target waits for is to come to an end.
void Queue::end_now() noexcept {
    if (life_ == Life::ending || life_ == Life::ended)
        return;
    life_ = Life::ending;
    const FramePool::Use frames{parts_.frames};
    end_target(this).start();
}

int Queue::fetch_all() {
    for (detail::Tag& tag : tags_) {
        tag.result = -1; // of no request yet
        if (!prepare_command(UBLK_U_IO_FETCH_REQ, tag))
            return -EAGAIN;
        ++owned_tags_;
    }
    const int error = parts_.uring->enter(0);
    // A refused command completes at once, before any request can arrive.
    parts_.uring->reap([this](std::uint64_t data, int result) { handle(data, result); });
    return error ? error : refusal_;
}

void Queue::run() {
    while (step(1)) {
    }
}

bool Queue::step(unsigned wait) {
    if (is_over())
        return false;
    turn(wait);
    return true;
}

void Queue::turn(unsigned wait) {
    retry_backlog();
    listen();
    pause();
    const FramePool::Use frames{parts_.frames};
    enter(woken_.empty() ? wait : 0);
    parts_.uring->reap([this](std::uint64_t data, int result) { handle(data, result); });
    resume_woken();
}

bool Queue::is_over() noexcept {
    if (owned_tags_ > 0)
        return false;
    if (life_ == Life::begun)
        end_now();
    return life_ != Life::ending && running_operations_ == 0 && expected_events_ == 0;
}

// For events of other threads, and for being asked to end.
void Queue::listen() noexcept {
    if (listening_)
        return;
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]]
        return; // there is room in the next round, or it has something else to do
    sqe->opcode = IORING_OP_POLL_ADD;
    sqe->fd = bell_.get();
    sqe->poll32_events = POLLIN;
    sqe->user_data = bell_mark;
    listening_ = true;
}

void Queue::hear() noexcept {
    listening_ = false;
    eventfd_t rings = 0;
    static_cast<void>(::eventfd_read(bell_.get(), &rings));
    const std::lock_guard lock{inbox_mutex_};
    for (auto events = inbox_.take_all(); !events.empty();) {
        Event& event = *events.first();
        events.pop();
        woken_.push(event);
    }
    if (asked_to_end_)
        be_patient();
}

void Queue::ask_to_end() noexcept {
    const std::lock_guard lock{inbox_mutex_};
    asked_to_end_ = true;
    ::eventfd_write(bell_.get(), 1);
}

// Nobody waits for the timeout: it is not an operation that keeps the queue.
void Queue::be_patient() noexcept {
    if (patient_)
        return;
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]] { // again in the next round
        ::eventfd_write(bell_.get(), 1);
        return;
    }
    sqe->opcode = IORING_OP_TIMEOUT;
    sqe->fd = -1;
    sqe->addr = reinterpret_cast<std::uintptr_t>(&patience);
    sqe->len = 1;
    sqe->user_data = patience_mark;
    patient_ = true;
}

// The bell is rung under the lock, so whoever rings it is through with this queue when the event is
// found.
void Queue::wake(Event& event) noexcept {
    if (std::this_thread::get_id() == thread_) {
        woken_.push(event);
        return;
    }
    const std::lock_guard lock{inbox_mutex_};
    if (inbox_.empty())
        ::eventfd_write(bell_.get(), 1);
    inbox_.push(event);
}

void Queue::resume_woken() {
    while (!woken_.empty()) {
        Event& event = *woken_.first();
        woken_.pop();
        --expected_events_;
        event.waiter_.resume();
    }
}

void Queue::enter(unsigned wait) {
    switch (const int error = parts_.uring->enter(wait)) {
    case 0:
    case -EINTR: // these go away by themselves: the next round tries again
    case -EBUSY:
        return;
    case -EAGAIN: // there is no memory
    case -ENOMEM:
        ::poll(nullptr, 0, 1);
        return;
    default: // a ring that is broken can serve nobody; the driver notices that we are gone
        std::fprintf(stderr, "ublk: queue %u: io_uring_enter: %s\n", parts_.index,
                     ::strerrordesc_np(-error));
        std::abort();
    }
}

inline void Queue::handle(std::uint64_t user_data, int result) {
    if (user_data & command_mark)
        handle_command(static_cast<unsigned>(user_data & ~command_mark), result);
    else if (!(user_data & any_mark))
        // NOLINTNEXTLINE(performance-no-int-to-ptr): the ring carries integers only
        handle_operation(*reinterpret_cast<RingOperation*>(user_data), result);
    else if (user_data & move_mark)
        handle_move(tags_[user_data & ~move_mark], result);
    else if (user_data & bell_mark)
        hear();
    else if (user_data & patience_mark)
        end_now();
    else if (user_data & pause_mark)
        try_again();
    else // NOLINTNEXTLINE(performance-no-int-to-ptr)
        handle_limit(*reinterpret_cast<RingOperation*>(user_data & ~limit_mark), result);
}

inline void Queue::handle_command(unsigned tag, int result) {
    if (result == UBLK_IO_RES_OK) [[likely]] {
        arrive(tags_[tag]);
        return;
    }
    --owned_tags_;
    if (result == UBLK_IO_RES_ABORT)
        return;
    if (refusal_ == 0)
        refusal_ = result;
    if (tags_[tag].stage == Stage::commit)
        complain_of_refusal(tag, result);
}

// The tag is lost, and so is the answer: nobody must have to guess why a user of the disk waits.
void Queue::complain_of_refusal(unsigned tag, int result) noexcept {
    ++refused_;
    std::fprintf(stderr,
                 "ublk: queue %u: the driver refused the answer to the request of tag %u: %s; its "
                 "user waits until this server, process %d, is replaced or ends\n",
                 parts_.index, tag, ::strerrordesc_np(-result), static_cast<int>(::getpid()));
}

inline void Queue::read_descriptor(detail::Tag& tag) noexcept {
    const ublksrv_io_desc& descriptor = parts_.descriptors[tag.number];
    tag.op = static_cast<Op>(descriptor.op_flags & 0xff);
    tag.flags = descriptor.op_flags;
    tag.offset = std::uint64_t{descriptor.start_sector} * sector_size;
    tag.length = length_of(descriptor, tag.op);
    tag.appended_at = Answer::nowhere;
}

inline void Queue::arrive(detail::Tag& tag) {
    read_descriptor(tag);
    if (const int error = parts_.target->check(tag)) [[unlikely]] {
        ++rejected_;
        commit(tag, error);
        return;
    }
    switch (parts_.data->receive(tag, parts_.descriptors[tag.number])) {
    case Move::none:
        hand_over(tag);
        return;
    case Move::submit:
        submit(tag, Stage::receive);
        return;
    case Move::fail:
        ++rejected_;
        commit(tag, -EIO);
        return;
    }
}

void Queue::handle_move(detail::Tag& tag, int result) {
    if (!is_progress(result) && is_postponed(tag, result)) [[unlikely]]
        return;
    const bool moved = parts_.data->succeeded(tag, result);
    if (tag.stage == Stage::receive && moved)
        hand_over(tag);
    else
        commit(tag, moved ? tag.result : -EIO);
}

inline void Queue::hand_over(detail::Tag& tag) {
    tag.stage = Stage::target;
    if (tag.op == Op::report_zones) [[unlikely]]
        clear_report(tag);
    if (!serve(tag)) [[unlikely]]
        wait_for_frame(tag);
}

// False: the target has not begun, because there is no memory for its coroutine, neither in the
// pool nor on the heap.
inline bool Queue::serve(detail::Tag& tag) {
    try {
        parts_.target->serve(Ring{*this}, tag).start_for(tag);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void Queue::wait_for_frame(detail::Tag& tag) noexcept {
    if (!shortage_.may_wait_for_memory()) {
        finish(tag, Answer::failed(ENOMEM));
        return;
    }
    shortage_.continues(-ENOMEM);
    postponed_tags_.push(tag);
}

void Queue::finish(detail::Tag& tag, const Answer& answer) noexcept {
    assert(tag.stage == Stage::target && "answered twice");
    int result = answer.result();
    tag.appended_at = answer.appended_at();
    if (!parts_.target->allowed(tag, result)) [[unlikely]] {
        ++violations_;
        result = -EIO;
    }
    if (tag.op == Op::report_zones && result >= 0) [[unlikely]]
        result = static_cast<int>(tag.length);
    tag.result = result;
    counted_[static_cast<std::size_t>(tag.op)].count(tag.length, result);
    if (parts_.data->send(tag) == Move::submit)
        submit(tag, Stage::send);
    else
        commit(tag, result);
}

inline void Queue::commit(detail::Tag& tag, int result) noexcept {
    tag.result = result;
    parts_.data->release(tag);
    submit(tag, Stage::commit);
}

inline void Queue::submit(detail::Tag& tag, Stage stage) noexcept {
    tag.stage = stage;
    if (!unsent_tags_.empty() || !prepare(tag)) [[unlikely]]
        unsent_tags_.push(tag);
}

// False: there is no room in the submission queue.
inline bool Queue::prepare(const detail::Tag& tag) noexcept {
    if (tag.stage == Stage::commit)
        return prepare_command(UBLK_U_IO_COMMIT_AND_FETCH_REQ, tag);
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]]
        return false;
    parts_.data->fill(tag, *sqe);
    sqe->user_data = move_mark | tag.number;
    return true;
}

inline bool Queue::prepare_command(std::uint32_t command, const detail::Tag& tag) noexcept {
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]]
        return false;
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->fd = char_device_file;
    sqe->cmd_op = command;
    sqe->user_data = command_mark | tag.number;
    ublksrv_io_cmd payload{};
    payload.q_id = static_cast<std::uint16_t>(parts_.index);
    payload.tag = tag.number;
    payload.result = tag.result;
    parts_.data->offer(tag, *sqe, payload);
    if (tag.op == Op::zone_append && tag.result >= 0) [[unlikely]]
        payload.zone_append_lba = tag.appended_at / sector_size;
    std::memcpy(sqe->cmd, &payload, sizeof payload);
    return true;
}

void Queue::start(RingOperation& operation) noexcept {
    if (operation.parts_.opcode == IORING_OP_ASYNC_CANCEL) [[unlikely]]
        cancellations_.add(operation.parts_.file);
    operation.began_ = cancellations_.count();
    submit(operation);
}

inline void Queue::submit(RingOperation& operation) noexcept {
    ++running_operations_;
    if (!unsent_operations_.empty() || !prepare_operation(operation)) [[unlikely]]
        unsent_operations_.push(operation);
}

inline bool Queue::prepare_operation(RingOperation& operation) noexcept {
    const RingOperation::Parts& parts = operation.parts_;
    if (parts.limited && !make_room_for(2)) [[unlikely]]
        return false;
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]]
        return false;
    sqe->opcode = parts.opcode;
    sqe->flags = parts.file.is_registered() ? IOSQE_FIXED_FILE : 0;
    sqe->fd = parts.file.number();
    sqe->off = parts.offset;
    sqe->addr = parts.address;
    sqe->len = static_cast<std::uint32_t>(parts.length);
    sqe->rw_flags = static_cast<int>(parts.flags);
    if (parts.ring_buffer >= 0)
        sqe->buf_index = static_cast<std::uint16_t>(parts.ring_buffer);
    if (parts.opcode ==
        IORING_OP_ASYNC_CANCEL) // of a file, registered or not, is said in its flags
        sqe->flags = 0;
    sqe->user_data = reinterpret_cast<std::uintptr_t>(&operation);
    if (parts.limited) [[unlikely]]
        prepare_limit(*sqe, operation);
    return true;
}

// The limit has to be submitted together with what it is for.
void Queue::prepare_limit(io_uring_sqe& limited, RingOperation& operation) noexcept {
    limited.flags |= IOSQE_IO_LINK;
    io_uring_sqe* sqe = next_sqe();
    sqe->opcode = IORING_OP_LINK_TIMEOUT;
    sqe->fd = -1;
    sqe->addr = reinterpret_cast<std::uintptr_t>(&operation.parts_.delay);
    sqe->len = 1;
    sqe->user_data = reinterpret_cast<std::uintptr_t>(&operation) | limit_mark;
    ++running_operations_;
}

inline void Queue::handle_operation(RingOperation& operation, int result) {
    if (!is_progress(result) && is_postponed(operation, result)) [[unlikely]]
        return;
    --running_operations_;
    go_on(operation, operation.take_result(result));
}

void Queue::handle_limit(RingOperation& operation, int result) {
    --running_operations_;
    go_on(operation, operation.take_end_of_limit(result));
}

inline void Queue::go_on(RingOperation& operation, RingOperation::Next next) {
    switch (next) {
    case RingOperation::Next::resume:
        operation.waiter_.resume();
        return;
    case RingOperation::Next::again:
        submit(operation);
        return;
    case RingOperation::Next::wait:
        return;
    }
}

bool Queue::make_room_for(unsigned entries) noexcept {
    if (parts_.uring->room() < entries)
        enter(0);
    return parts_.uring->room() >= entries;
}

// Whether the operation is to be tried again later, its result being none. Without tags there is
// nobody any more who could wait for it, nor for what was canceled.
bool Queue::is_postponed(RingOperation& operation, int result) noexcept {
    const bool again = operation.lacks_thread(result) ||
                       (operation.lacks_memory(result) && shortage_.may_wait_for_memory());
    if (!again || !is_waited_for() || was_canceled(operation))
        return false;
    shortage_.continues(result);
    postponed_operations_.push(operation);
    return true;
}

// The same for the move of a request's data: io_uring hands it to a thread, too.
bool Queue::is_postponed(detail::Tag& tag, int result) noexcept {
    const bool again = result == -ECANCELED || result == -EAGAIN ||
                       (result == -ENOMEM && shortage_.may_wait_for_memory());
    if (!again || owned_tags_ == 0)
        return false;
    shortage_.continues(result);
    postponed_tags_.push(tag);
    return true;
}

inline bool Queue::is_progress(int result) noexcept {
    if (result < 0) [[unlikely]]
        return false;
    if (shortage_.lasts()) [[unlikely]]
        shortage_.ends();
    return true;
}

// By a user of the disk, or by who starts the server.
bool Queue::is_waited_for() const noexcept { return owned_tags_ > 0 || life_ == Life::fresh; }

bool Queue::was_canceled(const RingOperation& operation) const noexcept {
    return cancellations_.any_since(operation.began_, operation.parts_.file);
}

void Queue::pause() noexcept {
    if (pausing_ || (postponed_tags_.empty() && postponed_operations_.empty())) [[likely]]
        return;
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]]
        return; // there is room in the next round
    sqe->opcode = IORING_OP_TIMEOUT;
    sqe->addr = reinterpret_cast<std::uintptr_t>(shortage_.next_pause());
    sqe->len = 1;
    sqe->user_data = pause_mark;
    pausing_ = true;
}

// What was canceled meanwhile is over.
void Queue::try_again() noexcept {
    pausing_ = false;
    for (auto tags = postponed_tags_.take_all(); !tags.empty();) {
        detail::Tag& tag = *tags.first();
        tags.pop();
        if (tag.stage != Stage::target)
            submit(tag, tag.stage);
        else if (serve(tag))
            shortage_.ends();
        else
            wait_for_frame(tag);
    }
    for (auto operations = postponed_operations_.take_all(); !operations.empty();) {
        RingOperation& operation = *operations.first();
        operations.pop();
        --running_operations_;
        if (was_canceled(operation))
            go_on(operation, operation.take_result(-ECANCELED));
        else
            submit(operation);
    }
}

inline io_uring_sqe* Queue::next_sqe() noexcept {
    if (io_uring_sqe* sqe = parts_.uring->next_sqe()) [[likely]]
        return sqe;
    return next_sqe_after_all();
}

// The submission queue is full: what is in it goes first.
io_uring_sqe* Queue::next_sqe_after_all() noexcept {
    enter(0);
    return parts_.uring->next_sqe();
}

void Queue::retry_backlog() noexcept {
    while (!unsent_tags_.empty()) {
        if (!prepare(*unsent_tags_.first()))
            return;
        unsent_tags_.pop();
    }
    while (!unsent_operations_.empty() && prepare_operation(*unsent_operations_.first()))
        unsent_operations_.pop();
}

Statistics Queue::statistics() const noexcept {
    Statistics statistics{.rejected = rejected_.get(),
                          .contract_violations = violations_.get(),
                          .refused_answers = refused_.get(),
                          .frame_heap_allocations = parts_.frames.heap_allocations(),
                          .short_for_seconds = shortage_.seconds()};
    for (std::size_t op = 0; op < counted_.size(); ++op) {
        statistics.operations[op] = counted_[op].statistics();
        statistics.requests += statistics.operations[op].requests;
    }
    return statistics;
}

namespace detail {

void complete(Tag& tag, const Answer& answer) noexcept { tag.queue->finish(tag, answer); }

} // namespace detail

} // namespace ublk
