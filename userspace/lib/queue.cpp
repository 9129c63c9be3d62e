// SPDX-License-Identifier: MIT
// The hot path: completion, coroutine, commit. Nothing here allocates, locks or makes a system call
// other than the one per round.
#include "queue.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>

#include "zone_report.h"

namespace ublk {

namespace {

// Tell a tag's commands, the moves of its data and the bell from the target's operations, whose
// user_data is their address.
constexpr std::uint64_t command_mark = std::uint64_t{1} << 63;
constexpr std::uint64_t move_mark = std::uint64_t{1} << 62;
constexpr std::uint64_t bell_mark = std::uint64_t{1} << 61;
constexpr std::uint64_t pause_mark = std::uint64_t{1} << 60;

static_assert(detail::flag_fua == UBLK_IO_F_FUA);
static_assert(detail::flag_no_unmap == UBLK_IO_F_NOUNMAP);
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
        return std::uint64_t{descriptor.nr_sectors} * sector_size;
    }
}

} // namespace

// Room for a commit of each tag and an operation of each, so that a round is one system call.
unsigned Queue::ring_entries(unsigned depth) {
    return std::clamp(std::bit_ceil(2 * depth), 8U, 8192U);
}

// A target that wraps targets, or splits a request, has several frames per tag.
unsigned Queue::frame_blocks(unsigned depth) { return 4 * depth; }

Queue::Queue(Parts parts)
    : parts_(std::move(parts)), requests_(parts_.depth), shortage_(parts_.index),
      thread_(std::this_thread::get_id()), bell_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    for (unsigned tag = 0; tag < parts_.depth; ++tag) {
        requests_[tag].tag = static_cast<std::uint16_t>(tag);
        requests_[tag].queue = this;
    }
}

int Queue::fetch_all() {
    if (!bell_)
        return -EMFILE;
    for (detail::Request& request : requests_) {
        request.result = -1; // of no request yet
        if (!prepare_command(UBLK_U_IO_FETCH_REQ, request))
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
    retry_backlog();
    if (is_over())
        return false;
    listen();
    pause();
    const FramePool::Use frames{parts_.frames};
    enter(woken_.empty() ? wait : 0);
    parts_.uring->reap([this](std::uint64_t data, int result) { handle(data, result); });
    resume_woken();
    return true;
}

bool Queue::is_over() const noexcept {
    return owned_tags_ == 0 && running_operations_ == 0 && expected_events_ == 0;
}

// Only while a coroutine waits for an event: other queues cost nothing.
void Queue::listen() noexcept {
    if (listening_ || expected_events_ == 0)
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

void Queue::handle(std::uint64_t user_data, int result) {
    if (user_data & command_mark)
        handle_command(static_cast<unsigned>(user_data & ~command_mark), result);
    else if (user_data & move_mark)
        handle_move(requests_[user_data & ~move_mark], result);
    else if (user_data & bell_mark)
        hear();
    else if (user_data & pause_mark)
        go_on();
    else // NOLINTNEXTLINE(performance-no-int-to-ptr): the ring carries integers only
        handle_operation(*reinterpret_cast<RingOperation*>(user_data), result);
}

void Queue::handle_command(unsigned tag, int result) {
    if (result == UBLK_IO_RES_OK) [[likely]] {
        arrive(requests_[tag]);
        return;
    }
    --owned_tags_;
    if (result != UBLK_IO_RES_ABORT && refusal_ == 0)
        refusal_ = result;
}

void Queue::read_descriptor(detail::Request& request) noexcept {
    const ublksrv_io_desc& descriptor = parts_.descriptors[request.tag];
    request.op = static_cast<Op>(descriptor.op_flags & 0xff);
    request.flags = descriptor.op_flags;
    request.offset = std::uint64_t{descriptor.start_sector} * sector_size;
    request.length = length_of(descriptor, request.op);
    request.appended_at = detail::nowhere;
}

void Queue::arrive(detail::Request& request) {
    read_descriptor(request);
    if (const int error = parts_.target->check(request)) [[unlikely]] {
        ++rejected_;
        commit(request, error);
        return;
    }
    switch (parts_.data->receive(request, parts_.descriptors[request.tag])) {
    case Move::none:
        hand_over(request);
        return;
    case Move::submit:
        submit(request, detail::Stage::receive);
        return;
    case Move::fail:
        ++rejected_;
        commit(request, -EIO);
        return;
    }
}

void Queue::handle_move(detail::Request& request, int result) {
    if (is_postponed(request, result)) [[unlikely]]
        return;
    const bool moved = parts_.data->succeeded(request, result);
    if (request.stage == detail::Stage::receive && moved)
        hand_over(request);
    else
        commit(request, moved ? request.result : -EIO);
}

void Queue::hand_over(detail::Request& request) {
    ++delivered_;
    request.stage = detail::Stage::target;
    if (request.op == Op::report_zones) [[unlikely]]
        clear_report(request);
    parts_.target->serve(Io{request}).start();
}

void Queue::finish(detail::Request& request, int result) noexcept {
    assert(request.stage == detail::Stage::target && "completed twice");
    if (!parts_.target->allowed(request, result)) [[unlikely]] {
        ++violations_;
        result = -EIO;
    }
    if (request.op == Op::report_zones && result >= 0) [[unlikely]]
        result = static_cast<int>(request.length);
    request.result = result;
    if (parts_.data->send(request) == Move::submit)
        submit(request, detail::Stage::send);
    else
        commit(request, result);
}

void Queue::commit(detail::Request& request, int result) noexcept {
    request.result = result;
    parts_.data->release(request);
    submit(request, detail::Stage::commit);
}

void Queue::submit(detail::Request& request, detail::Stage stage) noexcept {
    request.stage = stage;
    if (!unsent_requests_.empty() || !prepare(request)) [[unlikely]]
        unsent_requests_.push(request);
}

// False: there is no room in the submission queue.
bool Queue::prepare(const detail::Request& request) noexcept {
    if (request.stage == detail::Stage::commit)
        return prepare_command(UBLK_U_IO_COMMIT_AND_FETCH_REQ, request);
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]]
        return false;
    parts_.data->fill(request, *sqe);
    sqe->user_data = move_mark | request.tag;
    return true;
}

bool Queue::prepare_command(std::uint32_t command, const detail::Request& request) noexcept {
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]]
        return false;
    sqe->opcode = IORING_OP_URING_CMD;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->fd = char_device_file;
    sqe->cmd_op = command;
    sqe->user_data = command_mark | request.tag;
    ublksrv_io_cmd payload{};
    payload.q_id = static_cast<std::uint16_t>(parts_.index);
    payload.tag = request.tag;
    payload.result = request.result;
    parts_.data->offer(request, *sqe, payload);
    if (request.op == Op::zone_append && request.result >= 0) [[unlikely]]
        payload.zone_append_lba = request.appended_at / sector_size;
    std::memcpy(sqe->cmd, &payload, sizeof payload);
    return true;
}

void Queue::submit(RingOperation& operation) noexcept {
    ++running_operations_;
    if (!unsent_operations_.empty() || !prepare_operation(operation)) [[unlikely]]
        unsent_operations_.push(operation);
}

bool Queue::prepare_operation(RingOperation& operation) noexcept {
    io_uring_sqe* sqe = next_sqe();
    if (!sqe) [[unlikely]]
        return false;
    const RingOperation::Parts& parts = operation.parts_;
    sqe->opcode = parts.opcode;
    sqe->flags = parts.file.is_registered() ? IOSQE_FIXED_FILE : 0;
    sqe->fd = parts.file.number();
    sqe->off = parts.offset;
    sqe->addr = parts.address;
    sqe->len = static_cast<std::uint32_t>(parts.length);
    sqe->rw_flags = static_cast<int>(parts.flags);
    if (parts.ring_buffer >= 0)
        sqe->buf_index = static_cast<std::uint16_t>(parts.ring_buffer);
    sqe->user_data = reinterpret_cast<std::uintptr_t>(&operation);
    return true;
}

void Queue::handle_operation(RingOperation& operation, int result) {
    if (is_postponed(operation, result)) [[unlikely]]
        return;
    --running_operations_;
    if (operation.take_result(result))
        operation.waiter_.resume();
    else
        submit(operation);
}

// Whether the operation is to be tried again later, its result being none. Without tags there is
// nobody any more who could wait for it.
bool Queue::is_postponed(RingOperation& operation, int result) noexcept {
    if (result >= 0) [[likely]] {
        if (shortage_.lasts()) [[unlikely]]
            shortage_.ends();
        return false;
    }
    const bool again = operation.lacks_thread(result) ||
                       (operation.lacks_memory(result) && shortage_.may_wait_for_memory());
    if (!again || owned_tags_ == 0)
        return false;
    shortage_.continues(result);
    postponed_operations_.push(operation);
    return true;
}

// The same for the move of a request's data: io_uring hands it to a thread, too.
bool Queue::is_postponed(detail::Request& request, int result) noexcept {
    if (result >= 0) [[likely]] {
        if (shortage_.lasts()) [[unlikely]]
            shortage_.ends();
        return false;
    }
    const bool again = result == -ECANCELED || result == -EAGAIN ||
                       (result == -ENOMEM && shortage_.may_wait_for_memory());
    if (!again || owned_tags_ == 0)
        return false;
    shortage_.continues(result);
    postponed_requests_.push(request);
    return true;
}

void Queue::pause() noexcept {
    if (pausing_ || (postponed_requests_.empty() && postponed_operations_.empty())) [[likely]]
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

void Queue::go_on() noexcept {
    pausing_ = false;
    for (auto requests = postponed_requests_.take_all(); !requests.empty();) {
        detail::Request& request = *requests.first();
        requests.pop();
        submit(request, request.stage);
    }
    for (auto operations = postponed_operations_.take_all(); !operations.empty();) {
        RingOperation& operation = *operations.first();
        operations.pop();
        --running_operations_;
        submit(operation);
    }
}

io_uring_sqe* Queue::next_sqe() noexcept {
    if (io_uring_sqe* sqe = parts_.uring->next_sqe()) [[likely]]
        return sqe;
    enter(0);
    return parts_.uring->next_sqe();
}

void Queue::retry_backlog() noexcept {
    while (!unsent_requests_.empty()) {
        if (!prepare(*unsent_requests_.first()))
            return;
        unsent_requests_.pop();
    }
    while (!unsent_operations_.empty() && prepare_operation(*unsent_operations_.first()))
        unsent_operations_.pop();
}

Statistics Queue::statistics() const noexcept {
    return Statistics{.requests = delivered_.get(),
                      .rejected = rejected_.get(),
                      .contract_violations = violations_.get(),
                      .frame_heap_allocations = parts_.frames.heap_allocations()};
}

namespace detail {

void complete(Request& request, int result) noexcept { request.queue->finish(request, result); }

} // namespace detail

} // namespace ublk
