// SPDX-License-Identifier: MIT
// ControlPort carries one control command to the driver and back; tests replace it.
#ifndef UBLK_LIB_CONTROL_PORT_H
#define UBLK_LIB_CONTROL_PORT_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ublk/control.h>
#include <ublk/unique_fd.h>

namespace ublk {

struct ControlCommand {
    std::uint32_t opcode; // UBLK_U_CMD_*
    int number = -1;      // of the device
    std::uint16_t queue = UINT16_MAX;
    std::uint64_t data = 0;
    std::span<std::byte> buffer{}; // read or written by the driver
};

class ControlPort {
public:
    virtual ~ControlPort() = default;

    // What the driver returns, or -ETIMEDOUT; the buffer is not touched after return.
    virtual int execute(const ControlCommand& command, Milliseconds timeout) = 0;
    // Devices that exist, in any order.
    virtual std::vector<int> device_numbers() = 0;
};

Result<std::unique_ptr<ControlPort>> open_control_device();

// Sends its commands to this file, which open_control_device() opens.
Result<std::unique_ptr<ControlPort>> control_over(UniqueFd device);

} // namespace ublk

#endif
