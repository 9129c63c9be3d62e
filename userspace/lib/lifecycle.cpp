// SPDX-License-Identifier: MIT
// The life of a device: add, describe, fetch, start, or take over; serve; stop, join, delete, or
// leave.
#include "lifecycle.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <utility>

#include <ublk/retry.h>

#include "copy_choice.h"
#include "stop_signals.h"
#include "uapi.h"

namespace ublk {

namespace {

constexpr Milliseconds longest_farewell{2000};
constexpr Milliseconds longest_look{2000}; // at a disk by udev and its like

Result<void> check_new_size(Geometry geometry, std::uint64_t size, const SizeRequest& request) {
    const std::uint64_t before = std::exchange(geometry.size_bytes, size);
    if (Result<void> valid = validate(geometry); !valid)
        return valid;
    if (size < before && !request.may_shrink)
        return Error{EINVAL,
                     "shrink from " + std::to_string(before) + " to " + std::to_string(size) +
                         " bytes",
                     "what lies behind the new end will be out of reach: shrink what is on the "
                     "disk first, then use --shrink",
                     ErrorKind::usage};
    return {};
}

bool is_busy(const Result<void>& result) { return !result && result.error().code == EBUSY; }

void consume_signal(int signal_fd) {
    signalfd_siginfo consumed{};
    static_cast<void>(!::read(signal_fd, &consumed, sizeof consumed));
}

} // namespace

Server::Lifecycle::Lifecycle(std::shared_ptr<DriverPort> driver, Control control,
                             std::shared_ptr<ServedDevice> device, Milliseconds timeout)
    : driver_(std::move(driver)), control_(std::move(control)), device_(std::move(device)),
      path_(block_device_path(device_->info.number)), timeout_(timeout) {}

Server::Lifecycle::~Lifecycle() {
    if (owns_device_)
        static_cast<void>(without_exceptions([this] { return stop(); }));
}

Result<void> Server::Lifecycle::bring_up(const BeforeDisk& prepare) {
    owns_device_ = true;
    const Geometry geometry = geometry_for(copy().mode, device_->checked.geometry());
    if (Result<void> set = control_.set_geometry(number(), geometry); !set)
        return set;
    if (Result<void> serving = begin_serving(); !serving)
        return serving;
    if (Result<void> shared = share_memory(); !shared)
        return shared;
    if (prepare)
        if (Result<void> prepared = prepare(info(), copy()); !prepared)
            return prepared;
    if (Result<void> started = control_.start(number(), ::getpid()); !started)
        return started;
    return driver_->find_block_device(number());
}

// Whatever fails, the device goes on waiting for a server.
Result<void> Server::Lifecycle::take_over() {
    if (Result<void> vacant = wait_until_vacant(); !vacant)
        return vacant;
    Result<void> taken = begin_serving();
    if (taken)
        complain(share_memory()); // without it all is copied, which is better than no server
    if (taken)
        taken = control_.end_recovery(number(), ::getpid());
    if (taken)
        taken = driver_->find_block_device(number());
    if (taken) {
        owns_device_ = true;
        return taken;
    }
    // A server that has just begun to fetch is sent away like one that serves. Only if it is this
    // one: another that came at the same time may have been first.
    if (!queues_.empty())
        static_cast<void>(control_.quiesce(number(), timeout_));
    leave();
    return taken;
}

// The old server may have died just now, and its end takes a moment.
Result<void> Server::Lifecycle::wait_until_vacant() {
    return retry_until(
        deadline(), [this] { return control_.start_recovery(number()); }, is_busy);
}

Result<void> Server::Lifecycle::begin_serving() {
    Result<UniqueFd> char_device = driver_->open_char_device(number());
    if (!char_device)
        return char_device.error();
    char_device_ = std::move(*char_device);
    if (Result<void> same = check_identity(); !same) {
        char_device_ = UniqueFd{};
        return same;
    }
    return start_queues();
}

// A device that is open keeps its number; before that, the number may have become another's.
Result<void> Server::Lifecycle::check_identity() {
    const Result<DeviceInfo> found = control_.info(number());
    if (!found)
        return found.error();
    if (found->mark != info().mark)
        return Error{ENODEV, "serve " + path_,
                     "it was deleted, and its number is another device's by now"};
    return {};
}

// Before the first request can come.
Result<void> Server::Lifecycle::share_memory() {
    SharedPlace& shared = device_->shared;
    if (!shared.memory())
        return {};
    Result<unsigned> index = control_.share(number(), *shared.memory());
    if (!index) {
        shared.is_not_registered();
        return index.error();
    }
    shared_as_ = *index;
    shared.is_registered_as(*index);
    return {};
}

// No queue is at work in it any more.
void Server::Lifecycle::stop_sharing() {
    if (shared_as_)
        complain(control_.unshare(number(), *shared_as_));
    shared_as_.reset();
}

Result<void> Server::Lifecycle::start_queues() {
    queues_.reserve(info().queues); // a thread that runs must not be forgotten
    for (unsigned index = 0; index < info().queues; ++index) {
        Result<std::vector<unsigned>> cpus = control_.queue_cpus(number(), index);
        if (!cpus)
            return cpus.error();
        Result<QueueThread> queue =
            QueueThread::start(device_, char_device_.get(), index, std::move(*cpus));
        if (!queue)
            return queue.error();
        queues_.push_back(*std::move(queue));
    }
    const Deadline limit = deadline();
    for (QueueThread& queue : queues_)
        if (Result<void> ready = queue.wait_until_ready(limit); !ready)
            return ready;
    return {};
}

Result<End> Server::Lifecycle::run(const std::vector<Watch>& also) {
    const sigset_t signals = stop_signals();
    const UniqueFd signal_fd{::signalfd(-1, &signals, SFD_CLOEXEC)};
    if (!signal_fd)
        return Error{errno, "create a signalfd"};
    const int size_events = device_->target->size_events();
    std::vector<pollfd> events{{signal_fd.get(), POLLIN, 0},
                               {device_->ended.get(), POLLIN, 0},
                               {size_events, POLLIN, 0}}; // of -1 nothing is ever heard
    const std::size_t own = events.size();
    for (const Watch& watch : also)
        events.push_back({watch.descriptor, POLLIN, 0});

    bool insists = false; // who sends a signal now has sent one before
    while (!events[1].revents) {
        if (::poll(events.data(), events.size(), -1) < 0) {
            if (errno != EINTR)
                return Error{errno, "wait for a signal"};
            continue;
        }
        if (events[2].revents)
            follow_backing(size_events);
        for (std::size_t i = 0; i < also.size(); ++i)
            if (events[i + own].revents)
                complain(without_exceptions([&]() -> Result<void> {
                    also[i].handle();
                    return {};
                }));
        if (!events[0].revents)
            continue;
        consume_signal(signal_fd.get());
        if (const std::optional<Result<End>> end = end_when_told(insists))
            return *end;
        insists = true;
    }
    if (makes_room()) {
        leave();
        return End::left;
    }
    return stop_for_good();
}

Result<End> Server::Lifecycle::stop_for_good() {
    if (Result<void> stopped = stop(); !stopped)
        return stopped.error();
    return End::removed;
}

// A disk that is in use is not taken away from its users only because its server has to end.
std::optional<Result<End>> Server::Lifecycle::end_when_told(bool insists) {
    const bool can_wait = recovery_of(info().features) != Recovery::off;
    if (insists && !can_wait)
        return stop_for_good();
    if (insists) {
        leave_at_once();
        return End::left;
    }
    const Result<void> stopped = stop_if_unused();
    if (stopped || stopped.error().code == ENODEV)
        return stop_for_good();
    if (!can_wait) {
        complain(Error{EBUSY, "end the server",
                       "the disk is in use and cannot wait for another server; let go of it, or "
                       "send the signal again: then its users get I/O errors"});
        return std::nullopt;
    }
    const Result<void> quiesced = control_.quiesce(number(), timeout_);
    if (is_busy(quiesced)) {
        complain(Error{EBUSY, "end the server",
                       "it is too busy to hand the disk over; send the signal again to end it as "
                       "it is"});
        return std::nullopt;
    }
    if (quiesced)
        leave();
    else // the driver cannot send servers away
        leave_at_once();
    return End::left;
}

// Those who look at every disk that appears have it open for a moment only.
Result<void> Server::Lifecycle::stop_if_unused() {
    return retry_until(
        std::chrono::steady_clock::now() + std::min(timeout_, longest_look),
        [this]() -> Result<void> {
            Result<void> stopped = control_.stop_unless_open(number());
            if (stopped || stopped.error().code != EOPNOTSUPP)
                return stopped;
            // The driver does not know that. Mounts, swap and the like show at least.
            const Result<UniqueFd> claimed = driver_->claim_block_device(number());
            return claimed ? Result<void>{} : claimed.error();
        },
        is_busy);
}

// Queues end when their disk is removed, and when the server is sent away for another one to come.
// A disk that is just being removed still counts as live, but not to this command.
bool Server::Lifecycle::makes_room() {
    if (recovery_of(info().features) == Recovery::off)
        return false;
    const Result<DeviceInfo> found = control_.info(number());
    if (!found || found->state == DeviceState::dead)
        return false;
    const Result<void> quiesced = control_.quiesce(number(), Milliseconds{1});
    return quiesced || quiesced.error().code != ENODEV;
}

// The driver decides what becomes of requests that the target has not finished by then.
void Server::Lifecycle::leave() {
    owns_device_ = false;
    const Result<void> ended = wait_for_queues();
    complain(ended);
    if (ended) {
        stop_sharing();
        complain(device_->target->finish());
    }
    char_device_ = UniqueFd{};
}

// Its queues end with the process.
void Server::Lifecycle::leave_at_once() {
    owns_device_ = false;
    char_device_ = UniqueFd{};
}

void Server::Lifecycle::complain(const Result<void>& result) const {
    if (!result)
        std::fprintf(stderr, "ublk: %s: %s\n", path_.c_str(), result.error().message().c_str());
}

Result<void> Server::Lifecycle::wait_for_queues() {
    const Deadline limit = deadline();
    ask_queues_to_end();
    Result<void> outcome{};
    for (QueueThread& queue : queues_)
        if (!queue.wait_until_ended(limit))
            outcome = Error{ETIMEDOUT, "wait for the target to finish its requests",
                            "its backing does not answer; what it has not answered is lost"};
    return outcome;
}

void Server::Lifecycle::ask_queues_to_end() {
    for (QueueThread& queue : queues_)
        queue.ask_to_end();
}

// Goes on after a failure: each step brings the device closer to its end.
Result<void> Server::Lifecycle::stop() {
    if (!owns_device_)
        return {};
    owns_device_ = false;
    if (!char_device_)
        if (const Result<void> same = check_identity(); !same && same.error().code == ENODEV)
            return {};
    // The driver waits for what is under way, which may wait for somebody far away.
    ask_queues_to_end();
    Result<void> outcome = control_.stop(number());
    if (!outcome && outcome.error().code == ENODEV)
        outcome = {};
    Result<void> finished = wait_for_queues();
    if (finished) {
        stop_sharing();
        finished = device_->target->finish();
    }
    if (!finished) // what is lost is worse than a device that stays
        outcome = finished;
    Result<void> removed = remove();
    return outcome ? removed : outcome;
}

// Deletes while the char device is open, which pins the number: afterwards somebody else may have
// it.
Result<void> Server::Lifecycle::remove() {
    Result<void> removed = control_.remove_without_waiting(number());
    char_device_ = UniqueFd{};
    if (!removed && removed.error().code == EOPNOTSUPP)
        return control_.remove(number());
    if (!removed)
        return removed.error().code == ENODEV ? Result<void>{} : removed;
    return wait_until_gone();
}

// The kernel closes rings in the background, and each pins the number. So does whoever still has
// the block device open, for as long as they like: nothing of ours, so not worth more than a
// moment.
Result<void> Server::Lifecycle::wait_until_gone() {
    const Result<DeviceInfo> last = retry_until(
        std::chrono::steady_clock::now() + std::min(timeout_, longest_farewell),
        [this] { return control_.info(number()); },
        [this](const Result<DeviceInfo>& found) {
            const bool in_use_again = found && (found->mark != info().mark ||
                                                (found->server > 0 && found->server != ::getpid()));
            return found && !in_use_again;
        });
    return last || last.error().code == ENODEV ? Result<void>{} : last.error();
}

// Nothing is touched before all that can be checked is. Then the target comes first, for requests
// can come as soon as the driver knows the new size.
Result<Resized> Server::Lifecycle::resize(const SizeRequest& request) {
    if (Result<void> can = control_.require("resize", UBLK_F_UPDATE_SIZE); !can)
        return can.error();
    const Result<Geometry> now = control_.geometry(number());
    if (!now)
        return now.error();
    if (now->is_zoned()) // the kernel has counted the zones
        return Error{EOPNOTSUPP, "resize a zoned disk",
                     "it has one size for life; make another disk with the size wanted",
                     ErrorKind::backend};
    if (request.bytes)
        if (Result<void> fits = check_new_size(*now, *request.bytes, request); !fits)
            return fits.error();
    const Result<std::uint64_t> bytes = resize_target(request.bytes);
    if (!bytes)
        return bytes.error();
    if (Result<void> fits = check_new_size(*now, *bytes, request); !fits)
        return fits.error();
    const Resized outcome{.before = now->size_bytes, .after = *bytes};
    if (outcome.after == outcome.before)
        return outcome;
    device_->checked.allow_up_to(outcome.after);
    if (Result<void> set = control_.set_size(number(), outcome.after); !set)
        return set.error();
    return outcome;
}

// Nobody has asked for that size, so nothing goes out of reach by it: that is for a user to decide.
void Server::Lifecycle::follow_backing(int size_events) {
    eventfd_t changes = 0;
    static_cast<void>(::eventfd_read(size_events, &changes));
    complain(without_exceptions([this]() -> Result<void> {
        const Result<Resized> resized = resize({});
        if (!resized)
            return resized.error();
        if (resized->after != resized->before)
            std::fprintf(stderr, "ublk: %s: has %llu bytes now, as its backing has\n",
                         path_.c_str(), static_cast<unsigned long long>(resized->after));
        return {};
    }));
}

// What the target does when the time is over can only be to make its backing longer, which nobody
// sees.
Result<std::uint64_t> Server::Lifecycle::resize_target(std::optional<std::uint64_t> bytes) {
    const auto resize = [device = device_, bytes] { return device->target->resize(bytes); };
    return target_resize_.call(
        resize, timeout_,
        {.busy = {EBUSY, "resize " + path_,
                  "an earlier resize still waits for the backing; does its file system answer?"},
         .no_thread = no_thread_to("resize"),
         .late = {ETIMEDOUT, "make room in the backing of " + path_,
                  "its file system does not answer, is it frozen? the device keeps its size"}});
}

Result<Reply> Server::Lifecycle::command(const std::string& name,
                                         const std::vector<std::string>& words, Target* layer) {
    Target& asked = layer ? *layer : *device_->target;
    const std::string step = "command '" + name + "' for " + path_;
    const auto command = [device = device_, &asked, name, words] {
        return asked.command(name, words);
    };
    return target_command_.call(
        command, timeout_,
        {.busy = {EBUSY, step, "an earlier command has not ended yet"},
         .no_thread = no_thread_to("run a command for"),
         .late = {ETIMEDOUT, step, "the target does not answer; what came of it is unknown"}});
}

Error Server::Lifecycle::no_thread_to(const std::string& what) const {
    return Error{EAGAIN, "start a thread to " + what + " " + path_,
                 "raise the limit of threads: pids.max of the cgroup, ulimit -u"};
}

Metrics Server::Lifecycle::metrics() const {
    Metrics metrics;
    device_->target->measure(metrics);
    return metrics;
}

Statistics Server::Lifecycle::statistics() const {
    Statistics sum;
    for (const QueueThread& queue : queues_) {
        const Statistics one = queue.statistics();
        sum.requests += one.requests;
        sum.rejected += one.rejected;
        sum.contract_violations += one.contract_violations;
        sum.refused_answers += one.refused_answers;
        sum.frame_heap_allocations += one.frame_heap_allocations;
        sum.short_for_seconds = std::max(sum.short_for_seconds, one.short_for_seconds);
        for (std::size_t op = 0; op < sum.operations.size(); ++op) {
            sum.operations[op].requests += one.operations[op].requests;
            sum.operations[op].bytes += one.operations[op].bytes;
            sum.operations[op].errors += one.operations[op].errors;
        }
    }
    return sum;
}

} // namespace ublk
