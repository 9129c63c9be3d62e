// SPDX-License-Identifier: MIT
// The driver's uapi header with what its opcodes need.
#ifndef UBLK_LIB_UAPI_H
#define UBLK_LIB_UAPI_H

#include <linux/ioctl.h>
#include <linux/ublk_cmd.h>

#endif
