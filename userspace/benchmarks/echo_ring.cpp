// SPDX-License-Identifier: GPL-2.0-or-later
// Executes submissions by completing them.
#include "echo_ring.h"

#include <cstring>

namespace ublk::benchmark {

using test::RingMemory;

EchoRing::EchoRing(unsigned entries, unsigned depth, unsigned bytes, std::uint64_t answers)
    : memory_(entries), descriptors_(depth), bytes_(bytes), remaining_(answers) {
    for (ublksrv_io_desc& descriptor : descriptors_) {
        descriptor.op_flags = UBLK_IO_OP_READ;
        descriptor.nr_sectors = bytes / 512;
    }
    memory_.give_to(ring_);
}

int EchoRing::enter(unsigned) noexcept {
    while (memory_.indices[RingMemory::sq_head] != ring_.sq.sqe_tail)
        execute(memory_.submissions[memory_.indices[RingMemory::sq_head]++ & ring_.sq.ring_mask]);
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
    const unsigned tail = memory_.indices[RingMemory::cq_tail]++;
    memory_.completions[tail & ring_.cq.ring_mask].user_data = user_data;
    memory_.completions[tail & ring_.cq.ring_mask].res = result;
}

} // namespace ublk::benchmark
