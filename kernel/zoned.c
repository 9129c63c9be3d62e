// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zoned disks: the parameters, the operations on zones, and the report of zones, which the driver
 * asks the server for with a request of its own. What a server says about zones is checked before
 * the block layer relies on it.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "ublk.h"
#include "zoned.h"

/* A request for a report is at most that large. */
#define UBLK_REPORT_PAGES	16

/* Kernels keep up to a byte for each zone, in one piece, and count zones in 32 bits. */
#define UBLK_MAX_ZONES		SZ_4M

static u64 ublk_zoned_count(const struct ublk_param_basic *basic)
{
	return basic->dev_sectors >> ilog2(basic->chunk_sectors);
}

bool ublk_zoned_params_are_valid(const struct ublk_params *params)
{
	const struct ublk_param_basic *basic = &params->basic;
	const struct ublk_param_zoned *zoned = &params->zoned;

	if (!is_power_of_2(basic->chunk_sectors))
		return false;
	/* The smaller zone at the end counts, too. */
	if (ublk_zoned_count(basic) >= UBLK_MAX_ZONES)
		return false;
	if (!ublk_params_whole_blocks(params, zoned->max_zone_append_sectors))
		return false;
	/* What is open is active, too. */
	if (zoned->max_active_zones && zoned->max_open_zones > zoned->max_active_zones)
		return false;
	return zoned->max_open_zones <= ublk_zoned_count(basic) &&
	       zoned->max_active_zones <= ublk_zoned_count(basic);
}

void ublk_zoned_limit(const struct ublk_params *params, struct queue_limits *limits)
{
	const struct ublk_param_zoned *zoned = &params->zoned;

	limits->features |= BLK_FEAT_ZONED;
	limits->max_open_zones = zoned->max_open_zones;
	limits->max_active_zones = zoned->max_active_zones;
	limits->max_hw_zone_append_sectors =
		ublk_params_whole_blocks(params, zoned->max_zone_append_sectors);
}

/* The protocol's name of the operation, or -1. */
int ublk_zoned_op(const struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_ZONE_OPEN:
		return UBLK_IO_OP_ZONE_OPEN;
	case REQ_OP_ZONE_CLOSE:
		return UBLK_IO_OP_ZONE_CLOSE;
	case REQ_OP_ZONE_FINISH:
		return UBLK_IO_OP_ZONE_FINISH;
	case REQ_OP_ZONE_APPEND:
		return UBLK_IO_OP_ZONE_APPEND;
	case REQ_OP_ZONE_RESET_ALL:
		return UBLK_IO_OP_ZONE_RESET_ALL;
	case REQ_OP_ZONE_RESET:
		return UBLK_IO_OP_ZONE_RESET;
	case REQ_OP_DRV_IN:
		/* Nobody else makes such requests: see ublk_zoned_ask(). */
		return UBLK_IO_OP_REPORT_ZONES;
	default:
		return -1;
	}
}

/* A report is about zones of the device, whatever the request's own position and length are. */
void ublk_zoned_describe(struct request *rq, struct ublksrv_io_desc *desc)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	if (req_op(rq) != REQ_OP_DRV_IN)
		return;
	desc->nr_zones = pdu->report.nr_zones;
	desc->start_sector = pdu->report.sector;
}

/**
 * ublk_zoned_append() - where has the server put the data?
 * @rq: a REQ_OP_ZONE_APPEND that was done completely
 * @sector: what the server says
 *
 * Return: BLK_STS_OK, and the block layer is told, or BLK_STS_IOERR if that is not in the zone, or
 * in the middle of a block.
 */
blk_status_t ublk_zoned_append(struct request *rq, u64 sector)
{
	u64 zone_sectors = rq->q->limits.chunk_sectors;
	u64 zone = blk_rq_pos(rq);

	if (!IS_ALIGNED(sector, queue_logical_block_size(rq->q) >> SECTOR_SHIFT))
		return BLK_STS_IOERR;
	if (sector < zone || sector - zone > zone_sectors - blk_rq_sectors(rq))
		return BLK_STS_IOERR;
	rq->__sector = sector;
	return BLK_STS_OK;
}

/* The sequential part of the zone may be written; the write pointer must lie in it. */
static bool ublk_zone_is_active(const struct blk_zone *zone)
{
	return zone->cond == BLK_ZONE_COND_IMP_OPEN || zone->cond == BLK_ZONE_COND_EXP_OPEN ||
	       zone->cond == BLK_ZONE_COND_CLOSED;
}

static bool ublk_zone_cond_is_known(const struct blk_zone *zone)
{
	switch (zone->cond) {
	case BLK_ZONE_COND_NOT_WP:
		return zone->type == BLK_ZONE_TYPE_CONVENTIONAL;
	case BLK_ZONE_COND_EMPTY:
	case BLK_ZONE_COND_IMP_OPEN:
	case BLK_ZONE_COND_EXP_OPEN:
	case BLK_ZONE_COND_CLOSED:
	case BLK_ZONE_COND_FULL:
		return zone->type == BLK_ZONE_TYPE_SEQWRITE_REQ;
	case BLK_ZONE_COND_READONLY:
	case BLK_ZONE_COND_OFFLINE:
		return zone->type == BLK_ZONE_TYPE_SEQWRITE_REQ ||
		       zone->type == BLK_ZONE_TYPE_CONVENTIONAL;
	default:
		return false;
	}
}

/* The block layer computes with these numbers. */
static bool ublk_zone_is_valid(const struct blk_zone *zone, sector_t start, u64 len)
{
	if (zone->start != start || zone->len != len)
		return false;
	if (!zone->capacity || zone->capacity > len || !ublk_zone_cond_is_known(zone))
		return false;
	return !ublk_zone_is_active(zone) ||
	       (zone->wp >= start && zone->wp - start <= zone->capacity);
}

/* Let the server fill @zones with the zones from @sector on. */
static int ublk_zoned_ask(struct gendisk *disk, sector_t sector, unsigned int nr_zones,
			  struct blk_zone *zones)
{
	size_t size = nr_zones * sizeof(*zones);
	struct ublk_request *pdu;
	struct request *rq;
	int ret;

	memset(zones, 0, size);
	rq = blk_mq_alloc_request(disk->queue, REQ_OP_DRV_IN, 0);
	if (IS_ERR(rq))
		return PTR_ERR(rq);
	pdu = blk_mq_rq_to_pdu(rq);
	pdu->report.sector = sector;
	pdu->report.nr_zones = nr_zones;
	ret = blk_rq_map_kern(rq, zones, size, GFP_KERNEL);
	if (!ret)
		ret = blk_status_to_errno(blk_execute_rq(rq, false));
	blk_mq_free_request(rq);
	return ret;
}

/* Pass on what the server filled in. Returns how many zones that were, or -errno. */
static int ublk_zoned_pass_on(struct gendisk *disk, sector_t sector, unsigned int nr_zones,
			      struct blk_zone *zones, unsigned int first,
			      struct blk_report_zones_args *args)
{
	u64 zone_sectors = disk->queue->limits.chunk_sectors;
	unsigned int i;
	int ret;

	for (i = 0; i < nr_zones && zones[i].len; i++) {
		u64 len = min(zone_sectors, get_capacity(disk) - sector);

		if (!ublk_zone_is_valid(&zones[i], sector, len)) {
			pr_warn_ratelimited("%s: bad report of the zone at sector %llu\n",
					    disk->disk_name, (u64)sector);
			return -EIO;
		}
		ret = disk_report_zone(disk, &zones[i], first + i, args);
		if (ret)
			return ret;
		sector += len;
	}
	return i;
}

/* How many zones a request asks for: as many as fit into it, however its pages must lie. */
static unsigned int ublk_zoned_most(struct request_queue *q)
{
	size_t bytes = queue_max_segments(q) > UBLK_REPORT_PAGES ? UBLK_REPORT_PAGES * PAGE_SIZE :
								   PAGE_SIZE;

	return min_t(size_t, bytes, queue_max_bytes(q)) / sizeof(struct blk_zone);
}

/**
 * ublk_zoned_report() - block_device_operations.report_zones
 * @disk: a zoned disk
 * @sector: where the first zone of interest begins
 * @nr_zones: how many are wanted at most
 * @args: says what to do with each
 *
 * Waits for the server.
 *
 * Return: the number of zones that were reported, or -errno.
 */
int ublk_zoned_report(struct gendisk *disk, sector_t sector, unsigned int nr_zones,
		      struct blk_report_zones_args *args)
{
	unsigned int shift = ilog2(disk->queue->limits.chunk_sectors);
	u64 left = DIV_ROUND_UP_ULL(get_capacity(disk), 1ULL << shift) - (sector >> shift);
	unsigned int most = ublk_zoned_most(disk->queue);
	struct blk_zone *zones;
	unsigned int done = 0;
	int ret = 0;

	if (sector >= get_capacity(disk))
		return 0;
	sector = round_down(sector, 1ULL << shift);
	nr_zones = min_t(u64, nr_zones, left);
	most = min(most, nr_zones);
	zones = kvmalloc_objs(*zones, most);
	if (!zones)
		return -ENOMEM;

	while (done < nr_zones) {
		unsigned int wanted = min(most, nr_zones - done);

		ret = ublk_zoned_ask(disk, sector, wanted, zones);
		if (!ret)
			ret = ublk_zoned_pass_on(disk, sector, wanted, zones, done, args);
		if (ret <= 0)
			break;
		done += ret;
		sector += (sector_t)ret << shift;
	}
	kvfree(zones);
	return ret < 0 ? ret : done;
}

/**
 * ublk_zoned_revalidate() - let the block layer learn the zones of a disk that is being made
 * @disk: a zoned disk, not added yet
 *
 * Waits for the server, or for its death.
 *
 * Return: 0 or -errno.
 */
int ublk_zoned_revalidate(struct gendisk *disk)
{
	return blk_revalidate_disk_zones(disk);
}
