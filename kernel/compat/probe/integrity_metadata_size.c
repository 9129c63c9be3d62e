// SPDX-License-Identifier: GPL-2.0-only
/* v6.17: a block's metadata can be more than its protection information */
#include <linux/blkdev.h>

void probe(struct queue_limits *lim)
{
	lim->integrity.metadata_size = 0;
	lim->integrity.pi_tuple_size = 0;
}
