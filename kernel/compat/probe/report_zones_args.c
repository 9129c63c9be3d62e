// SPDX-License-Identifier: GPL-2.0-only
/* v6.19: ->report_zones() hands zones to disk_report_zone() */
#include <linux/blkdev.h>

static int report_zones(struct gendisk *disk, sector_t sector, unsigned int nr_zones,
			struct blk_report_zones_args *args)
{
	struct blk_zone zone = { .start = sector };

	return disk_report_zone(disk, &zone, 0, args);
}

const struct block_device_operations probe = { .report_zones = report_zones };
