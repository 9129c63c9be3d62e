// SPDX-License-Identifier: GPL-2.0-or-later
// TestTarget serves requests with whatever coroutine a test gives it.
#ifndef UBLK_TESTS_TEST_TARGET_H
#define UBLK_TESTS_TEST_TARGET_H

#include <utility>
#include <vector>

#include <ublk/target.h>

namespace ublk::test {

inline Geometry everything_allowed() {
    return {.size_bytes = 1U << 20,
            .volatile_cache = true,
            .fua = true,
            .discard = {.max_bytes = 1U << 20},
            .max_write_zeroes_bytes = 1U << 20};
}

// Of 16 zones, which is what 1 MiB makes of 64 KiB.
inline Geometry zoned() {
    Geometry geometry = everything_allowed();
    geometry.zones = {
        .size_bytes = 64U << 10, .max_append_bytes = 16U << 10, .max_open = 2, .max_active = 4};
    return geometry;
}

// Serve is called as Task(Io) and must not be a capturing lambda: pass a function object that lives
// as long as the target.
template <class Serve> class TestTarget final : public Target {
public:
    explicit TestTarget(Serve serve, Geometry geometry = everything_allowed(),
                        std::vector<int> files = {})
        : serve_(std::move(serve)), geometry_(geometry), files_(std::move(files)) {}

    Geometry geometry() const override { return geometry_; }
    Task serve(Io io) override { return serve_(std::move(io)); }
    std::span<const int> files() const override { return files_; }

private:
    Serve serve_;
    Geometry geometry_;
    std::vector<int> files_;
};

inline Task succeed(Io io) {
    io.succeed();
    co_return;
}

} // namespace ublk::test

#endif
