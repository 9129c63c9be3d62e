// SPDX-License-Identifier: GPL-2.0-or-later
// What a submission changes of the file that it is for, for tests that cut the power.
#ifndef UBLK_TESTS_FILE_CHANGE_H
#define UBLK_TESTS_FILE_CHANGE_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <liburing.h>

namespace ublk::test {

struct FileChange {
    std::uint64_t offset = 0;
    std::vector<std::byte> data{}; // of a hole: zeroes
    bool sync = false;             // of what was written before
    bool stable = false;           // of itself
};

// Nothing of one that changes nothing. What is written is copied.
inline std::optional<FileChange> change_by(const io_uring_sqe& sqe) {
    FileChange change;
    change.offset = sqe.off;
    switch (sqe.opcode) {
    case IORING_OP_WRITE:
    case IORING_OP_WRITE_FIXED: {
        // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
        const auto* data = reinterpret_cast<const std::byte*>(sqe.addr);
        change.data.assign(data, data + sqe.len);
        change.stable = sqe.rw_flags != 0;
        return change;
    }
    case IORING_OP_FALLOCATE:
        change.data.resize(sqe.addr);
        return change;
    case IORING_OP_FSYNC:
        change.sync = true;
        return change;
    default:
        return std::nullopt;
    }
}

} // namespace ublk::test

#endif
