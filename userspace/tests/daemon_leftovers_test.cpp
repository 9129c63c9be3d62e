// SPDX-License-Identifier: GPL-2.0-or-later
#include "daemon/leftovers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "daemon/process.h"
#include "daemon/state.h"
#include "support/fake_driver.h"
#include "support/temporary_directory.h"

namespace ublk::daemon {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr pid_t nobody = 1 << 29; // above every pid_max

// A driver that may have device 0, and a machine made of files around it.
class Leftovers : public testing::Test {
protected:
    test::TemporaryDirectory root_;
    Paths paths_{.dev = root_.path("dev"),
                 .sys = root_.path("sys"),
                 .proc = "/proc",
                 .state = root_.path("state")};
    std::shared_ptr<test::FakeDriver> driver_ = std::make_shared<test::FakeDriver>();
    Control control_ = *driver_->open_control(20ms);
    StateDirectory state_{paths_};

    void SetUp() override {
        root_.write("dev/null", "");
        ASSERT_TRUE(state_.create());
    }
    std::vector<Leftover> find() {
        auto found = find_leftovers(paths_, control_);
        EXPECT_TRUE(found);
        return found ? *found : std::vector<Leftover>{};
    }
    void record(int number, const ProcessIdentity& server) const {
        ASSERT_TRUE(state_.write({number, "null", {}, server, 0}));
    }
    bool recorded(int number) const {
        const auto read = state_.read(number);
        return read && *read;
    }
};

TEST_F(Leftovers, DeviceThatNeverGotAServerIsOne) {
    EXPECT_THAT(find(), IsEmpty());
    ASSERT_TRUE(control_.add({.number = 0}));
    const auto found = find();
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_EQ(found[0].kind, Leftover::Kind::device);
    EXPECT_THAT(found[0].what, HasSubstr("no server"));
    EXPECT_TRUE(remove_leftover(paths_, control_, found[0]));
    EXPECT_FALSE(driver_->device_exists());
    EXPECT_TRUE(remove_leftover(paths_, control_, found[0])) << "it has gone already";
}

TEST_F(Leftovers, DeviceThatIsAboutToGetOneIsNone) {
    ASSERT_TRUE(control_.add({.number = 0}));
    root_.write("dev/ublkc0", ""); // made just now
    EXPECT_THAT(find(), IsEmpty());
    EXPECT_TRUE(remove_leftover(paths_, control_, {Leftover::Kind::device, 0, ""}));
    EXPECT_TRUE(driver_->device_exists());
}

// The driver does not know any more who that was.
TEST_F(Leftovers, DeviceWhoseRecordedServerHasDiedIsOneAtOnce) {
    ASSERT_TRUE(control_.add({.number = 0}));
    root_.write("dev/ublkc0", "");
    record(0, identify_process(paths_, ::getpid()));
    EXPECT_THAT(find(), IsEmpty()) << "its server lives, and is about to serve";
    record(0, {nobody, 1});
    const auto found = find();
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found[0].what, HasSubstr("has died"));
}

TEST_F(Leftovers, RecordOfADeviceThatHasGoneIsOne) {
    record(7, {nobody, 1});
    record(8, identify_process(paths_, ::getpid()));
    const auto found = find();
    ASSERT_THAT(found, SizeIs(1)) << "8 is about to be made by a process that lives";
    EXPECT_EQ(found[0].kind, Leftover::Kind::record);
    EXPECT_EQ(found[0].number, 7);
    EXPECT_TRUE(remove_leftover(paths_, control_, found[0]));
    EXPECT_FALSE(recorded(7));
    EXPECT_TRUE(recorded(8));
}

TEST_F(Leftovers, RecordThatSomebodyElseHasReplacedStays) {
    record(7, {nobody, 1});
    const auto found = find();
    ASSERT_THAT(found, SizeIs(1));
    record(7, identify_process(paths_, ::getpid()));
    EXPECT_TRUE(remove_leftover(paths_, control_, found[0]));
    EXPECT_TRUE(recorded(7));
}

} // namespace
} // namespace ublk::daemon
