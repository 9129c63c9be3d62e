// SPDX-License-Identifier: GPL-2.0-only
/* v6.16: blk_rq_map_kern() lost its queue argument */
#include <linux/blk-mq.h>

int probe(struct request *rq, void *buffer)
{
	return blk_rq_map_kern(rq, buffer, 8, GFP_KERNEL);
}
