// SPDX-License-Identifier: GPL-2.0-or-later
#include "control_port.h"

#include <array>
#include <cerrno>
#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/mman.h>

#include "support/failing_submissions.h"
#include "uapi.h"

namespace ublk {
namespace {

using namespace std::chrono_literals;

// A file that knows no command at all.
std::unique_ptr<ControlPort> port() {
    return *control_over(UniqueFd{::memfd_create("control", MFD_CLOEXEC)});
}

TEST(ControlDevice, ErrorOfTheDeviceIsTheResult) {
    EXPECT_EQ(port()->execute({.opcode = UBLK_U_CMD_GET_FEATURES}, 1000ms), -EOPNOTSUPP);
}

// Its buffer is freed by then.
TEST(ControlDevice, CommandThatCouldNotBeSubmittedIsNotSubmittedLater) {
    const auto control = port();
    std::array<std::byte, 64> buffer{};
    for (int attempt = 0; attempt < 3; ++attempt) {
        test::fail_next_submission(-ENOMEM);
        EXPECT_EQ(control->execute({.opcode = UBLK_U_CMD_GET_DEV_INFO, .buffer = buffer}, 1000ms),
                  -ENOMEM);
    }
    EXPECT_EQ(control->execute({.opcode = UBLK_U_CMD_GET_FEATURES}, 1000ms), -EOPNOTSUPP);
    const std::vector<std::uint8_t> only_the_last{IORING_OP_NOP, IORING_OP_NOP, IORING_OP_NOP,
                                                  IORING_OP_URING_CMD};
    EXPECT_EQ(test::last_submission(), only_the_last);
}

TEST(ControlDevice, RingFullOfFailedCommandsIsAnError) {
    const auto control = port();
    for (int attempt = 0; attempt < 4; ++attempt) {
        test::fail_next_submission(-ENOMEM);
        EXPECT_EQ(control->execute({.opcode = UBLK_U_CMD_GET_FEATURES}, 1000ms), -ENOMEM);
    }
    EXPECT_EQ(control->execute({.opcode = UBLK_U_CMD_GET_FEATURES}, 1000ms), -EOPNOTSUPP)
        << "what has been emptied makes room";
}

} // namespace
} // namespace ublk
