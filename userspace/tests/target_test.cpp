// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/target.h>

#include <gtest/gtest.h>

#include "support/target_bench.h"
#include "support/test_target.h"

namespace ublk {
namespace {

using test::TargetBench;
using test::TestTarget;

// A filter hands the request on; the inner target completes it.
class Doubled final : public Target {
public:
    explicit Doubled(Target& inner) : inner_(inner) {}
    Geometry geometry() const override { return inner_.geometry(); }
    Task serve(Io io) override { return inner_.serve(std::move(io)); }

private:
    Target& inner_;
};

class Waiting final : public Target {
public:
    explicit Waiting(Target& inner) : inner_(inner) {}
    Geometry geometry() const override { return inner_.geometry(); }
    Task serve(Io io) override {
        co_await io.ring().yield();
        co_await inner_.serve(std::move(io));
    }

private:
    Target& inner_;
};

TEST(Target, MayWrapAnother) {
    TestTarget inner{test::succeed};
    Doubled filter{inner};
    TargetBench bench{filter};
    EXPECT_EQ(bench.flush(), 0);
}

TEST(Target, MayWrapAnotherAndWaitBefore) {
    TestTarget inner{test::succeed};
    Doubled middle{inner};
    Waiting filter{middle};
    TargetBench bench{filter};
    EXPECT_EQ(bench.discard(0, 4096), 0);
}

TEST(Target, HasNoFilesUnlessItSaysSo) {
    TestTarget inner{test::succeed};
    EXPECT_TRUE(Doubled{inner}.files().empty());
}

} // namespace
} // namespace ublk
