// SPDX-License-Identifier: MIT
// A block device of 64 MiB that lives in the memory of this program.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include <ublk/server.h>

class Memory final : public ublk::Target {
public:
    ublk::Geometry geometry() const override { return {.size_bytes = bytes_.size()}; }

    ublk::Async<ublk::Answer> serve(ublk::Ring, ublk::Request request) override {
        const auto place = bytes_.begin() + static_cast<std::ptrdiff_t>(request.offset);
        switch (request.op) {
        case ublk::Op::read:
            std::copy_n(place, request.length, request.data.memory().begin());
            return request.done();
        case ublk::Op::write:
            std::copy_n(request.data.memory().begin(), request.length, place);
            return request.done();
        default:
            return -EOPNOTSUPP;
        }
    }

private:
    std::vector<std::byte> bytes_ = std::vector<std::byte>(64 << 20);
};

int main() {
    auto server = ublk::Server::start(std::make_unique<Memory>());
    if (!server) {
        std::fprintf(stderr, "hello_target: %s\n", server.error().message().c_str());
        return 1;
    }
    std::printf("%s\n", server->path().c_str());
    std::fflush(stdout);
    return server->run() ? 0 : 1;
}
