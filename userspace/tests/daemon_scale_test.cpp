// SPDX-License-Identifier: GPL-2.0-or-later
// What a verb does for one disk does not grow with the number of the others: counted in system
// calls, with ten and with two hundred of them.
#include <cstdlib>

#include <gtest/gtest.h>

#include "daemon/claims.h"
#include "daemon/removal.h"
#include "support/fake_driver.h"
#include "support/system_calls.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;

constexpr int few = 10;
constexpr int many = 200;
constexpr std::int64_t tolerance = 6; // a directory is read in pieces
constexpr int own_number = 999;

std::vector<BackingUse> file(std::uint64_t inode) {
    return {{BackingUse::Access::writes, {{.device = 8, .number = inode, .length = 4096}}}};
}

ServerRecord record_of(int number) {
    ServerRecord record;
    record.number = number;
    record.target = "loop";
    record.server = {1 << 22, 1}; // no such process can be
    record.mark = static_cast<std::uint64_t>(number) + 1;
    record.backing.uses = file(static_cast<std::uint64_t>(number) + 100);
    return record;
}

class Scale : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    Paths paths_{.dev = root_.path("dev"),
                 .sys = root_.path("sys"),
                 .proc = "/proc",
                 .state = root_.path("state")};
    StateDirectory state_{paths_};
    int records_ = 0;

    void SetUp() override { ASSERT_TRUE(state_.create()); }

    void have_records(int count) {
        for (; records_ < count; ++records_)
            ASSERT_TRUE(state_.write(record_of(records_)));
    }

    void expect_no_growth(const std::function<void()>& work) {
        have_records(few);
        const std::int64_t before = test::count_system_calls(work);
        have_records(many);
        const std::int64_t after = test::count_system_calls(work);
        ASSERT_GT(before, 0);
        ASSERT_GT(after, 0);
        EXPECT_LE(std::abs(after - before), tolerance)
            << before << " with " << few << " disks, " << after << " with " << many;
    }

    static std::optional<DeviceInfo> exists(const ServerRecord& record) {
        DeviceInfo info;
        info.number = record.number;
        return info;
    }
};

TEST_F(Scale, LookForWhoHasABackingIsTheSame) {
    expect_no_growth([this] {
        if (!check_claims(paths_, file(7), no_device, exists))
            std::abort();
    });
}

TEST_F(Scale, ClaimOfABackingIsTheSame) {
    expect_no_growth([this] {
        if (!claim(paths_, record_of(own_number), exists))
            std::abort();
        state_.remove(own_number, record_of(own_number).server);
    });
}

TEST_F(Scale, DeletionIsTheSame) {
    root_.write("dev/null", "");
    root_.write("sys/block/ublkb0/dev", "259:0\n");
    const auto driver = std::make_shared<test::FakeDriver>();
    driver->available_features = UBLK_F_SAFE_STOP_DEV;
    Control control = *driver->open_control(20ms);
    ASSERT_TRUE(control.add({.number = 0, .mark = record_of(0).mark}));
    expect_no_growth([&] {
        if (!remove_device(paths_, control, 0, Force::no) || !state_.write(record_of(0)))
            std::abort();
    });
}

} // namespace
} // namespace ublk::daemon
