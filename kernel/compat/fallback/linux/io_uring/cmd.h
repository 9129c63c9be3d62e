/* SPDX-License-Identifier: GPL-2.0-only */
/* v6.8 moved the uring_cmd interface to this name; found only where the kernel lacks it. */
#include <linux/io_uring.h>
#include <linux/io_uring_types.h>
