// SPDX-License-Identifier: GPL-2.0-or-later
#include <ublk/control.h>

#include <gtest/gtest.h>

#include "support/fake_driver.h"

namespace ublk {
namespace {

using test::FakeDriver;
using namespace std::chrono_literals;

class ControlTest : public testing::Test {
protected:
    std::shared_ptr<FakeDriver> driver = std::make_shared<FakeDriver>();
    Control control = *driver->open_control(20ms);
};

TEST_F(ControlTest, AddGrantsANumberAndInfoFindsIt) {
    Result<DeviceInfo> added = control.add({.queues = 2, .depth = 16, .max_io_bytes = 65536});
    ASSERT_TRUE(added);
    Result<DeviceInfo> info = control.info(added->number);
    ASSERT_TRUE(info);
    EXPECT_EQ(info->queues, 2U);
    EXPECT_EQ(info->depth, 16U);
    EXPECT_EQ(info->max_io_bytes, 65536U);
    EXPECT_EQ(info->state, DeviceState::dead);
    EXPECT_EQ(info->server, -1);
}

TEST_F(ControlTest, ErrorNamesTheDevice) {
    const Result<DeviceInfo> info = control.info(7);
    ASSERT_FALSE(info);
    EXPECT_EQ(info.error().code, ENODEV);
    EXPECT_NE(info.error().message().find('7'), std::string::npos);
}

TEST_F(ControlTest, NumberInUseSaysWhatToDo) {
    ASSERT_TRUE(control.add({.number = 3}));
    const Result<DeviceInfo> again = control.add({.number = 3});
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, EEXIST);
    EXPECT_FALSE(again.error().hint.empty());
}

TEST_F(ControlTest, ListIsEmptyWithoutDevices) {
    EXPECT_TRUE(control.list()->devices.empty());
    ASSERT_TRUE(control.add({}));
    EXPECT_EQ(control.list()->devices.size(), 1U);
    EXPECT_TRUE(control.list()->errors.empty());
}

TEST(ControlList, DeviceThatCannotBeAskedKeepsNoOtherOut) {
    // Device 2 fails, and 3 has gone meanwhile.
    class Port final : public ControlPort {
    public:
        int execute(const ControlCommand& command, Milliseconds) override {
            if (command.number == 2)
                return -EIO;
            return command.number == 3 ? -ENODEV : 0;
        }
        std::vector<int> device_numbers() override { return {4, 3, 2, 1}; }
    };
    Control control{std::make_unique<Port>(), 20ms};
    const Result<DeviceList> list = control.list();
    ASSERT_TRUE(list);
    EXPECT_EQ(list->devices.size(), 2U);
    ASSERT_EQ(list->errors.size(), 1U);
    EXPECT_EQ(list->errors[0].code, EIO);
    EXPECT_NE(list->errors[0].step.find('2'), std::string::npos);
}

TEST_F(ControlTest, GeometrySurvivesTheDriver) {
    ASSERT_TRUE(control.add({.number = 0}));
    ASSERT_TRUE(control.set_geometry(0, {.size_bytes = 1U << 30, .rotational = true}));
    Result<Geometry> geometry = control.geometry(0);
    ASSERT_TRUE(geometry);
    EXPECT_EQ(geometry->size_bytes, 1U << 30);
    EXPECT_TRUE(geometry->rotational);
}

TEST_F(ControlTest, QueueCpusAreTheBitsOfTheMask) {
    ASSERT_TRUE(control.add({.number = 0}));
    EXPECT_EQ(*control.queue_cpus(0, 0), (std::vector<unsigned>{0, 2}));
}

TEST_F(ControlTest, StartGivesUpAfterTheTimeout) {
    ASSERT_TRUE(control.add({.number = 0}));
    const Result<void> started = control.start(0, 1); // nobody fetches
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ETIMEDOUT);
}

TEST_F(ControlTest, DriverWithoutFeaturesIsTooOld) {
    driver->fail_control(UBLK_U_CMD_GET_FEATURES, -EOPNOTSUPP);
    const Result<std::uint64_t> features = control.features();
    ASSERT_FALSE(features);
    EXPECT_EQ(features.error().kind, ErrorKind::driver);
}

TEST_F(ControlTest, MarkOfTheServerIsKept) {
    ASSERT_TRUE(control.add({.number = 0, .mark = UINT64_MAX - 1}));
    EXPECT_EQ(control.info(0)->mark, UINT64_MAX - 1);
}

TEST_F(ControlTest, SizeIsInBytes) {
    driver->available_features = UBLK_F_UPDATE_SIZE;
    ASSERT_TRUE(control.add({.number = 0}));
    ASSERT_TRUE(control.set_size(0, 1U << 20));
    EXPECT_EQ(driver->params().basic.dev_sectors, 2048U);
}

TEST_F(ControlTest, DriverThatDoesNotKnowACommandIsSaidToLackIt) {
    driver->available_features = 0;
    ASSERT_TRUE(control.add({.number = 0}));
    const std::pair<Result<void>, const char*> refused[] = {
        {control.stop_unless_open(0), "the driver lacks SAFE_STOP_DEV"},
        {control.quiesce(0, 1ms), "the driver lacks QUIESCE"},
        {control.set_size(0, 4096), "the driver lacks UPDATE_SIZE"},
    };
    for (const auto& [result, hint] : refused) {
        ASSERT_FALSE(result) << hint;
        EXPECT_EQ(result.error().kind, ErrorKind::driver);
        EXPECT_EQ(result.error().hint.find(hint), 0U) << result.error().hint;
    }
}

TEST_F(ControlTest, ServerThatIsTooBusyToLeaveSaysWhatToDo) {
    driver->available_features = UBLK_F_QUIESCE;
    ASSERT_TRUE(control.add({.number = 0, .features = UBLK_F_QUIESCE}));
    driver->fail_control(UBLK_U_CMD_QUIESCE_DEV, -EBUSY);
    const Result<void> quiesced = control.quiesce(0, 1ms);
    ASSERT_FALSE(quiesced);
    EXPECT_EQ(quiesced.error().code, EBUSY);
    EXPECT_FALSE(quiesced.error().hint.empty());
}

TEST_F(ControlTest, BusyDeviceSaysWhy) {
    driver->available_features = UBLK_F_SAFE_STOP_DEV;
    ASSERT_TRUE(control.add({.number = 0}));
    driver->fail_control(UBLK_U_CMD_TRY_STOP_DEV, -EBUSY);
    const Result<void> stopped = control.stop_unless_open(0);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, EBUSY);
    EXPECT_FALSE(stopped.error().hint.empty());
}

TEST_F(ControlTest, RemovedDeviceIsGone) {
    ASSERT_TRUE(control.add({.number = 0}));
    EXPECT_TRUE(control.remove(0));
    EXPECT_FALSE(control.info(0));
    EXPECT_FALSE(control.remove(0));
}

TEST(ControlOpen, WithoutADriverSaysSo) {
    if (::access("/dev/ublk-control", F_OK) == 0)
        GTEST_SKIP() << "this machine has the driver";
    const Result<Control> control = Control::open();
    ASSERT_FALSE(control);
    EXPECT_EQ(control.error().kind, ErrorKind::driver);
    EXPECT_FALSE(control.error().hint.empty());
}

TEST(ParseDevice, UnderstandsPathNameAndNumber) {
    EXPECT_EQ(*parse_device("/dev/ublkb12"), 12);
    EXPECT_EQ(*parse_device("ublkb3"), 3);
    EXPECT_EQ(*parse_device("0"), 0);
    for (const char* text : {"", "/dev/sda", "ublkc1", "-1", "3x", "ublkb", "99999999999"})
        EXPECT_FALSE(parse_device(text)) << text;
}

TEST(FeatureNames, CoverTheFeaturesOfTheHeaderOnce) {
    std::uint64_t seen = 0;
    for (const FeatureName& feature : feature_names()) {
        EXPECT_EQ(seen & feature.bit, 0U) << feature.name;
        seen |= feature.bit;
    }
    EXPECT_EQ(seen, 0x1fffffU);
}

} // namespace
} // namespace ublk
