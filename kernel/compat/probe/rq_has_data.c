// SPDX-License-Identifier: GPL-2.0-only
/* v6.18: blk_rq_has_data() */
#include <linux/blk-mq.h>

bool probe(struct request *rq)
{
	return blk_rq_has_data(rq);
}
