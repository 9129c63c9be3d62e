// SPDX-License-Identifier: GPL-2.0-only
/* v6.15, back-ported to 6.12: blk_mq_add_to_batch() takes "is_error", not an error number */
#include <linux/blk-mq.h>

/* Both compile, so tell them apart by the type of the parameter. */
typedef bool add_to_batch(struct request *rq, struct io_comp_batch *iob, bool is_error,
			  void (*complete)(struct io_comp_batch *iob));

add_to_batch *probe(void)
{
	return blk_mq_add_to_batch;
}
