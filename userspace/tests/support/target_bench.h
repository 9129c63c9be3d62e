// SPDX-License-Identifier: GPL-2.0-or-later
// TargetBench serves a target through the real queue on the test's own thread, and is its disk's
// only user. No driver and no io_uring are needed.
#ifndef UBLK_TESTS_TARGET_BENCH_H
#define UBLK_TESTS_TARGET_BENCH_H

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <linux/blkzoned.h>

#include <ublk/target.h>

#include "queue.h"
#include "support/fake_driver.h"
#include "workers.h"

namespace ublk::test {

// A target of ours from the words of a command line.
Result<std::unique_ptr<Target>> create_target(std::string_view name,
                                              const std::vector<std::string>& words,
                                              const GeometryRequest& request = {});

// Bytes that differ from those of another seed everywhere.
std::vector<std::byte> pattern(std::size_t length, unsigned seed);

// Those that the target does its I/O on.
std::vector<int> descriptors_of(Target& target);

class TargetBench {
public:
    explicit TargetBench(Target& target, unsigned depth = 4, CopyMode copy = CopyMode::driver,
                         const SharedPlace* shared = nullptr);
    // Checks that every request was answered.
    ~TargetBench();

    // Each is one request, submitted and waited for: its result is what the target completed it
    // with, after the library's checks.
    int read(std::uint64_t offset, std::span<std::byte> data);
    int write(std::uint64_t offset, std::span<const std::byte> data, std::uint32_t flags = 0);
    int flush();
    int discard(std::uint64_t offset, std::uint64_t length);
    int write_zeroes(std::uint64_t offset, std::uint64_t length, std::uint32_t flags = 0);
    // On the zone that begins there.
    int zone(unsigned op, std::uint64_t offset);
    int append(std::uint64_t zone, std::span<const std::byte> data, std::uint32_t flags = 0);
    std::uint64_t appended_at(unsigned tag = 0);
    // A report that fails is empty.
    std::vector<blk_zone> report(std::uint64_t offset, unsigned zones);
    int request(const BlockRequest& request);

    // Several requests at a time: submit with a free tag each, then step until they have results.
    void submit(unsigned tag, const BlockRequest& request) { driver_->issue(0, tag, request); }
    void finish_all();
    std::optional<int> result(unsigned tag) { return driver_->result(0, tag); }

    // As if the disk had grown.
    void allow_up_to(std::uint64_t size) { checked_.allow_up_to(size); }
    FakeDriver& driver() { return *driver_; }
    Queue& queue() { return *queue_; }

private:
    std::shared_ptr<FakeDriver> driver_;
    CheckedTarget checked_;
    Workers workers_;
    unsigned depth_;
    SharedPlace nothing_shared_{nullptr};
    std::unique_ptr<Queue> queue_;
};

} // namespace ublk::test

#endif
