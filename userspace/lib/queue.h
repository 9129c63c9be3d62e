// SPDX-License-Identifier: MIT
// Queue is one hardware queue of the device as its server sees it: it turns completions of the ring
// into requests for the target, and the target's answers and own I/O into submissions.
#ifndef UBLK_LIB_QUEUE_H
#define UBLK_LIB_QUEUE_H

#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <ublk/event.h>
#include <ublk/ring.h>
#include <ublk/server.h>
#include <ublk/unique_fd.h>

#include "checked_target.h"
#include "counter.h"
#include "data_path.h"
#include "frame_pool.h"
#include "shortage.h"
#include "uapi.h"
#include "uring.h"

namespace ublk {

// First in, first out, linked through the elements' own `next`.
template <class Element, Element* Element::*next> class Backlog {
public:
    bool empty() const noexcept { return first_ == nullptr; }
    Element* first() const noexcept { return first_; }
    void push(Element& element) noexcept {
        element.*next = nullptr;
        (first_ ? last_->*next : first_) = &element;
        last_ = &element;
    }
    void pop() noexcept { first_ = first_->*next; }
    Backlog take_all() noexcept { return std::exchange(*this, Backlog{}); }

private:
    Element* first_ = nullptr;
    Element* last_ = nullptr;
};

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
    };

    // Position of the char device in the ring's file list; Target::files() follow.
    static constexpr int char_device_file = 0;
    static constexpr int first_target_file = 1;

    static unsigned ring_entries(unsigned depth);
    static unsigned frame_blocks(unsigned depth);

    explicit Queue(Parts parts);
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;

    // Offers every tag to the driver; a negative errno if it refuses one.
    int fetch_all();
    // Serves until the driver has taken every tag back and the target has finished.
    void run();
    // One round: submit, wait for `wait` completions, handle them. False once run() would return.
    bool step(unsigned wait);

    // By the target, through Io and Ring.
    void finish(detail::Request& request, int result) noexcept;
    void submit(RingOperation& operation) noexcept;
    unsigned index() const noexcept { return parts_.index; }

    // A coroutine of this queue waits for an event, or finds that it need not.
    void expect_event() noexcept { ++expected_events_; }
    void forget_event() noexcept { --expected_events_; }

    // By any thread. Goes on with the coroutine that waits for the event, which is set.
    void wake(Event& event) noexcept;
    Statistics statistics() const noexcept;

private:
    void enter(unsigned wait);
    void handle(std::uint64_t user_data, int result);
    void handle_command(unsigned tag, int result);
    void handle_move(detail::Request& request, int result);
    void handle_operation(RingOperation& operation, int result);
    void read_descriptor(detail::Request& request) noexcept;
    void arrive(detail::Request& request);
    void hand_over(detail::Request& request);
    void commit(detail::Request& request, int result) noexcept;
    void submit(detail::Request& request, detail::Stage stage) noexcept;
    bool prepare(const detail::Request& request) noexcept;
    bool prepare_command(std::uint32_t command, const detail::Request& request) noexcept;
    bool prepare_operation(RingOperation& operation) noexcept;
    io_uring_sqe* next_sqe() noexcept;
    void retry_backlog() noexcept;
    bool is_postponed(RingOperation& operation, int result) noexcept;
    bool is_postponed(detail::Request& request, int result) noexcept;
    void pause() noexcept;
    void go_on() noexcept;
    bool is_over() const noexcept;
    void listen() noexcept;
    void hear() noexcept;
    void resume_woken();

    Parts parts_;
    std::vector<detail::Request> requests_;
    unsigned owned_tags_ = 0;         // tags that the driver has not taken back
    unsigned running_operations_ = 0; // the target's own I/O
    int refusal_ = 0;                 // first error of a command
    Backlog<detail::Request, &detail::Request::next> unsent_requests_;
    Backlog<RingOperation, &RingOperation::next_> unsent_operations_;
    // What the kernel had no thread or memory for, until the pause is over.
    Backlog<detail::Request, &detail::Request::next> postponed_requests_;
    Backlog<RingOperation, &RingOperation::next_> postponed_operations_;
    Shortage shortage_;
    bool pausing_ = false; // the ring counts the pause
    unsigned expected_events_ = 0;
    std::thread::id thread_{}; // the queue's
    Backlog<Event, &Event::next_> woken_;
    UniqueFd bell_;          // eventfd: another thread has put something into the inbox
    bool listening_ = false; // the ring waits for the bell
    std::mutex inbox_mutex_{};
    Backlog<Event, &Event::next_> inbox_; // guarded by inbox_mutex_
    Counter delivered_;
    Counter rejected_;
    Counter violations_;
};

} // namespace ublk

#endif
