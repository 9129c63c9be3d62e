// SPDX-License-Identifier: MIT
// The copy modes.
#include "data_path.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "buffer_pool.h"
#include "buffers.h"
#include "queue.h"

namespace ublk {

namespace {

// The driver copies to the tag's buffer before a write arrives, and from it when a read is
// committed.
class DriverCopy : public DataPath {
public:
    explicit DriverCopy(CopyBuffers buffers) : buffers_(std::move(buffers)) {}

    void offer(const detail::Tag& tag, io_uring_sqe&,
               ublksrv_io_cmd& payload) const noexcept override {
        payload.addr = reinterpret_cast<std::uintptr_t>(buffers_.of(tag.number));
    }
    Move receive(detail::Tag& tag, const ublksrv_io_desc&) noexcept override {
        tag.buffer = buffers_.of(tag.number);
        return Move::none;
    }
    Move send(detail::Tag&) noexcept override { return Move::none; }

private:
    CopyBuffers buffers_;
};

// A request that lies in the shared memory is told by its place, and that is where the target
// works. The driver copies all others.
class SharedCopy final : public DriverCopy {
public:
    SharedCopy(CopyBuffers buffers, const SharedPlace& shared)
        : DriverCopy(std::move(buffers)), shared_(&shared) {}

    Move receive(detail::Tag& tag, const ublksrv_io_desc& descriptor) noexcept override {
        if (!(tag.flags & UBLK_IO_F_SHMEM_ZC))
            return DriverCopy::receive(tag, descriptor);
        // Others can have registered memory for this device, too, which is not here.
        tag.buffer = shared_->find(ublk_shmem_zc_index(descriptor.addr),
                                   ublk_shmem_zc_offset(descriptor.addr), tag.length);
        return tag.buffer ? Move::none : Move::fail;
    }

private:
    const SharedPlace* shared_;
};

// The server reads the data of a write from the character device before the target gets it, and
// writes the data of a read there before it is committed. So a request has a buffer only while it
// is here, and a queue needs as many as it has requests at a time.
class UserCopy final : public DataPath {
public:
    UserCopy(CopyBuffers buffers, const Parts& parts)
        : buffers_(std::move(buffers)), queue_(parts.queue) {
        free_.reserve(parts.depth);
        for (unsigned number = parts.depth; number-- > 0;)
            free_.push_back(buffers_.of(number));
    }

    void offer(const detail::Tag&, io_uring_sqe&, ublksrv_io_cmd&) const noexcept override {}

    Move receive(detail::Tag& tag, const ublksrv_io_desc&) noexcept override {
        if (!has_data(tag.op))
            return Move::none;
        tag.buffer = free_.back(); // used last, so it is in the cache
        free_.pop_back();
        return is_write(tag.op) ? Move::submit : Move::none;
    }
    Move send(detail::Tag& tag) noexcept override {
        const bool read = has_data(tag.op) && !is_write(tag.op);
        return read && tag.result >= 0 ? Move::submit : Move::none;
    }
    void fill(const detail::Tag& tag, io_uring_sqe& sqe) const noexcept override {
        const bool receives = tag.stage == Stage::receive;
        sqe.opcode = receives ? IORING_OP_READ : IORING_OP_WRITE;
        sqe.flags = IOSQE_FIXED_FILE;
        sqe.fd = Queue::char_device_file;
        sqe.off = UBLKSRV_IO_BUF_OFFSET + (std::uint64_t{queue_} << UBLK_QID_OFF) +
                  (std::uint64_t{tag.number} << UBLK_TAG_OFF);
        sqe.addr = reinterpret_cast<std::uintptr_t>(tag.buffer);
        sqe.len = static_cast<std::uint32_t>(tag.length);
    }
    bool succeeded(const detail::Tag& tag, int result) const noexcept override {
        return result >= 0 && static_cast<std::uint64_t>(result) == tag.length;
    }
    void release(detail::Tag& tag) noexcept override {
        if (tag.buffer)
            free_.push_back(std::exchange(tag.buffer, nullptr));
    }

private:
    CopyBuffers buffers_;
    std::vector<std::byte*> free_;
    unsigned queue_;
};

// The driver puts the pages of a request into the ring's buffer table, at the tag's place, and
// takes them out when the request is committed. Should it find no room, the request says so, and
// both are done here.
class ZeroCopy final : public DataPath {
public:
    explicit ZeroCopy(const Parts& parts) : parts_(parts) {}

    Result<void> prepare(Uring& uring) override {
        const unsigned places = parts_.depth + BufferPool::ring_buffers;
        if (const int error = uring.register_buffer_slots(places))
            return Error{-error, "make a table of " + std::to_string(places) + " buffers"};
        return {};
    }
    unsigned ring_buffers() const noexcept override { return parts_.depth; }
    void offer(const detail::Tag& tag, io_uring_sqe& sqe, ublksrv_io_cmd&) const noexcept override {
        const ublk_auto_buf_reg place{.index = tag.number,
                                      .flags = UBLK_AUTO_BUF_REG_FALLBACK,
                                      .reserved0 = 0,
                                      .reserved1 = 0};
        sqe.addr = ublk_auto_buf_reg_to_sqe_addr(&place);
    }
    Move receive(detail::Tag& tag, const ublksrv_io_desc&) noexcept override {
        if (!has_data(tag.op))
            return Move::none;
        tag.ring_buffer = tag.number;
        return by_hand(tag) ? Move::submit : Move::none;
    }
    Move send(detail::Tag& tag) noexcept override {
        return has_data(tag.op) && by_hand(tag) ? Move::submit : Move::none;
    }
    void fill(const detail::Tag& tag, io_uring_sqe& sqe) const noexcept override {
        sqe.opcode = IORING_OP_URING_CMD;
        sqe.flags = IOSQE_FIXED_FILE;
        sqe.fd = Queue::char_device_file;
        sqe.cmd_op =
            tag.stage == Stage::receive ? UBLK_U_IO_REGISTER_IO_BUF : UBLK_U_IO_UNREGISTER_IO_BUF;
        ublksrv_io_cmd payload{};
        payload.q_id = static_cast<std::uint16_t>(parts_.queue);
        payload.tag = tag.number;
        payload.addr = tag.number; // the place in the table
        std::memcpy(sqe.cmd, &payload, sizeof payload);
    }

private:
    static bool by_hand(const detail::Tag& tag) noexcept {
        return tag.flags & UBLK_IO_F_NEED_REG_BUF;
    }

    Parts parts_;
};

} // namespace

Result<std::unique_ptr<DataPath>> make_data_path(CopyMode mode, const DataPath::Parts& parts) {
    if (mode == CopyMode::zero)
        return std::unique_ptr<DataPath>{std::make_unique<ZeroCopy>(parts)};
    Result<CopyBuffers> buffers = CopyBuffers::create(parts.depth, parts.max_io_bytes);
    if (!buffers)
        return buffers.error();
    if (mode == CopyMode::user)
        return std::unique_ptr<DataPath>{std::make_unique<UserCopy>(std::move(*buffers), parts)};
    if (mode == CopyMode::shmem)
        return std::unique_ptr<DataPath>{
            std::make_unique<SharedCopy>(std::move(*buffers), *parts.shared)};
    return std::unique_ptr<DataPath>{std::make_unique<DriverCopy>(std::move(*buffers))};
}

} // namespace ublk
