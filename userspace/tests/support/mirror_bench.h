// SPDX-License-Identifier: GPL-2.0-or-later
// MirrorBench serves a mirror of two files, with filters under each leg, and plays the user who
// fails and rejoins them.
#ifndef UBLK_TESTS_MIRROR_BENCH_H
#define UBLK_TESTS_MIRROR_BENCH_H

#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "support/target_bench.h"
#include "support/temporary_directory.h"
#include "targets/mirror_format.h"
#include "targets/stack.h"

namespace ublk::test {

using Bytes = std::vector<std::byte>;

inline constexpr std::uint64_t mirror_data = targets::mirror_format::data_offset;

Bytes content_of(const std::string& path);
// Behind what the mirror has for itself.
Bytes data_of(const std::string& path);

// "loop file=PATH direct=no", with what is behind it.
std::string leg_on(const std::string& path, const std::string& filters = "");

Result<std::unique_ptr<Target>> make_mirror(const std::vector<std::string>& children,
                                            const std::vector<std::string>& options,
                                            const GeometryRequest& request = {});

// Whether a mirror of these begins; or why not.
Result<void> try_mirror(const std::vector<std::string>& children,
                        const std::vector<std::string>& options = {},
                        const GeometryRequest& request = {});

// Options that let nothing wait.
std::vector<std::string> hasty(std::vector<std::string> more = {});

class MirrorBench {
public:
    explicit MirrorBench(const std::vector<std::string>& children,
                         const std::vector<std::string>& options = hasty(),
                         const GeometryRequest& request = {}, unsigned depth = 4);

    TargetBench* operator->() { return &*bench_; }
    TargetBench& bench() { return *bench_; }
    Target& target() { return *target_; }

    // By a thread of its own, as in life, while the queue is turned.
    Result<Reply> command(const std::string& name, const std::vector<std::string>& words = {});
    // "in sync", "catching up", "out" or "missing"
    std::string standing(unsigned leg);
    std::uint64_t metric(const std::string& layer, const std::string& name) const;
    // Turns the queue until it is so, for a minute at most.
    template <class Condition> bool turn_until(Condition condition) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes{1};
        while (!condition()) {
            if (std::chrono::steady_clock::now() > deadline)
                return false;
            bench_->queue().step(0);
        }
        return true;
    }
    bool wait_until_in_sync() {
        return turn_until([&] { return metric("mirror", "legs_syncing") == 0; });
    }
    bool wait_until_clean() {
        return turn_until([&] { return metric("mirror", "dirty_bytes") == 0; });
    }

private:
    std::unique_ptr<Target> target_;
    std::optional<TargetBench> bench_;
};

} // namespace ublk::test

#endif
