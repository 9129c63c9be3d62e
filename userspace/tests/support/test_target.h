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

// Serve is called as Async<Answer>(Ring, Request) and must not be a capturing lambda: pass a
// function object that lives as long as the target.
template <class Serve> class TestTarget final : public Target {
public:
    explicit TestTarget(Serve serve, Geometry geometry = everything_allowed(),
                        std::vector<int> descriptors = {})
        : serve_(std::move(serve)), geometry_(geometry), descriptors_(std::move(descriptors)) {}

    Geometry geometry() const override { return geometry_; }
    Async<Answer> serve(Ring ring, Request request) override { return serve_(ring, request); }
    void register_files(FileTable& table) override {
        for (int descriptor : descriptors_)
            files_.push_back(table.add(descriptor));
    }
    // As registered.
    File file(std::size_t index) const { return files_.at(index); }

private:
    Serve serve_;
    Geometry geometry_;
    std::vector<int> descriptors_;
    std::vector<File> files_{};
};

inline Async<Answer> succeed(Ring, Request request) { co_return request.done(); }

} // namespace ublk::test

#endif
