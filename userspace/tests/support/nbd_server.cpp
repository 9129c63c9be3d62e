// SPDX-License-Identifier: GPL-2.0-or-later
// Starts and ends server processes, and moves bytes between sockets.
#include "support/nbd_server.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>

#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <ublk/retry.h>
#include <unistd.h>

namespace ublk::test {

namespace {

pid_t spawn(const std::vector<std::string>& words) {
    std::vector<char*> arguments;
    for (const std::string& word : words)
        arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    // Threads of servers that were started before have their signals blocked.
    sigset_t none;
    ::sigemptyset(&none);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t process = -1;
    EXPECT_EQ(::posix_spawnp(&process, arguments.front(), nullptr, &attributes, arguments.data(),
                             environ),
              0)
        << words.front();
    ::posix_spawnattr_destroy(&attributes);
    return process;
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    EXPECT_LT(path.size(), sizeof address.sun_path);
    std::copy(path.begin(), path.end(), std::begin(address.sun_path));
    return address;
}

UniqueFd connect_to(const std::string& path) {
    UniqueFd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const sockaddr_un address = address_of(path);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        return UniqueFd{};
    return socket;
}

} // namespace

int run_program(const std::vector<std::string>& words) {
    int status = -1;
    const pid_t process = spawn(words);
    if (process < 0 || ::waitpid(process, &status, 0) != process || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

NbdServer::NbdServer(std::string socket, std::vector<std::string> words)
    : socket_(std::move(socket)), words_(std::move(words)) {
    start();
}

NbdServer::NbdServer(Tcp tcp, std::string place, std::vector<std::string> words)
    : socket_(std::move(place)), words_(std::move(words)), port_(std::move(tcp.port)) {
    start();
}

void NbdServer::start_as(std::vector<std::string> words) {
    words_ = std::move(words);
    start();
}

void NbdServer::start() {
    const std::string ready = socket_ + ".pid";
    std::filesystem::remove(ready);
    std::filesystem::remove(socket_);
    std::vector<std::string> words{words_.front()};
    if (!port_.empty())
        words.insert(words.end(), {"--foreground", "--exit-with-parent", "--ipaddr", "127.0.0.1",
                                   "--port", port_, "--pidfile", ready});
    else if (words_.front() == "nbdkit")
        words.insert(words.end(),
                     {"--foreground", "--exit-with-parent", "--unix", socket_, "--pidfile", ready});
    else
        words.insert(words.end(), {"--persistent", "--socket", socket_, "--pid-file", ready});
    words.insert(words.end(), words_.begin() + 1, words_.end());
    process_ = spawn(words);
    const bool listens = retry_until(
        std::chrono::steady_clock::now() + std::chrono::seconds{60},
        [&] {
            return std::filesystem::exists(ready) || ::waitpid(process_, nullptr, WNOHANG) != 0;
        },
        [](bool found) { return !found; });
    EXPECT_TRUE(listens && std::filesystem::exists(ready)) << words.front() << " does not listen";
}

void NbdServer::kill() { end(SIGKILL); }
void NbdServer::terminate() { end(SIGTERM); }

void NbdServer::end(int signal) {
    if (process_ < 0)
        return;
    ::kill(process_, signal);
    EXPECT_EQ(::waitpid(process_, nullptr, 0), process_);
    process_ = -1;
}

NbdProxy::NbdProxy(std::string socket, std::string server)
    : socket_(std::move(socket)), server_(std::move(server)),
      listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)),
      stop_(::eventfd(0, EFD_CLOEXEC)) {
    const sockaddr_un address = address_of(socket_);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    thread_ = std::thread{[this] { run(); }};
}

NbdProxy::~NbdProxy() {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
}

void NbdProxy::run() {
    for (;;) {
        std::vector<pollfd> files{{stop_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
        for (const Pair& pair : pairs_) {
            files.push_back({pair.client.get(), POLLIN, 0});
            files.push_back({pair.server.get(), POLLIN, 0});
        }
        if (::poll(files.data(), files.size(), -1) < 0)
            continue;
        if (files[0].revents)
            return;
        std::vector<Pair> kept;
        for (std::size_t i = 0; i < pairs_.size(); ++i) {
            bool lives = true;
            if (files[2 + 2 * i].revents)
                lives = pass(pairs_[i], true);
            if (lives && files[3 + 2 * i].revents)
                lives = pass(pairs_[i], false);
            if (lives)
                kept.push_back(std::move(pairs_[i]));
        }
        pairs_ = std::move(kept);
        if (files[1].revents)
            accept_one();
    }
}

void NbdProxy::accept_one() {
    UniqueFd client{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    if (!client)
        return;
    ++connections_;
    UniqueFd server = connect_to(server_);
    if (server)
        pairs_.push_back({std::move(client), std::move(server), false});
}

// False: the connection is over.
bool NbdProxy::pass(Pair& pair, bool from_client) {
    std::array<std::byte, 65536> data{};
    const int from = from_client ? pair.client.get() : pair.server.get();
    const int to = from_client ? pair.server.get() : pair.client.get();
    const ssize_t count = ::read(from, data.data(), data.size());
    if (count <= 0)
        return false;
    if (mode_ == Mode::swallow)
        return true;
    constexpr std::array<std::byte, 4> request{std::byte{0x25}, std::byte{0x60}, std::byte{0x95},
                                               std::byte{0x13}};
    if (from_client && count >= 4 && std::equal(request.begin(), request.end(), data.begin()))
        pair.connected = true;
    const bool cuts =
        !from_client && (mode_ == Mode::cut || (mode_ == Mode::cut_replies && pair.connected));
    std::span<const std::byte> rest{data.data(),
                                    static_cast<std::size_t>(cuts ? count / 2 : count)};
    while (!rest.empty()) {
        const ssize_t sent = ::send(to, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent < 0)
            return false;
        rest = rest.subspan(static_cast<std::size_t>(sent));
    }
    return !cuts;
}

} // namespace ublk::test
