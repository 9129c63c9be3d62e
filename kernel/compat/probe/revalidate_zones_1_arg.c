// SPDX-License-Identifier: GPL-2.0-only
/* v6.10: blk_revalidate_disk_zones() lost its callback */
#include <linux/blkdev.h>

int probe(struct gendisk *disk)
{
	return blk_revalidate_disk_zones(disk);
}
