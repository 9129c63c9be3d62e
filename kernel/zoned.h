/* SPDX-License-Identifier: GPL-2.0-only */
/* Zoned disks (UBLK_F_ZONED), or what stands for them in a kernel without. */
#ifndef UBLK_ZONED_H
#define UBLK_ZONED_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>

struct ublk_params;
struct ublksrv_io_desc;

#ifdef CONFIG_BLK_DEV_ZONED
bool ublk_zoned_params_are_valid(const struct ublk_params *params);
void ublk_zoned_limit(const struct ublk_params *params, struct queue_limits *limits);
int ublk_zoned_op(const struct request *rq);
void ublk_zoned_describe(struct request *rq, struct ublksrv_io_desc *desc);
blk_status_t ublk_zoned_append(struct request *rq, u64 sector);
int ublk_zoned_report(struct gendisk *disk, sector_t sector, unsigned int nr_zones,
		      struct blk_report_zones_args *args);
int ublk_zoned_revalidate(struct gendisk *disk);
#else
static inline bool ublk_zoned_params_are_valid(const struct ublk_params *params)
{
	return false;
}

static inline void ublk_zoned_limit(const struct ublk_params *params, struct queue_limits *limits)
{
}

static inline int ublk_zoned_op(const struct request *rq)
{
	return -1;
}

static inline void ublk_zoned_describe(struct request *rq, struct ublksrv_io_desc *desc)
{
}

static inline blk_status_t ublk_zoned_append(struct request *rq, u64 sector)
{
	return BLK_STS_NOTSUPP;
}

static inline int ublk_zoned_report(struct gendisk *disk, sector_t sector, unsigned int nr_zones,
				    struct blk_report_zones_args *args)
{
	return -EOPNOTSUPP;
}

static inline int ublk_zoned_revalidate(struct gendisk *disk)
{
	return -EOPNOTSUPP;
}
#endif

#endif /* UBLK_ZONED_H */
