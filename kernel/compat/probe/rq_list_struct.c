// SPDX-License-Identifier: GPL-2.0-only
/* v6.13, back-ported to 6.12: struct rq_list, first in first out */
#include <linux/blk-mq.h>

static void queue_rqs(struct rq_list *list)
{
	rq_list_add_tail(list, rq_list_pop(list));
}

const struct blk_mq_ops probe = { .queue_rqs = queue_rqs };
