// SPDX-License-Identifier: GPL-2.0-or-later
// NBD servers of others, nbdkit and qemu-nbd, as processes of a test, and a proxy that can do what
// a bad network does.
#ifndef UBLK_TESTS_NBD_SERVER_H
#define UBLK_TESTS_NBD_SERVER_H

#include <atomic>
#include <cstddef>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <sys/types.h>
#include <ublk/unique_fd.h>

namespace ublk::test {

// Runs a program to its end; its exit status, or -1.
int run_program(const std::vector<std::string>& words);

// A server in the foreground. It ends with the object, or with the test.
class NbdServer {
public:
    // `words` without the options that say where it listens and that it does so in the foreground.
    // Listens when this returns.
    NbdServer(std::string socket, std::vector<std::string> words);
    // nbdkit on a port of 127.0.0.1; `place` is where it may leave files.
    struct Tcp {
        std::string port;
    };
    NbdServer(Tcp tcp, std::string place, std::vector<std::string> words);
    NbdServer(const NbdServer&) = delete;
    NbdServer& operator=(const NbdServer&) = delete;
    ~NbdServer() { kill(); }

    std::string uri(const std::string& scheme = "nbd+unix", const std::string& user = "") const {
        return scheme + "://" + (user.empty() ? "" : user + "@") + "/?socket=" + socket_;
    }
    // With SIGKILL, and waits until it is gone.
    void kill();
    // With SIGTERM, and waits.
    void terminate();
    // Again, with these words or those from before.
    void start();
    void start_as(std::vector<std::string> words);

private:
    void end(int signal);

    std::string socket_; // or where it would be
    std::vector<std::string> words_;
    std::string port_{}; // empty: a Unix socket
    pid_t process_ = -1;
};

// Listens on a Unix socket and passes all on to another one, until it is told to be bad.
class NbdProxy {
public:
    enum class Mode {
        pass,
        swallow,     // takes all and passes nothing on, in either direction
        cut,         // closes a connection in the middle of what the server says next
        cut_replies, // the same, but lets it be connected
    };

    NbdProxy(std::string socket, std::string server);
    NbdProxy(const NbdProxy&) = delete;
    NbdProxy& operator=(const NbdProxy&) = delete;
    ~NbdProxy();

    void set(Mode mode) { mode_ = mode; }
    std::string uri() const { return "nbd+unix:///?socket=" + socket_; }
    unsigned connections() const { return connections_; }

private:
    struct Pair {
        UniqueFd client;
        UniqueFd server;
        bool connected = false; // the client has sent a request
    };
    void run();
    void accept_one();
    bool pass(Pair& pair, bool from_client);

    std::string socket_;
    std::string server_;
    UniqueFd listener_;
    UniqueFd stop_; // eventfd
    std::atomic<Mode> mode_{Mode::pass};
    std::atomic<unsigned> connections_{0};
    std::vector<Pair> pairs_{};
    std::thread thread_{};
};

} // namespace ublk::test

#endif
