// SPDX-License-Identifier: GPL-2.0-or-later
// The fake driver's two devices: tags that are fetched and committed, and control commands.
#include "support/fake_driver.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/blkzoned.h>

#include "support/allocation_counter.h"

namespace ublk::test {

class FakeControl final : public ControlPort {
public:
    explicit FakeControl(std::shared_ptr<FakeDriver> driver) : driver_(std::move(driver)) {}

    int execute(const ControlCommand& command, Milliseconds timeout) override {
        const OwnAllocations own;
        if (driver_->before_control_)
            driver_->before_control_(command.opcode);
        std::unique_lock lock{driver_->mutex_};
        return driver_->control_command(lock, command, timeout);
    }
    std::vector<int> device_numbers() override {
        return driver_->exists_ ? std::vector<int>{static_cast<int>(driver_->info_.dev_id)}
                                : std::vector<int>{};
    }

private:
    std::shared_ptr<FakeDriver> driver_;
};

namespace {

template <class T> void copy_in(T& object, std::span<const std::byte> buffer) {
    std::memcpy(&object, buffer.data(), std::min(sizeof object, buffer.size()));
}
std::size_t bytes_of(const BlockRequest& request) {
    const std::size_t unit =
        request.op == UBLK_IO_OP_REPORT_ZONES ? sizeof(blk_zone) : std::size_t{sector_size};
    return request.sectors * unit;
}

template <class T> void copy_out(std::span<std::byte> buffer, const T& object) {
    std::memcpy(buffer.data(), &object, std::min(sizeof object, buffer.size()));
}

} // namespace

FakeDriver::FakeDriver(unsigned queues, unsigned depth) { make_queues(queues, depth); }
FakeDriver::~FakeDriver() = default;

void FakeDriver::make_queues(unsigned queues, unsigned depth) {
    queues_.assign(queues, FakeQueue{std::vector<ublksrv_io_desc>(depth), std::vector<Tag>(depth)});
}

void FakeDriver::issue(unsigned queue, unsigned number, const BlockRequest& request) {
    const OwnAllocations own;
    const std::lock_guard lock{mutex_};
    Tag& tag = queues_.at(queue).tags.at(number);
    ASSERT_EQ(tag.owner, Owner::driver);
    queues_[queue].descriptors[number] = {.op_flags = request.op | request.flags,
                                          .nr_sectors = request.sectors,
                                          .start_sector = request.sector,
                                          .addr = reinterpret_cast<std::uintptr_t>(tag.buffer)};
    tag.result.reset();
    tag.owner = Owner::server;
    if (request.shared_address) {
        queues_[queue].descriptors[number].op_flags |= UBLK_IO_F_SHMEM_ZC;
        queues_[queue].descriptors[number].addr = *request.shared_address;
        tag.ring->post(tag.user_data, UBLK_IO_RES_OK);
        return;
    }
    tag.pages.resize(bytes_of(request));
    if (request.op == UBLK_IO_OP_WRITE && tag.buffer)
        std::copy(tag.pages.begin(), tag.pages.end(), tag.buffer);
    const auto slot = static_cast<std::uint16_t>(tag.place);
    const bool in_table =
        slot < tag.ring->buffers_.size() && !tag.ring->own_buffers_.contains(slot);
    if (in_table && registers_buffers_)
        tag.ring->buffers_[slot] = tag.pages;
    else if (in_table)
        queues_[queue].descriptors[number].op_flags |= UBLK_IO_F_NEED_REG_BUF;
    tag.ring->post(tag.user_data, UBLK_IO_RES_OK);
}

std::optional<int> FakeDriver::result(unsigned queue, unsigned tag) {
    const std::lock_guard lock{mutex_};
    return queues_.at(queue).tags.at(tag).result;
}

std::byte* FakeDriver::buffer(unsigned queue, unsigned tag) {
    const std::lock_guard lock{mutex_};
    return queues_.at(queue).tags.at(tag).buffer;
}

std::vector<std::byte>& FakeDriver::pages(unsigned queue, unsigned tag) {
    const std::lock_guard lock{mutex_};
    return queues_.at(queue).tags.at(tag).pages;
}

std::uint64_t FakeDriver::appended_at(unsigned queue, unsigned tag) {
    const std::lock_guard lock{mutex_};
    return queues_.at(queue).tags.at(tag).appended_at;
}

bool FakeDriver::armed(unsigned queue, unsigned tag) {
    const std::lock_guard lock{mutex_};
    return queues_.at(queue).tags.at(tag).owner == Owner::driver;
}

int FakeDriver::wait_for_result(unsigned queue, unsigned tag) {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [&] { return queues_.at(queue).tags.at(tag).result.has_value(); });
    return *queues_[queue].tags[tag].result;
}

void FakeDriver::take_back_tags() {
    const std::lock_guard lock{mutex_};
    take_back_tags_locked();
}

void FakeDriver::take_back_tags_locked() {
    stopping_ = true;
    for (FakeQueue& queue : queues_) {
        for (Tag& tag : queue.tags) {
            if (tag.owner != Owner::driver)
                continue;
            tag.owner = Owner::nobody;
            tag.ring->post(tag.user_data, UBLK_IO_RES_ABORT);
        }
    }
}

void FakeDriver::lose_server() {
    const std::lock_guard lock{mutex_};
    lose_server_locked();
}

void FakeDriver::lose_server_locked() {
    take_back_tags_locked();
    const bool fails = info_.flags & UBLK_F_USER_RECOVERY_FAIL_IO;
    info_.state = fails ? UBLK_S_DEV_FAIL_IO : UBLK_S_DEV_QUIESCED;
    info_.ublksrv_pid = -1;
    memory_.clear();
}

void FakeDriver::replace_device(std::uint64_t mark) {
    const std::lock_guard lock{mutex_};
    info_.ublksrv_flags = mark;
    info_.ublksrv_pid = -1;
    info_.state = UBLK_S_DEV_DEAD;
    exists_ = true;
}

void FakeDriver::fail_next_operation(unsigned opcode, int error) {
    operation_errors_[opcode].push_back(error);
}

void FakeDriver::fail_control(std::uint32_t opcode, int error) { control_errors_[opcode] = error; }

void FakeDriver::heal_control() { control_errors_.clear(); }

int FakeDriver::user_copy(const io_uring_sqe& sqe) {
    ++user_copies_;
    if (!user_copy_results_.empty()) {
        const int result = user_copy_results_.front();
        user_copy_results_.pop_front();
        return result;
    }
    const std::uint64_t position = sqe.off - UBLKSRV_IO_BUF_OFFSET;
    const auto queue = (position >> UBLK_QID_OFF) & UBLK_QID_BITS_MASK;
    const auto number = (position >> UBLK_TAG_OFF) & UBLK_TAG_BITS_MASK;
    Tag& tag = queues_.at(queue).tags.at(number);
    if (tag.owner != Owner::server || sqe.len > tag.pages.size())
        return -EINVAL;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the kernel gets it
    auto* memory = reinterpret_cast<std::byte*>(sqe.addr);
    if (sqe.opcode == IORING_OP_READ)
        std::copy_n(tag.pages.begin(), sqe.len, memory);
    else
        std::copy_n(memory, sqe.len, tag.pages.begin());
    return static_cast<int>(sqe.len);
}

// What the server does when the driver found no room in its table.
void FakeDriver::buffer_command(FakeUring& ring, const io_uring_sqe& sqe) {
    ublksrv_io_cmd payload{};
    std::memcpy(&payload, sqe.cmd, sizeof payload);
    Tag& tag = queues_.at(payload.q_id).tags.at(payload.tag);
    std::span<std::byte>& slot = ring.buffers_.at(payload.addr);
    const bool registers = sqe.cmd_op == UBLK_U_IO_REGISTER_IO_BUF;
    const bool possible = tag.owner == Owner::server && slot.empty() == registers;
    if (possible)
        slot = registers ? std::span{tag.pages} : std::span<std::byte>{};
    ring.post(sqe.user_data, possible ? 0 : -EINVAL);
}

void FakeDriver::commit(Tag& tag, const ublksrv_io_desc& descriptor,
                        const ublksrv_io_cmd& payload) {
    const int result = payload.result;
    tag.result = result;
    if (ublksrv_get_op(&descriptor) == UBLK_IO_OP_ZONE_APPEND)
        tag.appended_at = payload.zone_append_lba;
    if (descriptor.op_flags == UBLK_IO_OP_READ && result > 0 && tag.buffer)
        std::copy_n(tag.buffer, std::min<std::size_t>(result, tag.pages.size()), tag.pages.begin());
    const auto slot = static_cast<std::uint16_t>(tag.place);
    if (registers_buffers_ && slot < tag.ring->buffers_.size() &&
        !tag.ring->own_buffers_.contains(slot))
        tag.ring->buffers_[slot] = {};
}

void FakeDriver::io_command(FakeUring& ring, const io_uring_sqe& sqe) {
    if (sqe.cmd_op == UBLK_U_IO_REGISTER_IO_BUF || sqe.cmd_op == UBLK_U_IO_UNREGISTER_IO_BUF) {
        buffer_command(ring, sqe);
        return;
    }
    ublksrv_io_cmd payload{};
    std::memcpy(&payload, sqe.cmd, sizeof payload);
    Tag& tag = queues_.at(payload.q_id).tags.at(payload.tag);
    const bool is_commit = sqe.cmd_op == UBLK_U_IO_COMMIT_AND_FETCH_REQ;
    if (tag.owner != (is_commit ? Owner::server : Owner::nobody)) {
        ring.post(sqe.user_data, -EINVAL);
        return;
    }
    if (!is_commit && fetch_error_) {
        ring.post(sqe.user_data, fetch_error_);
        return;
    }
    if (is_commit && commit_error_) {
        tag.owner = Owner::nobody;
        ring.post(sqe.user_data, std::exchange(commit_error_, 0));
        return;
    }
    const ublksrv_io_desc& descriptor = queues_[payload.q_id].descriptors[payload.tag];
    const bool names_place = ublksrv_get_op(&descriptor) == UBLK_IO_OP_ZONE_APPEND;
    if (is_commit)
        commit(tag, descriptor, payload);
    tag.ring = &ring;
    tag.place = sqe.addr;
    tag.user_data = sqe.user_data;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): so the driver gets it
    tag.buffer = names_place ? nullptr : reinterpret_cast<std::byte*>(payload.addr);
    tag.owner = stopping_ ? Owner::nobody : Owner::driver;
    if (stopping_)
        ring.post(sqe.user_data, UBLK_IO_RES_ABORT);
    changed_.notify_all();
}

bool FakeDriver::all_fetched() const {
    for (const FakeQueue& queue : queues_)
        for (const Tag& tag : queue.tags)
            if (tag.owner == Owner::nobody)
                return false;
    return true;
}

int FakeDriver::start(std::unique_lock<std::mutex>& lock, const ControlCommand& command,
                      Milliseconds timeout) {
    if (!changed_.wait_for(lock, timeout, [this] { return all_fetched(); }))
        return -ETIMEDOUT;
    info_.ublksrv_pid = static_cast<int>(command.data);
    info_.state = UBLK_S_DEV_LIVE;
    return 0;
}

int FakeDriver::control_command(std::unique_lock<std::mutex>& lock, const ControlCommand& command,
                                Milliseconds timeout) {
    if (const auto error = control_errors_.find(command.opcode); error != control_errors_.end())
        return error->second;
    if (command.opcode == UBLK_U_CMD_GET_FEATURES) {
        copy_out(command.buffer, available_features);
        return 0;
    }
    if (command.opcode == UBLK_U_CMD_ADD_DEV) {
        if (exists_)
            return -EEXIST;
        copy_in(info_, command.buffer);
        if (info_.dev_id == UINT32_MAX)
            info_.dev_id = 0;
        info_.flags &= grantable_features;
        features_ = info_.flags;
        make_queues(info_.nr_hw_queues, info_.queue_depth);
        exists_ = true;
        stopping_ = false;
        copy_out(command.buffer, info_);
        return 0;
    }
    if (!exists_ || static_cast<std::uint32_t>(command.number) != info_.dev_id)
        return -ENODEV;
    return device_command(lock, command, timeout);
}

int FakeDriver::recovery_command(std::unique_lock<std::mutex>& lock, const ControlCommand& command,
                                 Milliseconds timeout) {
    if (!(info_.flags & UBLK_F_USER_RECOVERY))
        return -EINVAL;
    if (info_.state != UBLK_S_DEV_QUIESCED && info_.state != UBLK_S_DEV_FAIL_IO)
        return -EBUSY;
    if (command.opcode == UBLK_U_CMD_END_USER_RECOVERY)
        return start(lock, command, timeout);
    stopping_ = false;
    return 0;
}

int FakeDriver::quiesce() {
    if (!(info_.flags & UBLK_F_QUIESCE))
        return -EOPNOTSUPP;
    if (info_.state == UBLK_S_DEV_DEAD)
        return -ENODEV;
    lose_server_locked();
    return 0;
}

int FakeDriver::memory_command(const ControlCommand& command) {
    if (!(info_.flags & UBLK_F_SHMEM_ZC))
        return -EOPNOTSUPP;
    if (command.opcode == UBLK_U_CMD_UNREG_BUF)
        return memory_.erase(static_cast<unsigned>(command.data)) ? 0 : -ENOENT;
    unsigned index = 0;
    while (memory_.count(index))
        ++index;
    copy_in(memory_[index], command.buffer);
    return static_cast<int>(index);
}

int FakeDriver::device_command(std::unique_lock<std::mutex>& lock, const ControlCommand& command,
                               Milliseconds timeout) {
    switch (command.opcode) {
    case UBLK_U_CMD_GET_DEV_INFO:
        copy_out(command.buffer, info_);
        return 0;
    case UBLK_U_CMD_SET_PARAMS:
        copy_in(params_, command.buffer);
        return 0;
    case UBLK_U_CMD_GET_PARAMS:
        copy_out(command.buffer, params_);
        return 0;
    case UBLK_U_CMD_GET_QUEUE_AFFINITY:
        command.buffer[0] = std::byte{0b101};
        return 0;
    case UBLK_U_CMD_START_DEV:
        return start(lock, command, timeout);
    case UBLK_U_CMD_START_USER_RECOVERY:
    case UBLK_U_CMD_END_USER_RECOVERY:
        return recovery_command(lock, command, timeout);
    case UBLK_U_CMD_QUIESCE_DEV:
        return quiesce();
    case UBLK_U_CMD_UPDATE_SIZE:
        params_.basic.dev_sectors = command.data;
        return 0;
    case UBLK_U_CMD_REG_BUF:
    case UBLK_U_CMD_UNREG_BUF:
        return memory_command(command);
    case UBLK_U_CMD_STOP_DEV:
    case UBLK_U_CMD_TRY_STOP_DEV:
        take_back_tags_locked();
        info_.state = UBLK_S_DEV_DEAD;
        info_.ublksrv_pid = -1;
        return 0;
    case UBLK_U_CMD_DEL_DEV:
    case UBLK_U_CMD_DEL_DEV_ASYNC:
        exists_ = false;
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

Result<void> FakeDriver::prepare_process() {
    first_calls_.emplace_back("process");
    return {};
}

Result<Control> FakeDriver::open_control(Milliseconds timeout) {
    first_calls_.emplace_back("control");
    return Control{std::make_unique<FakeControl>(shared_from_this()), timeout};
}

Result<UniqueFd> FakeDriver::open_char_device(int) {
    const auto observer = before_open_; // which may replace itself
    if (const int error = observer ? observer() : 0)
        return Error{error, "open the device"};
    return UniqueFd{::open("/dev/null", O_RDWR | O_CLOEXEC)};
}

Result<void> FakeDriver::find_block_device(int) { return {}; }

Result<UniqueFd> FakeDriver::claim_block_device(int) {
    if (claim_error_)
        return Error{claim_error_, "open the disk"};
    return UniqueFd{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

Result<Descriptors> FakeDriver::map_descriptors(int, unsigned queue, unsigned) {
    return Descriptors{Mapping{}, queues_.at(queue).descriptors.data()};
}

Result<std::unique_ptr<Uring>> FakeDriver::create_ring(unsigned entries) {
    return std::unique_ptr<Uring>{
        std::make_unique<FakeUring>(*this, std::min(entries, largest_ring_))};
}

Result<void> FakeDriver::prepare_thread(const std::vector<unsigned>&) { return {}; }

} // namespace ublk::test
