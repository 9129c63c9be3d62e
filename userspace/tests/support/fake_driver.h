// SPDX-License-Identifier: GPL-2.0-or-later
// A ublk driver, an io_uring and a block layer in the memory of a test: whatever the library asks
// of the kernel is answered here, and the test plays the part of the disk's users.
#ifndef UBLK_TESTS_FAKE_DRIVER_H
#define UBLK_TESTS_FAKE_DRIVER_H

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <poll.h>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "control_port.h"
#include "driver_port.h"
#include "support/ring_memory.h"

namespace ublk::test {

class FakeDriver;

// What a user of the disk asks for, in the driver's terms.
struct BlockRequest {
    unsigned op = UBLK_IO_OP_READ;
    std::uint64_t sector = 0;
    std::uint32_t sectors = 0; // of a report: zones
    std::uint32_t flags = 0;
    // Where its data lie in the memory that was registered; none: elsewhere.
    std::optional<std::uint64_t> shared_address{};
};

// An io_uring whose "kernel" is the FakeDriver. Completions appear in its memory like real ones.
class FakeUring final : public Uring {
public:
    FakeUring(FakeDriver& driver, unsigned entries);
    ~FakeUring() override;

    int enter(unsigned wait) noexcept override;
    int register_files(std::span<const int> descriptors) noexcept override;
    int register_buffer_slots(unsigned count) noexcept override;
    int register_buffer(unsigned place, std::span<std::byte> memory) noexcept override;

    // With the driver's mutex held.
    void post(std::uint64_t user_data, int result);

private:
    using Clock = std::chrono::steady_clock;
    // An operation that waits for its file.
    struct Parked {
        std::uint8_t opcode;
        std::uint8_t flags;
        int fd;
        std::uint32_t what; // events of a poll, flags of a message
        std::uint64_t address;
        std::uint64_t user_data;
        std::optional<Clock::time_point> limit{}; // until then
        std::uint64_t limit_data = 0;
    };

    void execute(const io_uring_sqe& sqe);
    void park(const io_uring_sqe& sqe);
    void limit(const io_uring_sqe& sqe);
    void cancel(const io_uring_sqe& sqe);
    void end(const Parked& parked, int result, int limit_result);
    int time_left(int timeout) const;
    void transfer(const io_uring_sqe& sqe);
    std::span<std::byte> memory_of(const io_uring_sqe& sqe);
    void check_parked(std::unique_lock<std::mutex>& lock, int timeout);
    bool idle() const;

    FakeDriver& driver_;
    RingMemory memory_;
    friend class FakeDriver;
    std::vector<int> files_;
    std::vector<std::span<std::byte>> buffers_; // the ring's table
    std::set<unsigned> own_buffers_;            // places that the server has filled
    std::vector<Parked> parked_;
    bool linked_ = false;        // to what comes next: a limit
    std::vector<pollfd> polled_; // kept, so that waiting allocates nothing
    UniqueFd posted_;            // eventfd: a completion has come, for who waits for what is parked
};

class FakeDriver final : public DriverPort, public std::enable_shared_from_this<FakeDriver> {
public:
    explicit FakeDriver(unsigned queues = 1, unsigned depth = 4);
    ~FakeDriver() override;

    // The block layer's side. issue() wants the tag armed; result() is there once it was committed.
    void issue(unsigned queue, unsigned tag, const BlockRequest& request);
    std::optional<int> result(unsigned queue, unsigned tag);
    // The buffer that the server gave for the tag; nullptr: none.
    std::byte* buffer(unsigned queue, unsigned tag);
    // The pages of the tag's request: set before a write is issued, read after a read is done.
    std::vector<std::byte>& pages(unsigned queue, unsigned tag);
    // The sector that the server said a ZONE_APPEND went to.
    std::uint64_t appended_at(unsigned queue, unsigned tag);
    bool armed(unsigned queue, unsigned tag);
    int wait_for_result(unsigned queue, unsigned tag);
    // As STOP_DEV does: takes back the idle tags at once, and the others when they are committed.
    void take_back_tags();
    // As if the server had died: whatever it was, the disk waits for the next one.
    void lose_server();

    // Called with every file operation of a ring before it is executed.
    void observe(std::function<void(const io_uring_sqe&)> observer) {
        observer_ = std::move(observer);
    }

    // Called before every control command, and when a server opens its device; what that returns is
    // an error of the opening, or 0. Each with the mutex free.
    void before_control(std::function<void(std::uint32_t opcode)> observer) {
        before_control_ = std::move(observer);
    }
    void before_open(std::function<int()> observer) { before_open_ = std::move(observer); }
    // The device has gone, and somebody else has added one of its number.
    void replace_device(std::uint64_t mark);

    // What goes wrong on purpose.
    void fail_next_operation(unsigned opcode, int error); // of io_uring
    void fail_control(std::uint32_t opcode, int error);   // until it is healed
    void heal_control();
    void fail_fetch(int error) { fetch_error_ = error; }
    void refuse_claims(int error) { claim_error_ = error; }
    void refuse_next_commit(int error) { commit_error_ = error; } // the tag is nobody's then
    void limit_transfers(std::size_t bytes) { longest_transfer_ = bytes; }
    void refuse_submissions(int error) { submission_error_ = error; }
    void limit_ring_entries(unsigned entries) { largest_ring_ = entries; }
    void fail_next_user_copy(int result) { user_copy_results_.push_back(result); }
    void refuse_automatic_buffers() { registers_buffers_ = false; }

    // What the library did.
    std::chrono::nanoseconds slept() const { return slept_; }
    const ublk_params& params() const { return params_; }
    bool device_exists() const { return exists_; }
    std::uint64_t granted_features() const { return features_; }
    unsigned user_copies() const { return user_copies_; }
    const ublksrv_ctrl_dev_info& info() const { return info_; }
    // What is registered, by index.
    const std::map<unsigned, ublk_shmem_buf_reg>& registered_memory() const { return memory_; }
    // What the driver can do, and of it what it grants.
    std::uint64_t available_features = UBLK_F_NO_AUTO_PART_SCAN;
    std::uint64_t grantable_features = UINT64_MAX;
    unsigned enters() const { return enters_; }

    // The DriverPort's calls so far, as "process" and "control"; each is there once.
    const std::vector<std::string>& first_calls() const { return first_calls_; }

    // DriverPort.
    Result<void> prepare_process() override;
    Result<Control> open_control(Milliseconds timeout) override;
    Result<UniqueFd> open_char_device(int number) override;
    Result<void> find_block_device(int number) override;
    Result<UniqueFd> claim_block_device(int number) override;
    Result<Descriptors> map_descriptors(int char_device, unsigned queue, unsigned depth) override;
    Result<std::unique_ptr<Uring>> create_ring(unsigned entries) override;
    Result<void> prepare_thread(const std::vector<unsigned>& cpus) override;

private:
    friend class FakeUring;
    friend class FakeControl;

    enum class Owner { nobody, driver, server };
    struct Tag {
        Owner owner = Owner::nobody;
        FakeUring* ring = nullptr;
        std::uint64_t user_data = 0;
        std::byte* buffer = nullptr;
        std::uint64_t place = 0; // sqe->addr: where in the ring's table
        std::vector<std::byte> pages{};
        std::optional<int> result{};
        std::uint64_t appended_at = 0;
    };
    struct FakeQueue {
        std::vector<ublksrv_io_desc> descriptors;
        std::vector<Tag> tags;
    };

    void make_queues(unsigned queues, unsigned depth);
    // With the mutex held.
    void io_command(FakeUring& ring, const io_uring_sqe& sqe);
    void buffer_command(FakeUring& ring, const io_uring_sqe& sqe);
    void commit(Tag& tag, const ublksrv_io_desc& descriptor, const ublksrv_io_cmd& payload);
    int user_copy(const io_uring_sqe& sqe);
    int control_command(std::unique_lock<std::mutex>& lock, const ControlCommand& command,
                        Milliseconds timeout);
    int device_command(std::unique_lock<std::mutex>& lock, const ControlCommand& command,
                       Milliseconds timeout);
    int start(std::unique_lock<std::mutex>& lock, const ControlCommand& command,
              Milliseconds timeout);
    int recovery_command(std::unique_lock<std::mutex>& lock, const ControlCommand& command,
                         Milliseconds timeout);
    int memory_command(const ControlCommand& command);
    int quiesce();
    void take_back_tags_locked();
    void lose_server_locked();
    bool all_fetched() const;

    std::mutex mutex_{};
    std::condition_variable changed_{};
    std::vector<FakeQueue> queues_{};
    ublk_params params_{};
    ublksrv_ctrl_dev_info info_{};
    std::uint64_t features_ = 0;
    bool exists_ = false;
    bool stopping_ = false;
    bool registers_buffers_ = true;
    std::map<unsigned, ublk_shmem_buf_reg> memory_{};
    unsigned user_copies_ = 0;
    std::deque<int> user_copy_results_{};
    std::vector<std::string> first_calls_{};
    int fetch_error_ = 0;
    int commit_error_ = 0;
    int submission_error_ = 0;
    int claim_error_ = 0;
    unsigned largest_ring_ = 1U << 16;
    unsigned enters_ = 0;
    std::size_t longest_transfer_ = SIZE_MAX;
    std::chrono::nanoseconds slept_{0};
    std::function<void(const io_uring_sqe&)> observer_{};
    std::function<void(std::uint32_t)> before_control_{};
    std::function<int()> before_open_{};
    std::map<unsigned, std::deque<int>> operation_errors_{};
    std::map<std::uint32_t, int> control_errors_{};
};

} // namespace ublk::test

#endif
