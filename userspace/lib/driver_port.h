// SPDX-License-Identifier: MIT
// DriverPort is everything that a server needs from the world outside: the driver's devices, rings
// and the thread's privileges. Tests put a driver of their own behind it.
#ifndef UBLK_LIB_DRIVER_PORT_H
#define UBLK_LIB_DRIVER_PORT_H

#include <memory>
#include <vector>

#include <ublk/control.h>
#include <ublk/unique_fd.h>

#include "mapping.h"
#include "uapi.h"
#include "uring.h"

namespace ublk {

struct Descriptors {
    Mapping mapping; // keeps `first` valid
    const ublksrv_io_desc* first;
};

// May be used by several threads at a time.
class DriverPort {
public:
    virtual ~DriverPort() = default;

    // Before any thread or ring is made: they get from the calling thread what it has become by
    // this, also those that io_uring makes by itself.
    virtual Result<void> prepare_process() = 0;
    virtual Result<Control> open_control(Milliseconds timeout) = 0;
    virtual Result<UniqueFd> open_char_device(int number) = 0;
    virtual Result<void> find_block_device(int number) = 0;
    // Fails with EBUSY while somebody has it mounted or otherwise for himself.
    virtual Result<UniqueFd> claim_block_device(int number) = 0;
    virtual Result<Descriptors> map_descriptors(int char_device, unsigned queue,
                                                unsigned depth) = 0;
    virtual Result<std::unique_ptr<Uring>> create_ring(unsigned entries) = 0;
    // Makes the calling thread fit to serve I/O, on these CPUs if they are available to it.
    virtual Result<void> prepare_thread(const std::vector<unsigned>& cpus) = 0;
};

std::shared_ptr<DriverPort> kernel_driver();

} // namespace ublk

#endif
