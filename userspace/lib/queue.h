// SPDX-License-Identifier: MIT
// Queue is one hardware queue of the device as its server sees it: it turns completions of the ring
// into requests for the target, and the target's answers and own I/O into submissions.
#ifndef UBLK_LIB_QUEUE_H
#define UBLK_LIB_QUEUE_H

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include <ublk/event.h>
#include <ublk/ring.h>
#include <ublk/server.h>
#include <ublk/unique_fd.h>

#include "backlog.h"
#include "buffer_pool.h"
#include "cancellations.h"
#include "checked_target.h"
#include "counter.h"
#include "data_path.h"
#include "frame_pool.h"
#include "operation_counters.h"
#include "shortage.h"
#include "tag.h"
#include "uapi.h"
#include "uring.h"

namespace ublk {

class Workers;

class Queue {
public:
    struct Parts {
        unsigned index;
        unsigned depth;
        std::unique_ptr<Uring> uring;
        std::unique_ptr<DataPath> data;
        FramePool frames;
        const ublksrv_io_desc* descriptors; // one per tag, written by the driver
        const CheckedTarget* target;
        Workers* workers;
    };

    // Position of the char device in the ring's file list; the targets' files follow.
    static constexpr int char_device_file = 0;

    static unsigned ring_entries(unsigned depth);
    // Of whose requests each has so many coroutines at a time.
    static unsigned frame_blocks(unsigned depth, unsigned frames);

    explicit Queue(Parts parts);
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    // Lets the target get ready, which may take as long as it takes. Comes first.
    Result<void> begin();
    // Offers every tag to the driver; a negative errno if it refuses one.
    int fetch_all();
    // Serves until the driver has taken every tag back and the target has finished.
    void run();
    // One round: submit, wait for `wait` completions, handle them. False once run() would return.
    bool step(unsigned wait);

    // By the target, through its answers and Ring.
    void finish(detail::Tag& tag, const Answer& answer) noexcept;
    void start(RingOperation& operation) noexcept;
    Buffer borrow(std::size_t size) noexcept { return buffers_.take(size); }
    Workers& workers() noexcept { return *parts_.workers; }
    unsigned index() const noexcept { return parts_.index; }

    // A coroutine of this queue waits for an event, or finds that it need not.
    void expect_event() noexcept { ++expected_events_; }
    void forget_event() noexcept { --expected_events_; }

    // By any thread. Goes on with the coroutine that waits for the event, which is set.
    void wake(Event& event) noexcept;
    // By any thread. If the requests that are under way have not come to an end `patience` from
    // now, the target is told to end them.
    void ask_to_end() noexcept;
    Statistics statistics() const noexcept;

private:
    void turn(unsigned wait);
    void enter(unsigned wait);
    void handle(std::uint64_t user_data, int result);
    void handle_command(unsigned tag, int result);
    void complain_of_refusal(unsigned tag, int result) noexcept;
    void handle_move(detail::Tag& tag, int result);
    void handle_operation(RingOperation& operation, int result);
    void handle_limit(RingOperation& operation, int result);
    void go_on(RingOperation& operation, RingOperation::Next next);
    void read_descriptor(detail::Tag& tag) noexcept;
    void arrive(detail::Tag& tag);
    void hand_over(detail::Tag& tag);
    bool serve(detail::Tag& tag);
    void wait_for_frame(detail::Tag& tag) noexcept;
    void commit(detail::Tag& tag, int result) noexcept;
    void submit(detail::Tag& tag, Stage stage) noexcept;
    void submit(RingOperation& operation) noexcept;
    bool prepare(const detail::Tag& tag) noexcept;
    bool prepare_command(std::uint32_t command, const detail::Tag& tag) noexcept;
    bool prepare_operation(RingOperation& operation) noexcept;
    void prepare_limit(io_uring_sqe& limited, RingOperation& operation) noexcept;
    bool make_room_for(unsigned entries) noexcept;
    io_uring_sqe* next_sqe() noexcept;
    io_uring_sqe* next_sqe_after_all() noexcept;
    void retry_backlog() noexcept;
    bool is_postponed(RingOperation& operation, int result) noexcept;
    bool is_postponed(detail::Tag& tag, int result) noexcept;
    bool is_progress(int result) noexcept;
    bool is_waited_for() const noexcept;
    bool was_canceled(const RingOperation& operation) const noexcept;
    void pause() noexcept;
    void try_again() noexcept;
    bool is_over() noexcept;
    static Async<void> begin_target(Queue* queue);
    static Async<void> end_target(Queue* queue);
    void end_now() noexcept;
    void be_patient() noexcept;
    void listen() noexcept;
    void hear() noexcept;
    void resume_woken();

    Parts parts_;
    std::vector<detail::Tag> tags_;
    unsigned owned_tags_ = 0;         // tags that the driver has not taken back
    unsigned running_operations_ = 0; // the target's own I/O
    int refusal_ = 0;                 // first error of a command
    Backlog<detail::Tag, &detail::Tag::next> unsent_tags_;
    Backlog<RingOperation, &RingOperation::next_> unsent_operations_;
    // What the kernel had no thread or memory for, until the pause is over.
    Backlog<detail::Tag, &detail::Tag::next> postponed_tags_;
    Backlog<RingOperation, &RingOperation::next_> postponed_operations_;
    Shortage shortage_;
    Cancellations cancellations_;
    bool pausing_ = false; // the ring counts the pause
    unsigned expected_events_ = 0;
    std::thread::id thread_{}; // the queue's
    Backlog<Event, &Event::next_> woken_;
    UniqueFd bell_;          // eventfd: another thread has put something into the inbox
    bool listening_ = false; // the ring waits for the bell
    std::mutex inbox_mutex_{};
    // Guarded by inbox_mutex_.
    Backlog<Event, &Event::next_> inbox_;
    bool asked_to_end_ = false;

    enum class Life { fresh, begun, ending, ended };
    Life life_ = Life::fresh;
    std::optional<Result<void>> begun_{}; // what came of the target's begin()
    bool patient_ = false;                // until a timeout
    BufferPool buffers_;
    std::array<OperationCounters, Statistics::highest_operation + 1> counted_{}; // by Op
    Counter rejected_;
    Counter violations_;
    Counter refused_;
};

} // namespace ublk

#endif
