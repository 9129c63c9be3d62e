/* SPDX-License-Identifier: GPL-2.0-only */
/* Zoned disks. Their limits are set like all others, see queue_limits.h. */
#ifndef COMPAT_ZONED_H
#define COMPAT_ZONED_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>

/*
 * UBLK_DEFINE_REPORT_ZONES(name, body): a callback for block_device_operations.report_zones that
 * calls int body(struct gendisk *disk, sector_t sector, unsigned int nr_zones,
 * struct blk_report_zones_args *args), which hands each zone to disk_report_zone().
 */
#if COMPAT_HAVE_REPORT_ZONES_ARGS	/* v6.19 */
#define UBLK_DEFINE_REPORT_ZONES(name, body)					\
static int name(struct gendisk *disk, sector_t sector, unsigned int nr_zones,	\
		struct blk_report_zones_args *args)				\
{										\
	return body(disk, sector, nr_zones, args);				\
}
#else
struct blk_report_zones_args {
	report_zones_cb report;
	void *data;
};

static inline int disk_report_zone(struct gendisk *disk, struct blk_zone *zone,
				   unsigned int index, struct blk_report_zones_args *args)
{
	return args->report(zone, index, args->data);
}

#define UBLK_DEFINE_REPORT_ZONES(name, body)					\
static int name(struct gendisk *disk, sector_t sector, unsigned int nr_zones,	\
		report_zones_cb report, void *data)				\
{										\
	struct blk_report_zones_args args = { .report = report, .data = data };	\
										\
	return body(disk, sector, nr_zones, &args);				\
}
#endif

#if !COMPAT_HAVE_REVALIDATE_ZONES_1_ARG	/* v6.10 */
static inline int compat_blk_revalidate_disk_zones(struct gendisk *disk)
{
	return blk_revalidate_disk_zones(disk, NULL);
}

#define blk_revalidate_disk_zones(disk)	compat_blk_revalidate_disk_zones(disk)
#endif

#if !COMPAT_HAVE_HW_ZONE_APPEND_LIMIT && COMPAT_HAVE_ALLOC_DISK_LIMITS	/* v6.13 */
#define max_hw_zone_append_sectors	max_zone_append_sectors
#endif

#if !COMPAT_HAVE_RQ_MAP_KERN_4_ARGS	/* v6.16 */
static inline int compat_blk_rq_map_kern(struct request *rq, void *buffer, unsigned int len,
					 gfp_t gfp)
{
	return blk_rq_map_kern(rq->q, rq, buffer, len, gfp);
}

#define blk_rq_map_kern(rq, buffer, len, gfp)	compat_blk_rq_map_kern(rq, buffer, len, gfp)
#endif

#endif
