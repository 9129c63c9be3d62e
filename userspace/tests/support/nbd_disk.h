// SPDX-License-Identifier: GPL-2.0-or-later
// A disk of the nbd target with real threads and a driver made of memory, used by a test.
#ifndef UBLK_TESTS_NBD_DISK_H
#define UBLK_TESTS_NBD_DISK_H

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <ublk/server.h>

#include "server_with_driver.h"
#include "support/fake_driver.h"
#include "support/target_bench.h"

namespace ublk::test {

class NbdDisk {
public:
    explicit NbdDisk(const std::vector<std::string>& words, unsigned queues = 1) {
        driver_->available_features |= UBLK_F_UPDATE_SIZE;
        auto target = create_target("nbd", words);
        EXPECT_TRUE(target) << target.error().message();
        target_ = target->get();
        auto server =
            start_with_driver(driver_, *std::move(target), {.queues = queues, .depth = depth});
        EXPECT_TRUE(server) << server.error().message();
        server_ = std::make_unique<Server>(*std::move(server));
    }

    // Each is one request. submit_...() does not wait.
    void submit_write(unsigned queue, unsigned tag, std::uint64_t offset,
                      std::span<const std::byte> data, std::uint32_t flags = 0) {
        driver_->pages(queue, tag).assign(data.begin(), data.end());
        submit(queue, tag, UBLK_IO_OP_WRITE, offset, data.size(), flags);
    }
    void submit(unsigned queue, unsigned tag, unsigned op, std::uint64_t offset,
                std::uint64_t length, std::uint32_t flags = 0) {
        driver_->issue(queue, tag,
                       {.op = op,
                        .sector = offset / sector_size,
                        .sectors = static_cast<std::uint32_t>(length / sector_size),
                        .flags = flags});
    }
    int wait(unsigned queue = 0, unsigned tag = 0) { return driver_->wait_for_result(queue, tag); }
    int write(std::uint64_t offset, std::span<const std::byte> data, std::uint32_t flags = 0) {
        submit_write(0, 0, offset, data, flags);
        return wait();
    }
    int request(unsigned op, std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0) {
        submit(0, 0, op, offset, length, flags);
        return wait();
    }
    // Empty if it fails.
    std::vector<std::byte> read(std::uint64_t offset, std::size_t length, unsigned queue = 0,
                                unsigned tag = 0) {
        submit(queue, tag, UBLK_IO_OP_READ, offset, length);
        if (wait(queue, tag) != static_cast<int>(length))
            return {};
        return driver_->pages(queue, tag);
    }

    std::uint64_t measured(std::string_view name) const {
        Metrics metrics;
        target_->measure(metrics);
        for (const Metrics::Entry& entry : metrics.entries())
            if (entry.name == name)
                return entry.value;
        ADD_FAILURE() << "nothing counts " << name;
        return 0;
    }
    Server& server() { return *server_; }
    FakeDriver& driver() { return *driver_; }

    static constexpr unsigned depth = 4;

private:
    std::shared_ptr<FakeDriver> driver_ = std::make_shared<FakeDriver>();
    Target* target_ = nullptr;
    std::unique_ptr<Server> server_{};
};

} // namespace ublk::test

#endif
