// SPDX-License-Identifier: MIT
// A filter in front of a disk in memory: what is read and written is not what is stored.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include <ublk/filter.h>
#include <ublk/server.h>

class Memory final : public ublk::Target {
public:
    ublk::Geometry geometry() const override { return {.size_bytes = bytes_.size()}; }
    ublk::Async<ublk::Answer> serve(ublk::Ring, ublk::Request request) override {
        const auto place = bytes_.begin() + static_cast<std::ptrdiff_t>(request.offset);
        if (request.op == ublk::Op::read)
            std::copy_n(place, request.length, request.data.memory().begin());
        else
            std::copy_n(request.data.memory().begin(), request.length, place);
        return request.done();
    }

private:
    std::vector<std::byte> bytes_ = std::vector<std::byte>(64 << 20);
};

class Mask final : public ublk::Filter {
public:
    using Filter::Filter;
    ublk::DataAccess data_access() const override { return ublk::DataAccess::memory; }
    ublk::Async<ublk::Answer> serve(ublk::Ring ring, ublk::Request request) override {
        const auto change = [](std::byte byte) { return byte ^ std::byte{0x5a}; };
        const auto data = request.data.memory();
        if (ublk::is_write(request.op))
            std::transform(data.begin(), data.end(), data.begin(), change);
        const ublk::Answer answer = co_await next().serve(ring, request);
        if (request.op == ublk::Op::read && !answer.is_error())
            std::transform(data.begin(), data.end(), data.begin(), change);
        co_return answer;
    }
};

int main() {
    auto server = ublk::Server::start(std::make_unique<Mask>(std::make_unique<Memory>()));
    if (!server)
        return std::fprintf(stderr, "hello_filter: %s\n", server.error().message().c_str()), 1;
    std::puts(server->path().c_str());
    std::fflush(stdout);
    return server->run() ? 0 : 1;
}
