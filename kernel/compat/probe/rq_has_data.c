// SPDX-License-Identifier: GPL-2.0-only
/* by v7.3: blk_rq_has_data() */
#include <linux/blk-mq.h>

bool probe(struct request *rq)
{
	return blk_rq_has_data(rq);
}
