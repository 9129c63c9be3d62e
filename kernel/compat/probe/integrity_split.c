// SPDX-License-Identifier: GPL-2.0-only
/* v7.0: metadata of one interval may lie in several segments */
#include <linux/blk-integrity.h>

int probe(void)
{
	return BLK_SPLIT_INTERVAL_CAPABLE;
}
