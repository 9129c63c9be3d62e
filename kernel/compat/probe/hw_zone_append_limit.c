// SPDX-License-Identifier: GPL-2.0-only
/* v6.13: a device sets max_hw_zone_append_sectors */
#include <linux/blkdev.h>

void probe(struct queue_limits *limits)
{
	limits->max_hw_zone_append_sectors = 0;
}
