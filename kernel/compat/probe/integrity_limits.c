// SPDX-License-Identifier: GPL-2.0-only
/* v6.11: queue limits describe the metadata format */
#include <linux/blkdev.h>

void probe(struct queue_limits *lim)
{
	lim->integrity.tag_size = 0;
	lim->integrity.pi_offset = 0;
}
