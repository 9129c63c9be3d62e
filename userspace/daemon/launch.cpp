// SPDX-License-Identifier: GPL-2.0-or-later
// Forks the server and speaks with it over a socket pair, one JSON document per packet.
#include "launch.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <new>
#include <optional>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "packet.h"
#include "stuck.h"

namespace ublk::daemon {

using nlohmann::json;

namespace {

constexpr std::string_view acceptance = "accepted";
constexpr std::string_view question = "still there?";
constexpr std::string_view presence = "here";

std::string encode(const Error& error) { return encode_packet({{"error", pack_error(error)}}); }

std::string encode(const Ready& ready) {
    json document{{"number", ready.number},
                  {"target", ready.target},
                  {"size", ready.size_bytes},
                  {"server", ready.server}};
    return encode_packet({{"ready", document}});
}

Result<Ready> decode(const std::string& text) {
    try {
        auto document = decode_packet(text);
        if (document.contains("ready")) {
            const auto& ready = document["ready"];
            return Ready{ready.at("number"), ready.at("target"), ready.at("size"),
                         ready.at("server")};
        }
        return unpack_error(document.at("error"));
    } catch (const json::exception&) {
        return Error{EBADMSG, "report of the server"};
    }
}

// Above what the kernel needs for a process that nothing keeps. One that waits for a file system
// that does not answer dies when it does; nobody waits for that, and init reaps it.
constexpr std::chrono::seconds kill_limit{5};

// Its end within the deadline, or else by force; nothing if it does not even die of that.
std::optional<int> reap(pid_t child, Deadline deadline) {
    const ProcessHandle process(child);
    if (!process.wait_until_gone(deadline)) {
        process.send(SIGKILL);
        if (!process.wait_until_gone(Clock::now() + kill_limit))
            return std::nullopt;
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

std::string describe_end(const std::optional<int>& end) {
    if (!end)
        return "it does not end";
    const int status = *end;
    if (WIFSIGNALED(status))
        return fmt::format("it was killed by signal {}", WTERMSIG(status));
    return fmt::format("it exited with code {}", WEXITSTATUS(status));
}

// Leaves the session and all descriptors of the caller: a pipe that the server kept open would make
// its reader wait for ever. Standard error stays until the server has a log to write to.
UniqueFd detach_from_caller(UniqueFd socket) {
    ::setsid();
    UniqueFd null{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    ::dup2(null.get(), STDIN_FILENO);
    ::dup2(null.get(), STDOUT_FILENO);

    constexpr int first_free = STDERR_FILENO + 1;
    if (socket.get() != first_free) {
        ::dup3(socket.get(), first_free, O_CLOEXEC);
        // Closed below, with everything else.
        static_cast<void>(socket.release());
    }
    static_cast<void>(null.release());
    ::close_range(first_free + 1, ~0U, 0);
    static_cast<void>(socket.release());
    return UniqueFd{first_free};
}

// The parent's code, buffers and exit handlers are not the child's to run, whatever happens.
[[noreturn]] void serve_and_exit(const std::function<void(const Launcher&)>& serve,
                                 UniqueFd socket) noexcept {
    // Who has called us has the last word.
    std::set_terminate([] { ::_exit(EXIT_FAILURE); });
    const Launcher launcher{detach_from_caller(std::move(socket))};
    const auto served = without_exceptions([&]() -> Result<void> {
        serve(launcher);
        return {};
    });
    if (!served)
        launcher.report_error(served.error());
    ::_exit(0);
}

} // namespace

Error died_too_soon(pid_t server) {
    return Error{EPIPE, fmt::format("server {} died just after its device was ready", server),
                 "see the kernel log: dmesg", ErrorKind::backend};
}

void Launcher::report_error(const Error& error) const noexcept {
    static constexpr std::string_view no_memory =
        R"({"error":{"code":12,"hint":"","kind":0,"step":"get memory"}})";
    if (error.code == ENOMEM && error.kind == ErrorKind::system) {
        send_packet(socket_, no_memory);
        return;
    }
    try {
        send_packet(socket_, encode(error));
    } catch (const std::bad_alloc&) {
        send_packet(socket_, no_memory);
    }
}

Result<void> Launcher::report_ready(const Ready& ready, Deadline deadline) const {
    auto next = encode(ready);
    for (;;) {
        if (!send_packet(socket_, next))
            return Error{errno, "report to the parent process"};
        auto answer = receive_packet(socket_, deadline);
        if (!answer)
            return answer.error();
        if (*answer != question)
            return {};
        next = presence;
    }
}

Launched::~Launched() {
    if (!socket_)
        return;
    socket_ = UniqueFd{}; // what the server waits for ends: it stops its device and exits
    reap(child_, deadline_);
}

Result<void> Launched::confirm() {
    if (send_packet(socket_, question) && receive_packet(socket_, deadline_))
        return {};
    return died_too_soon(child_);
}

void Launched::accept() {
    UniqueFd socket = std::move(socket_);
    send_packet(socket, acceptance);
}

Result<Launched> launch(const std::function<void(const Launcher&)>& serve, Deadline deadline,
                        Late late) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
        return Error{errno, "socketpair"};
    UniqueFd parent_end{ends[0]};
    UniqueFd child_end{ends[1]};

    const pid_t child = ::fork();
    if (child < 0)
        return Error{errno, "start a server process",
                     errno == EAGAIN
                         ? "raise the limit of processes: pids.max of the cgroup, ulimit -u"
                         : ""};
    if (child == 0) {
        parent_end = UniqueFd{};
        serve_and_exit(serve, std::move(child_end));
    }
    child_end = UniqueFd{};

    auto packet = receive_packet(parent_end, deadline);
    auto ready = packet ? decode(*packet) : Result<Ready>{packet.error()};
    if (ready)
        return Launched{std::move(parent_end), child, *ready, deadline};

    parent_end = UniqueFd{};
    // Looked at while it still waits.
    const Error late_error = with_what_keeps(
        Error{ETIMEDOUT, "the server did not get ready", "see the kernel log: dmesg"}, Paths{},
        child);
    if (!packet && packet.error().code == ETIMEDOUT)
        ::kill(child, late == Late::killed ? SIGKILL : SIGTERM);
    const auto status = reap(child, Clock::now() + std::chrono::seconds(10));
    if (packet)
        return ready.error();
    if (packet.error().code == ETIMEDOUT)
        return late_error;
    return Error{EPIPE, "the server died before its device was ready",
                 describe_end(status) + "; see the kernel log: dmesg", ErrorKind::backend};
}

} // namespace ublk::daemon
