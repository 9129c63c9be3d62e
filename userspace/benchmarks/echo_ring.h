// SPDX-License-Identifier: GPL-2.0-or-later
// EchoRing is an io_uring and a driver that cost next to nothing: each answer brings the next read
// of its tag, and each operation of a target has succeeded at once. What is left is the library.
#ifndef UBLK_BENCHMARKS_ECHO_RING_H
#define UBLK_BENCHMARKS_ECHO_RING_H

#include <cstdint>
#include <span>
#include <vector>

#include "support/ring_memory.h"
#include "uapi.h"
#include "uring.h"

namespace ublk::benchmark {

class EchoRing final : public Uring {
public:
    // Reads of `bytes`, which end after `answers`.
    EchoRing(unsigned entries, unsigned depth, unsigned bytes, std::uint64_t answers);

    const ublksrv_io_desc* descriptors() const noexcept { return descriptors_.data(); }
    // Answers that were not the whole of a read.
    std::uint64_t wrong() const noexcept { return wrong_; }

    int enter(unsigned wait) noexcept override;
    int register_files(std::span<const int>) noexcept override { return 0; }
    int register_buffer_slots(unsigned) noexcept override { return 0; }
    int register_buffer(unsigned, std::span<std::byte>) noexcept override { return 0; }

private:
    void execute(const io_uring_sqe& sqe) noexcept;
    void answer(const io_uring_sqe& sqe) noexcept;
    void post(std::uint64_t user_data, int result) noexcept;

    test::RingMemory memory_;
    std::vector<ublksrv_io_desc> descriptors_;
    unsigned bytes_;
    std::uint64_t remaining_;
    std::uint64_t wrong_ = 0;
};

} // namespace ublk::benchmark

#endif
