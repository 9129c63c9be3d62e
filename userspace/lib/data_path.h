// SPDX-License-Identifier: MIT
// DataPath moves the data of one queue's requests between the driver and the target. Each copy mode
// is one class, chosen when the queue is built; used by the queue's thread only.
#ifndef UBLK_LIB_DATA_PATH_H
#define UBLK_LIB_DATA_PATH_H

#include <cstdint>
#include <memory>

#include <ublk/copy_mode.h>

#include "shared_place.h"
#include "tag.h"
#include "uapi.h"
#include "uring.h"

namespace ublk {

// What has to happen to a request before it goes on.
enum class Move {
    none,
    submit, // a submission of its own has to succeed
    fail,   // it cannot go on
};

class DataPath {
public:
    struct Parts {
        unsigned queue; // its index
        unsigned depth;
        std::uint32_t max_io_bytes;
        const SharedPlace* shared = nullptr; // for CopyMode::shmem
    };

    DataPath() = default;
    DataPath(const DataPath&) = delete;
    DataPath& operator=(const DataPath&) = delete;
    virtual ~DataPath() = default;

    // What the ring has to know before the first tag is offered.
    virtual Result<void> prepare(Uring&) { return {}; }
    // Completes the command that gives a tag to the driver.
    virtual void offer(const detail::Tag& tag, io_uring_sqe& sqe,
                       ublksrv_io_cmd& payload) const noexcept = 0;

    // A request has arrived: makes its data reachable for the target.
    virtual Move receive(detail::Tag& tag, const ublksrv_io_desc& descriptor) noexcept = 0;
    // The target has answered with tag.result, of which the driver must get the data.
    virtual Move send(detail::Tag& tag) noexcept = 0;
    // The submission that receive() or send() asked for, told apart by tag.stage, and whether
    // its result is a success. The queue sets user_data.
    virtual void fill(const detail::Tag&, io_uring_sqe&) const noexcept {}
    virtual bool succeeded(const detail::Tag&, int result) const noexcept { return result >= 0; }
    // How many places of the ring's buffer table, the first ones, are for requests.
    virtual unsigned ring_buffers() const noexcept { return 0; }
    // Nobody needs the data any more.
    virtual void release(detail::Tag&) noexcept {}
};

// `mode` is not automatic.
Result<std::unique_ptr<DataPath>> make_data_path(CopyMode mode, const DataPath::Parts& parts);

} // namespace ublk

#endif
