// SPDX-License-Identifier: GPL-2.0-or-later
// The memory of a ring that no kernel has: for a Uring that completes what is submitted by itself.
#ifndef UBLK_TESTS_RING_MEMORY_H
#define UBLK_TESTS_RING_MEMORY_H

#include <array>
#include <cstddef>
#include <vector>

#include <liburing.h>

namespace ublk::test {

struct RingMemory {
    enum Index : std::size_t { sq_head, sq_tail, cq_head, cq_tail, cq_flags };

    // `entries`, a power of two, of submissions, and twice as many completions, as the kernel has.
    explicit RingMemory(unsigned entries)
        : submissions(entries), completions(std::size_t{2} * entries) {}

    // The ring's pointers refer to this from then on, so it must stay where it is.
    void give_to(io_uring& ring) {
        const auto entries = static_cast<unsigned>(submissions.size());
        ring.sq.khead = &indices[sq_head];
        ring.sq.ktail = &indices[sq_tail];
        ring.sq.sqes = submissions.data();
        ring.sq.ring_entries = entries;
        ring.sq.ring_mask = entries - 1;
        ring.cq.khead = &indices[cq_head];
        ring.cq.ktail = &indices[cq_tail];
        ring.cq.kflags = &indices[cq_flags];
        ring.cq.cqes = completions.data();
        ring.cq.ring_entries = 2 * entries;
        ring.cq.ring_mask = 2 * entries - 1;
    }

    std::vector<io_uring_sqe> submissions;
    std::vector<io_uring_cqe> completions;
    std::array<unsigned, 5> indices{}; // by Index
};

} // namespace ublk::test

#endif
