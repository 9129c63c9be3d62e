// SPDX-License-Identifier: GPL-2.0-or-later
// Executes submissions by completing them.
#include "echo_ring.h"

#include <cstring>

namespace ublk::benchmark {

namespace {

enum Index : std::size_t { sq_head, sq_tail, cq_head, cq_tail, cq_flags };

} // namespace

EchoRing::EchoRing(unsigned entries, unsigned depth, unsigned bytes, std::uint64_t answers)
    : submissions_(entries), completions_(std::size_t{2} * entries), descriptors_(depth),
      bytes_(bytes), remaining_(answers) {
    for (ublksrv_io_desc& descriptor : descriptors_) {
        descriptor.op_flags = UBLK_IO_OP_READ;
        descriptor.nr_sectors = bytes / 512;
    }
    ring_.sq.khead = &indices_[sq_head];
    ring_.sq.ktail = &indices_[sq_tail];
    ring_.sq.sqes = submissions_.data();
    ring_.sq.ring_entries = entries;
    ring_.sq.ring_mask = entries - 1;
    ring_.cq.khead = &indices_[cq_head];
    ring_.cq.ktail = &indices_[cq_tail];
    ring_.cq.kflags = &indices_[cq_flags];
    ring_.cq.cqes = completions_.data();
    ring_.cq.ring_entries = 2 * entries;
    ring_.cq.ring_mask = 2 * entries - 1;
}

int EchoRing::enter(unsigned) noexcept {
    while (indices_[sq_head] != ring_.sq.sqe_tail)
        execute(submissions_[indices_[sq_head]++ & ring_.sq.ring_mask]);
    return 0;
}

void EchoRing::execute(const io_uring_sqe& sqe) noexcept {
    switch (sqe.opcode) {
    case IORING_OP_URING_CMD:
        answer(sqe);
        return;
    case IORING_OP_POLL_ADD: // of what never happens
        return;
    default:
        post(sqe.user_data, static_cast<int>(sqe.len));
    }
}

// Also of a tag that is offered for the first time.
void EchoRing::answer(const io_uring_sqe& sqe) noexcept {
    ublksrv_io_cmd command{};
    std::memcpy(&command, sqe.cmd, sizeof command);
    if (sqe.cmd_op == UBLK_U_IO_COMMIT_AND_FETCH_REQ && command.result != static_cast<int>(bytes_))
        ++wrong_;
    if (remaining_ == 0) {
        post(sqe.user_data, UBLK_IO_RES_ABORT);
        return;
    }
    descriptors_[command.tag].start_sector = remaining_-- % 1024 * (bytes_ / 512);
    post(sqe.user_data, UBLK_IO_RES_OK);
}

void EchoRing::post(std::uint64_t user_data, int result) noexcept {
    const unsigned tail = indices_[cq_tail]++;
    completions_[tail & ring_.cq.ring_mask].user_data = user_data;
    completions_[tail & ring_.cq.ring_mask].res = result;
}

} // namespace ublk::benchmark
