/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Included before the first line of every source file of the driver: makes the 7.3 API available
 * on older kernels. The headers below include the kernel's headers first, then change names.
 *
 * Names that start with UBLK_ or ublk_ stand for something whose shape differs between kernels,
 * so 7.3 needs its own variant of them too; everything else is spelled as in 7.3.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include "config.h"
#include "slab.h"
#include "misc.h"
#include "block.h"
#include "rq_list.h"
#include "zoned.h"
#include "io_uring.h"
#include "capability.h"
#include "queue_limits.h"	/* renames a structure, so only what uses the new name follows */
#include "integrity.h"

#endif
