// SPDX-License-Identifier: GPL-2.0-or-later
// Sends, receives, notices the loss of a server, and waits for the next.
#include "nbd_connection.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace ublk::targets::nbd {

namespace {

constexpr std::chrono::milliseconds shortest_pause{100};
constexpr std::chrono::seconds longest_pause{5};
// A server gets so long for an answer to a new connection even if I/O is to fail sooner.
constexpr std::chrono::milliseconds shortest_attempt{100};
// An age is measured in quarters of what it may be.
constexpr unsigned looks_per_answer = 4;

std::string in_seconds(Clock::duration duration) {
    const auto tenths = std::chrono::duration_cast<std::chrono::milliseconds>(duration) / 100;
    return std::to_string(tenths.count() / 10) + "." + std::to_string(tenths.count() % 10) + " s";
}

int bytes_in(int socket) noexcept {
    int bytes = 0;
    return ::ioctl(socket, FIONREAD, &bytes) < 0 ? 0 : bytes;
}

} // namespace

// The life of a connection, by the thread of its home.

Async<Result<void>> Connection::begin(Ring ring) {
    if (!is_home(ring)) {
        const std::lock_guard lock{mutex_};
        ++users_;
        co_return Result<void>{};
    }
    bell_ = UniqueFd{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!bell_)
        co_return Error{errno, "create an eventfd"};
    Handle handle = std::exchange(handle_, Handle{});
    if (!handle) {
        auto fresh = co_await connect(ring, link_.limits.open);
        if (!fresh) {
            Error error = fresh.error();
            error.hint += "; it was to be connection " + std::to_string(number_ + 1) +
                          ", and connections= says how many there may be";
            co_return error;
        }
        handle = *std::move(fresh);
    }
    if (auto used = use(std::move(handle)); !used)
        co_return used.error();
    kept_ = std::make_unique<Event>(ring);
    watched_ = std::make_unique<Event>(ring);
    keep(ring).start();
    watch(ring).start();
    co_return Result<void>{};
}

Async<void> Connection::end(Ring ring) {
    Event last{ring};
    bool others = false;
    {
        const std::lock_guard lock{mutex_};
        const auto is_of_queue = [queue = ring.queue_index()](const Command& command) {
            return command.queue == queue;
        };
        if (issued_.any_of(is_of_queue) || waiting_.any_of(is_of_queue))
            close();
        if (!is_home(ring)) {
            if (--users_ == 0 && last_user_gone_)
                last_user_gone_->set();
            co_return;
        }
        others = users_ > 0;
        if (others)
            last_user_gone_ = &last;
    }
    if (others)
        co_await last;
    {
        const std::lock_guard lock{mutex_};
        close();
    }
    if (connecting_ >= 0)
        co_await ring.cancel(File{connecting_});
    Event& kept = *kept_;
    Event& watched = *watched_;
    co_await kept;
    co_await watched;
}

Async<void> Connection::keep(Ring ring) {
    const auto is_closed = [this] {
        const std::lock_guard lock{mutex_};
        return is_over();
    };
    for (;;) {
        co_await pump(ring);
        co_await dismantle(ring);
        if (is_closed())
            break;
        co_await reconnect(ring);
        if (is_closed())
            break;
    }
    kept_->set();
}

// Receives until the connection is lost.
Async<void> Connection::pump(Ring ring) {
    while (const short events = to_wait_for()) {
        const int found = co_await ring.poll(File{socket_.get()}, static_cast<unsigned>(events));
        // What waited behind a reply may have been sent in part by now.
        if (transfer(found))
            write_out(ring).start();
    }
}

// From then on libnbd looks at no buffer of ours, and what it has not answered can be sent again.
Async<void> Connection::dismantle(Ring ring) {
    Event gone{ring};
    bool writing = false;
    {
        const std::lock_guard lock{mutex_};
        writing = writing_;
        if (writing)
            writer_gone_ = &gone;
    }
    if (writing)
        co_await gone;
    const std::lock_guard lock{mutex_};
    writer_gone_ = nullptr;
    handle_.reset();
    socket_ = UniqueFd{};
    if (is_over())
        co_return;
    // They are older than those that wait.
    link_.counts.resent += issued_.count();
    issued_.append(waiting_);
    waiting_.append(issued_);
    if (state_ == State::draining)
        state_ = State::down;
}

// long function: the order of its steps is all that there is to it.
Async<void> Connection::reconnect(Ring ring) {
    bool at_once = begin_outage(); // and whatever the limit is
    for (;;) {
        const Clock::time_point deadline = *outage_began_ + link_.limits.reconnect;
        if (!at_once) {
            const auto left = deadline - Clock::now();
            // Ends early when the connection is closed.
            co_await ring.poll(File{bell_.get()}, POLLIN)
                .within(left.count() > 0 ? std::min<Clock::duration>(left, pause_) : pause_);
            pause_ = std::min<Clock::duration>(2 * pause_, longest_pause);
        }
        auto limit = std::chrono::duration_cast<Clock::duration>(link_.limits.open);
        {
            const std::lock_guard lock{mutex_};
            if (is_over())
                co_return;
            const auto left = deadline - Clock::now();
            if (left.count() <= 0 && !at_once)
                give_up();
            else
                limit = std::clamp<Clock::duration>(
                    left, shortest_attempt, std::max<Clock::duration>(limit, shortest_attempt));
        }
        at_once = false;
        auto fresh = co_await connect(ring, limit);
        auto used = fresh ? use(*std::move(fresh)) : Result<void>{fresh.error()};
        if (used) {
            resume(ring);
            co_return;
        }
        const std::lock_guard lock{mutex_};
        if (is_over())
            co_return;
        complain(used.error());
    }
}

Async<Result<Handle>> Connection::connect(Ring ring, Clock::duration limit) {
    const Clock::time_point deadline = Clock::now() + limit;
    const Settings& settings = link_.settings;
    auto handle = make_handle(settings);
    if (!handle)
        co_return handle.error();
    auto begun = Result<void>{};
    if (settings.uri.needs_resolver())
        begun = co_await ring.offload([&] { return begin_connecting(*handle, settings); });
    else
        begun = begin_connecting(*handle, settings);
    if (!begun)
        co_return begun.error();
    const auto failed = [&](int code, const char* hint) {
        return Error{code, "uri=" + settings.uri.text, hint, ErrorKind::backend};
    };
    while (!is_ready(*handle)) {
        const short events = wanted_events(*handle);
        if (events == 0)
            co_return failed(ECONNRESET, "the server has closed the connection");
        const auto left = deadline - Clock::now();
        if (left.count() <= 0)
            co_return failed(ETIMEDOUT, "the server does not answer");
        {
            const std::lock_guard lock{mutex_};
            if (is_over())
                co_return failed(ECANCELED, "");
        }
        connecting_ = ::nbd_aio_get_fd(handle->get());
        const int found =
            co_await ring.poll(File{connecting_}, static_cast<unsigned>(events)).within(left);
        connecting_ = -1;
        if (found < 0)
            co_return failed(-found, found == -ETIMEDOUT ? "the server does not answer" : "");
        if (auto done = go_on(*handle, settings, static_cast<short>(found)); !done)
            co_return done.error();
    }
    keep_alive(*handle);
    co_return *std::move(handle);
}

// A handle that is ready, if it leads to what the disk is made of.
Result<void> Connection::use(Handle handle) {
    if (const std::string why = refusal(link_.offered, describe(handle), link_.size);
        !why.empty()) {
        ++link_.counts.refused_servers;
        return Error{ESTALE, "uri=" + link_.settings.uri.text, why, ErrorKind::backend};
    }
    UniqueFd socket{::fcntl(::nbd_aio_get_fd(handle.get()), F_DUPFD_CLOEXEC, 0)};
    if (!socket)
        return Error{errno, "duplicate a descriptor", "raise the limit of open files: ulimit -n"};
    const std::lock_guard lock{mutex_};
    if (is_over())
        return Error{ECANCELED, "uri=" + link_.settings.uri.text};
    handle_ = std::move(handle);
    socket_ = std::move(socket);
    state_ = State::up;
    up_since_ = Clock::now();
    completed_before_ = completed_;
    ++link_.counts.up;
    return {};
}

// Looks from time to time whether the server still answers.
Async<void> Connection::watch(Ring ring) {
    const auto is_closed = [this] {
        const std::lock_guard lock{mutex_};
        check_age();
        return is_over();
    };
    do
        co_await ring.poll(File{bell_.get()}, POLLIN)
            .within(link_.limits.answer / looks_per_answer);
    while (!is_closed());
    watched_->set();
}

void Connection::check_age() noexcept {
    ++time_;
    const Command* const oldest = issued_.first();
    if (is_used() && oldest && time_ - std::max(oldest->issued_at, answered_at_) > looks_per_answer)
        lose("the server has not answered for " + in_seconds(link_.limits.answer));
}

// Whether to look for the server at once. A connection that was of no use is part of the same
// outage: a server that falls over what we send must not be asked in a circle for ever.
bool Connection::begin_outage() noexcept {
    const std::lock_guard lock{mutex_};
    const auto now = Clock::now();
    const bool was_of_use = completed_ != completed_before_ || now - up_since_ > longest_pause;
    const bool is_new = was_of_use || !outage_began_ || reason_.empty();
    if (is_new) {
        outage_began_ = now;
        pause_ = shortest_pause;
        complaint_.clear();
    }
    if (!reason_.empty())
        say("lost: " + reason_ + "; " + std::to_string(waiting_.count()) + " requests wait, for " +
            in_seconds(link_.limits.reconnect) + " at most");
    return is_new;
}

void Connection::resume(Ring ring) noexcept {
    bool writes = false;
    {
        const std::lock_guard lock{mutex_};
        if (!reason_.empty())
            say("is back after " + in_seconds(Clock::now() - *outage_began_) + ", sending " +
                std::to_string(waiting_.count()) + " requests");
        CommandList ready;
        ready.append(waiting_);
        while (Command* const command = ready.pop()) {
            if (state_ == State::up)
                issue(*command);
            else
                waiting_.push(*command);
        }
        writes = needs_writer();
    }
    if (writes)
        write_out(ring).start();
}

void Connection::complain(const Error& error) noexcept {
    const std::string complaint = error.hint.empty() ? error.message() : error.hint;
    if (complaint == complaint_)
        return;
    complaint_ = complaint;
    say("no way back yet: " + complaint);
}

void Connection::say(const std::string& text) const noexcept {
    std::fprintf(stderr, "ublk: nbd: connection %u to %s %s\n", number_,
                 link_.settings.uri.text.c_str(), text.c_str());
}

// Sending and receiving.

void Connection::start(Command& command, Ring ring) noexcept {
    bool writes = false;
    {
        const std::lock_guard lock{mutex_};
        command.connection = this;
        switch (state_) {
        case State::up:
            issue(command);
            break;
        case State::down:
        case State::draining:
            waiting_.push(command);
            break;
        case State::given_up:
        case State::closed:
            finish(command, -EIO);
            break;
        }
        writes = needs_writer();
    }
    if (writes)
        write_out(ring).start();
}

void Connection::renew() noexcept {
    const std::lock_guard lock{mutex_};
    if (state_ != State::up)
        return;
    state_ = State::draining;
    if (issued_.empty())
        lose("");
}

// What the socket had no room for, by the thread that came across that.
Async<void> Connection::write_out(Ring ring) {
    for (;;) {
        int socket = -1;
        {
            const std::lock_guard lock{mutex_};
            if (!is_used() || !(wanted_events(handle_) & POLLOUT)) {
                writing_ = false;
                if (writer_gone_)
                    writer_gone_->set();
                co_return;
            }
            socket = socket_.get();
        }
        co_await ring.poll(File{socket}, POLLOUT);
        const std::lock_guard lock{mutex_};
        if (is_used() && (wanted_events(handle_) & POLLOUT) &&
            ::nbd_aio_notify_write(handle_.get()) < 0)
            lose(last_error(link_.settings).hint);
    }
}

// 0: it is lost.
short Connection::to_wait_for() noexcept {
    const std::lock_guard lock{mutex_};
    if (!is_used())
        return 0;
    const short events = wanted_events(handle_);
    if (events == 0)
        lose("the server has closed it");
    return (events & POLLIN) ? short{POLLIN} : events;
}

// `events` have been found on the socket. Whether write_out() is to be started.
bool Connection::transfer(int events) noexcept {
    const std::lock_guard lock{mutex_};
    if (events > 0)
        receive(static_cast<short>(events));
    return needs_writer();
}

// One step of libnbd's is a reply at most, so it goes on as long as there is more. It must not be
// told to read what is not there: it would leave a command that is sent in part until a reply
// comes, which may wait for just that.
void Connection::receive(short events) noexcept {
    for (bool there = (events & (POLLIN | POLLHUP | POLLERR)) != 0; is_used();
         there = !issued_.empty() && bytes_in(socket_.get()) > 0) {
        const short wanted = wanted_events(handle_);
        if (wanted == 0)
            return lose("the server has closed it");
        int result = 0;
        if ((wanted & POLLIN) && there)
            result = ::nbd_aio_notify_read(handle_.get());
        else if (wanted == POLLOUT && std::exchange(events, short{0}))
            result = ::nbd_aio_notify_write(handle_.get());
        else
            return;
        if (result < 0)
            return lose(last_error(link_.settings).hint);
    }
}

void Connection::issue(Command& command) noexcept {
    command.issued_at = time_;
    issued_.push(command);
    // If libnbd has taken it, it may be done and gone by now.
    if (send(command) >= 0)
        return;
    issued_.remove(command);
    const Error error = last_error(link_.settings);
    if (wanted_events(handle_) != 0)
        return finish(command, -error.code);
    waiting_.push(command);
    lose(error.hint);
}

std::int64_t Connection::send(Command& command) noexcept {
    nbd_handle* const nbd = handle_.get();
    const nbd_completion_callback done{&Connection::on_completion, &command, nullptr};
    switch (command.kind) {
    case Command::Kind::read:
        return ::nbd_aio_pread(nbd, command.memory.data(), command.memory.size(), command.offset,
                               done, command.flags);
    case Command::Kind::write:
        return ::nbd_aio_pwrite(nbd, command.memory.data(), command.memory.size(), command.offset,
                                done, command.flags);
    case Command::Kind::flush:
        return ::nbd_aio_flush(nbd, done, command.flags);
    case Command::Kind::trim:
        return ::nbd_aio_trim(nbd, command.length, command.offset, done, command.flags);
    case Command::Kind::zero:
        return ::nbd_aio_zero(nbd, command.length, command.offset, done, command.flags);
    }
    return -1;
}

// By libnbd, in whatever of its functions we are, so the mutex is held. What the server has not
// said itself leaves the command where it is: it is sent again.
int Connection::on_completion(void* data, int* error) noexcept {
    Command& command = *static_cast<Command*>(data);
    Connection& self = *command.connection;
    if (!self.is_used() || *error == ENOTCONN)
        return 1;
    if (*error == ESHUTDOWN) {
        self.lose("the server is shutting down");
        return 1;
    }
    self.issued_.remove(command);
    ++self.completed_;
    self.answered_at_ = self.time_;
    self.finish(command, -*error);
    if (self.state_ == State::draining && self.issued_.empty())
        self.lose("");
    return 1;
}

void Connection::finish(Command& command, int result) noexcept {
    command.result = result;
    command.done.set(); // it may be gone
}

// The rest is up to the home, which this wakes.
void Connection::lose(std::string reason) noexcept {
    if (!is_used())
        return;
    --link_.counts.up;
    if (!reason.empty())
        ++link_.counts.losses;
    reason_ = std::move(reason);
    state_ = State::down;
    ::shutdown(socket_.get(), SHUT_RDWR);
}

void Connection::give_up() noexcept {
    if (state_ == State::given_up)
        return;
    say("is given up: I/O fails until there is a server again" +
        (complaint_.empty() ? "" : "; " + complaint_));
    state_ = State::given_up;
    while (Command* const command = waiting_.pop()) {
        ++link_.counts.failed_waiting;
        finish(*command, -EIO);
    }
}

void Connection::close() noexcept {
    if (is_over())
        return;
    if (is_used()) {
        --link_.counts.up;
        static_cast<void>(::nbd_aio_disconnect(handle_.get(), 0)); // a courtesy
        ::shutdown(socket_.get(), SHUT_RDWR);
    }
    state_ = State::closed;
    handle_.reset(); // libnbd looks at no buffer any more
    issued_.append(waiting_);
    while (Command* const command = issued_.pop())
        finish(*command, -EIO);
    ::eventfd_write(bell_.get(), 1);
}

// Whether the caller is to start write_out().
bool Connection::needs_writer() noexcept {
    if (writing_ || !is_used() || !(wanted_events(handle_) & POLLOUT))
        return false;
    writing_ = true;
    return true;
}

} // namespace ublk::targets::nbd
