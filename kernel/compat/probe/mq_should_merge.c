// SPDX-License-Identifier: GPL-2.0-only
/* until v6.14: merging had to be asked for with a tag set flag */
#include <linux/blk-mq.h>

unsigned int probe(void)
{
	return BLK_MQ_F_SHOULD_MERGE;
}
