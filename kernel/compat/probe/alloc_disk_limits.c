// SPDX-License-Identifier: GPL-2.0-only
/* v6.9: blk_mq_alloc_disk() takes queue limits; v6.11: and these have features */
#include <linux/blk-mq.h>

struct gendisk *probe(struct blk_mq_tag_set *set, struct queue_limits *lim)
{
	lim->features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA | BLK_FEAT_ROTATIONAL;
	return blk_mq_alloc_disk(set, lim, NULL);
}
