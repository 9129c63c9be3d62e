// SPDX-License-Identifier: GPL-2.0-or-later
// The ring of the fake driver: executes file operations with plain system calls, at once.
#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <utility>

#include "queue.h"
#include "support/fake_driver.h"

#include "support/allocation_counter.h"

namespace ublk::test {

namespace {

int or_errno(ssize_t result) { return result < 0 ? -errno : static_cast<int>(result); }

int fd_of(const io_uring_sqe& sqe, const std::vector<int>& files) {
    if (!(sqe.flags & IOSQE_FIXED_FILE))
        return sqe.fd;
    return files.at(static_cast<std::size_t>(sqe.fd));
}

bool is_read(const io_uring_sqe& sqe) {
    return sqe.opcode == IORING_OP_READ || sqe.opcode == IORING_OP_READ_FIXED;
}

int transfer_file(const io_uring_sqe& sqe, int fd, std::span<std::byte> memory) {
    const iovec piece{memory.data(), memory.size()};
    const auto offset = static_cast<off_t>(sqe.off);
    return is_read(sqe) ? or_errno(::preadv2(fd, &piece, 1, offset, 0))
                        : or_errno(::pwritev2(fd, &piece, 1, offset, sqe.rw_flags));
}

int synchronize(const io_uring_sqe& sqe, int fd) {
    return or_errno(sqe.fsync_flags & IORING_FSYNC_DATASYNC ? ::fdatasync(fd) : ::fsync(fd));
}

int allocate(const io_uring_sqe& sqe, int fd) {
    return or_errno(::fallocate(fd, static_cast<int>(sqe.len), static_cast<off_t>(sqe.off),
                                static_cast<off_t>(sqe.addr)));
}

int connect_socket(const io_uring_sqe& sqe, int fd) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
    const auto* address = reinterpret_cast<const sockaddr*>(sqe.addr);
    return or_errno(::connect(fd, address, static_cast<socklen_t>(sqe.off)));
}

int transfer_pieces(const io_uring_sqe& sqe, int fd) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
    const auto* pieces = reinterpret_cast<const iovec*>(sqe.addr);
    const auto offset = static_cast<off_t>(sqe.off);
    const auto count = static_cast<int>(sqe.len);
    return sqe.opcode == IORING_OP_READV
               ? or_errno(::preadv2(fd, pieces, count, offset, 0))
               : or_errno(::pwritev2(fd, pieces, count, offset, sqe.rw_flags));
}

short events_of(unsigned opcode, std::uint32_t polled) {
    switch (opcode) {
    case IORING_OP_SENDMSG:
        return POLLOUT;
    case IORING_OP_RECVMSG:
        return POLLIN;
    default:
        return static_cast<short>(polled);
    }
}

// A message to or from a socket that is ready.
int send_or_receive(unsigned opcode, int fd, std::uint64_t address, std::uint32_t message_flags) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
    auto* message = reinterpret_cast<msghdr*>(address);
    const int flags = static_cast<int>(message_flags) | MSG_DONTWAIT;
    return opcode == IORING_OP_SENDMSG ? or_errno(::sendmsg(fd, message, flags))
                                       : or_errno(::recvmsg(fd, message, flags));
}

} // namespace

FakeUring::FakeUring(FakeDriver& driver, unsigned entries)
    : driver_(driver), memory_(entries), posted_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    memory_.give_to(ring_);
}

FakeUring::~FakeUring() = default;

int FakeUring::register_files(std::span<const int> descriptors) noexcept {
    const OwnAllocations own;
    files_.assign(descriptors.begin(), descriptors.end());
    return 0;
}

int FakeUring::register_buffer_slots(unsigned count) noexcept {
    const OwnAllocations own;
    buffers_.resize(count);
    return 0;
}

int FakeUring::register_buffer(unsigned place, std::span<std::byte> memory) noexcept {
    buffers_.at(place) = memory;
    own_buffers_.insert(place);
    return 0;
}

// Empty for a range that is not in the ring's table.
std::span<std::byte> FakeUring::memory_of(const io_uring_sqe& sqe) {
    if (sqe.opcode == IORING_OP_READ || sqe.opcode == IORING_OP_WRITE)
        // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
        return {reinterpret_cast<std::byte*>(sqe.addr), sqe.len};
    const std::span<std::byte> buffer = buffers_.at(sqe.buf_index);
    if (own_buffers_.contains(sqe.buf_index)) { // of the server, which gives addresses in it
        // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
        const std::span<std::byte> wanted{reinterpret_cast<std::byte*>(sqe.addr), sqe.len};
        const bool inside = wanted.data() >= buffer.data() &&
                            wanted.data() + wanted.size() <= buffer.data() + buffer.size();
        return inside ? wanted : std::span<std::byte>{};
    }
    if (sqe.addr + sqe.len > buffer.size())
        return {};
    return buffer.subspan(sqe.addr, sqe.len);
}

void FakeUring::transfer(const io_uring_sqe& sqe) {
    if ((sqe.flags & IOSQE_FIXED_FILE) && sqe.fd == Queue::char_device_file) {
        post(sqe.user_data, driver_.user_copy(sqe));
        return;
    }
    const std::span<std::byte> memory = memory_of(sqe);
    if (sqe.len && memory.empty()) {
        post(sqe.user_data, -EFAULT);
        return;
    }
    const std::size_t length = std::min(memory.size(), driver_.longest_transfer_);
    post(sqe.user_data, transfer_file(sqe, fd_of(sqe, files_), memory.first(length)));
}

void FakeUring::post(std::uint64_t user_data, int result) {
    unsigned& tail = memory_.indices[RingMemory::cq_tail];
    ASSERT_LE(tail - io_uring_smp_load_acquire(&memory_.indices[RingMemory::cq_head]),
              ring_.cq.ring_mask);
    memory_.completions[tail & ring_.cq.ring_mask].user_data = user_data;
    memory_.completions[tail & ring_.cq.ring_mask].res = result;
    io_uring_smp_store_release(&tail, tail + 1);
    ::eventfd_write(posted_.get(), 1);
    driver_.changed_.notify_all();
}

bool FakeUring::idle() const {
    return memory_.indices[RingMemory::cq_head] == memory_.indices[RingMemory::cq_tail];
}

int FakeUring::enter(unsigned wait) noexcept {
    const OwnAllocations own;
    std::unique_lock lock{driver_.mutex_};
    ++driver_.enters_;
    if (driver_.submission_error_)
        return driver_.submission_error_;
    while (memory_.indices[RingMemory::sq_head] != ring_.sq.sqe_tail)
        execute(memory_.submissions[memory_.indices[RingMemory::sq_head]++ & ring_.sq.ring_mask]);
    check_parked(lock, 0);
    while (wait && idle()) {
        if (parked_.empty())
            driver_.changed_.wait(lock);
        else
            check_parked(lock, -1);
    }
    return 0;
}

void FakeUring::park(const io_uring_sqe& sqe) {
    parked_.push_back(
        {sqe.opcode, sqe.flags, fd_of(sqe, files_), sqe.poll32_events, sqe.addr, sqe.user_data});
}

// Of the operation that was submitted just before.
void FakeUring::limit(const io_uring_sqe& sqe) {
    if (parked_.empty() || !std::exchange(linked_, false) ||
        !(parked_.back().flags & IOSQE_IO_LINK)) {
        post(sqe.user_data, -ECANCELED);
        return;
    }
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
    const auto* delay = reinterpret_cast<const __kernel_timespec*>(sqe.addr);
    parked_.back().limit = Clock::now() + std::chrono::seconds{delay->tv_sec} +
                           std::chrono::nanoseconds{delay->tv_nsec};
    parked_.back().limit_data = sqe.user_data;
}

void FakeUring::end(const Parked& parked, int result, int limit_result) {
    post(parked.user_data, result);
    if (parked.limit)
        post(parked.limit_data, limit_result);
}

void FakeUring::cancel(const io_uring_sqe& sqe) {
    const int wanted = sqe.cancel_flags & IORING_ASYNC_CANCEL_FD_FIXED
                           ? files_.at(static_cast<std::size_t>(sqe.fd))
                           : sqe.fd;
    int count = 0;
    std::erase_if(parked_, [&](const Parked& parked) {
        if (parked.fd != wanted)
            return false;
        end(parked, -ECANCELED, -ECANCELED);
        ++count;
        return true;
    });
    post(sqe.user_data, count);
}

void FakeUring::execute(const io_uring_sqe& sqe) {
    if (driver_.observer_ && sqe.opcode != IORING_OP_URING_CMD)
        driver_.observer_(sqe);
    auto& errors = driver_.operation_errors_[sqe.opcode];
    if (!errors.empty()) {
        post(sqe.user_data, errors.front());
        errors.pop_front();
        return;
    }
    switch (sqe.opcode) {
    case IORING_OP_URING_CMD:
        driver_.io_command(*this, sqe);
        return;
    case IORING_OP_POLL_ADD:
    case IORING_OP_SENDMSG:
    case IORING_OP_RECVMSG:
        linked_ = sqe.flags & IOSQE_IO_LINK;
        park(sqe);
        return;
    case IORING_OP_LINK_TIMEOUT:
        limit(sqe);
        return;
    case IORING_OP_ASYNC_CANCEL:
        cancel(sqe);
        return;
    case IORING_OP_CONNECT:
        post(sqe.user_data, connect_socket(sqe, fd_of(sqe, files_)));
        return;
    case IORING_OP_READV:
    case IORING_OP_WRITEV:
        post(sqe.user_data, transfer_pieces(sqe, fd_of(sqe, files_)));
        return;
    case IORING_OP_READ:
    case IORING_OP_WRITE:
    case IORING_OP_READ_FIXED:
    case IORING_OP_WRITE_FIXED:
        transfer(sqe);
        return;
    case IORING_OP_FSYNC:
        post(sqe.user_data, synchronize(sqe, fd_of(sqe, files_)));
        return;
    case IORING_OP_FALLOCATE:
        post(sqe.user_data, allocate(sqe, fd_of(sqe, files_)));
        return;
    case IORING_OP_NOP:
        post(sqe.user_data, 0);
        return;
    case IORING_OP_TIMEOUT: {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
        const auto* delay = reinterpret_cast<const __kernel_timespec*>(sqe.addr);
        driver_.slept_ +=
            std::chrono::seconds{delay->tv_sec} + std::chrono::nanoseconds{delay->tv_nsec};
        post(sqe.user_data, -ETIME);
        return;
    }
    default:
        post(sqe.user_data, -EINVAL);
    }
}

// Milliseconds until the first limit, at most `timeout`, of which -1 is for ever.
int FakeUring::time_left(int timeout) const {
    for (const Parked& parked : parked_) {
        if (!parked.limit)
            continue;
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(*parked.limit - Clock::now());
        const int wait = static_cast<int>(std::max<std::int64_t>(left.count(), 0));
        timeout = timeout < 0 ? wait : std::min(timeout, wait);
    }
    return timeout;
}

// Leaves the driver to others while it waits.
void FakeUring::check_parked(std::unique_lock<std::mutex>& lock, int timeout) {
    if (!idle() || parked_.empty())
        return;
    std::vector<pollfd>& events = polled_;
    events.clear();
    for (const Parked& parked : parked_)
        events.push_back({parked.fd, events_of(parked.opcode, parked.what), 0});
    events.push_back({posted_.get(), POLLIN, 0});
    eventfd_t count = 0;
    static_cast<void>(::eventfd_read(posted_.get(), &count)); // it is idle: all were seen
    const int wait = time_left(timeout);
    lock.unlock();
    const int found = ::poll(events.data(), events.size(), wait);
    lock.lock();
    ASSERT_GE(found, 0);
    for (std::size_t i = parked_.size(); i-- > 0;) {
        const Parked& parked = parked_[i];
        if (events[i].revents)
            end(parked,
                parked.opcode == IORING_OP_POLL_ADD
                    ? events[i].revents
                    : send_or_receive(parked.opcode, parked.fd, parked.address, parked.what),
                -ECANCELED);
        else if (parked.limit && *parked.limit <= Clock::now())
            end(parked, -ECANCELED, -ETIME);
        else
            continue;
        parked_.erase(parked_.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

} // namespace ublk::test
