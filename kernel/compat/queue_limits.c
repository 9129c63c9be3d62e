// SPDX-License-Identifier: GPL-2.0-only
/*
 * Allocates a disk with a set of limits on kernels that set limits one at a time: checks them and
 * fills in defaults as newer kernels do, so that the driver sees the same errors everywhere.
 */
#include "compat.h"

#if !COMPAT_HAVE_ALLOC_DISK_LIMITS
#undef queue_limits	/* here the name means the kernel's structure */

#define COMPAT_PAGE_SECTORS	(PAGE_SIZE >> SECTOR_SHIFT)

static bool compat_is_block_size(unsigned int size)
{
	return size >= SECTOR_SIZE && size <= PAGE_SIZE && is_power_of_2(size);
}

/* Fill in the defaults of 7.3 and refuse what 7.3 refuses. */
static int compat_validate_limits(struct compat_queue_limits *limits)
{
	if (!limits->logical_block_size)
		limits->logical_block_size = SECTOR_SIZE;
	if (!compat_is_block_size(limits->logical_block_size))
		return -EINVAL;

	limits->physical_block_size = max(limits->physical_block_size, limits->logical_block_size);
	if (!is_power_of_2(limits->physical_block_size))
		return -EINVAL;

	limits->io_min = max(limits->io_min, limits->physical_block_size);
	limits->io_opt = round_down(limits->io_opt, limits->physical_block_size);

	if (!limits->max_hw_sectors)
		limits->max_hw_sectors = BLK_SAFE_MAX_SECTORS;
	if (limits->max_hw_sectors < COMPAT_PAGE_SECTORS)
		return -EINVAL;

	if (!limits->max_segments)
		limits->max_segments = BLK_MAX_SEGMENTS;
	if (!limits->max_discard_segments)
		limits->max_discard_segments = 1;

	if (!limits->max_hw_discard_sectors)
		limits->discard_granularity = 0;
	else
		limits->discard_granularity = max(limits->discard_granularity,
						  limits->physical_block_size);

	if (!limits->seg_boundary_mask)
		limits->seg_boundary_mask = BLK_SEG_BOUNDARY_MASK;
	if (limits->seg_boundary_mask < PAGE_SIZE - 1)
		return -EINVAL;

	if (!limits->max_segment_size)
		limits->max_segment_size = limits->virt_boundary_mask ? UINT_MAX :
								     BLK_MAX_SEGMENT_SIZE;
	if (limits->max_segment_size < PAGE_SIZE)
		return -EINVAL;

	if (!limits->dma_alignment)
		limits->dma_alignment = SECTOR_SIZE - 1;
	if (limits->dma_alignment > PAGE_SIZE)
		return -EINVAL;

	if (!(limits->features & BLK_FEAT_WRITE_CACHE))
		limits->features &= ~BLK_FEAT_FUA;
	return 0;
}

static void compat_apply_features(struct request_queue *q, blk_features_t features)
{
	blk_queue_write_cache(q, features & BLK_FEAT_WRITE_CACHE, features & BLK_FEAT_FUA);

	if (features & BLK_FEAT_ROTATIONAL)
		blk_queue_flag_clear(QUEUE_FLAG_NONROT, q);
	else
		blk_queue_flag_set(QUEUE_FLAG_NONROT, q);

	if (features & BLK_FEAT_ADD_RANDOM)
		blk_queue_flag_set(QUEUE_FLAG_ADD_RANDOM, q);
	else
		blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, q);

	if (features & BLK_FEAT_STABLE_WRITES)
		blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, q);
}

static void compat_apply_zones(struct gendisk *disk, const struct compat_queue_limits *limits)
{
	if (!(limits->features & BLK_FEAT_ZONED))
		return;

	disk_set_zoned(disk, BLK_ZONED_HM);
	/* Newer kernels plug writes to a zone themselves; here an I/O scheduler has to. */
	blk_queue_required_elevator_features(disk->queue, ELEVATOR_F_ZBD_SEQ_WRITE);
	blk_queue_flag_set(QUEUE_FLAG_ZONE_RESETALL, disk->queue);
	disk_set_max_open_zones(disk, limits->max_open_zones);
	disk_set_max_active_zones(disk, limits->max_active_zones);
	if (limits->max_hw_zone_append_sectors)
		blk_queue_max_zone_append_sectors(disk->queue, limits->max_hw_zone_append_sectors);
}

/* An optimal size beyond the usual cap of a request's size lifts the cap, as since v6.9. */
static void compat_apply_io_opt(struct request_queue *q, const struct compat_queue_limits *limits)
{
	unsigned int sectors = limits->io_opt >> SECTOR_SHIFT;

	blk_queue_io_opt(q, limits->io_opt);
	if (sectors > BLK_DEF_MAX_SECTORS)
		q->limits.max_sectors = round_down(min(sectors, q->limits.max_hw_sectors),
						   limits->logical_block_size >> SECTOR_SHIFT);
}

/* The order matters: some setters round to, or cap by, what others set before. */
static void compat_apply_limits(struct gendisk *disk, const struct compat_queue_limits *limits)
{
	struct request_queue *q = disk->queue;

	blk_queue_logical_block_size(q, limits->logical_block_size);
	blk_queue_physical_block_size(q, limits->physical_block_size);
	blk_queue_io_min(q, limits->io_min);
	blk_queue_max_hw_sectors(q, limits->max_hw_sectors);
	compat_apply_io_opt(q, limits);
	blk_queue_chunk_sectors(q, limits->chunk_sectors);
	blk_queue_max_segments(q, limits->max_segments);
	blk_queue_segment_boundary(q, limits->seg_boundary_mask);
	blk_queue_max_segment_size(q, limits->max_segment_size);
	/* The setter would also lift the segment size limit. */
	q->limits.virt_boundary_mask = limits->virt_boundary_mask;
	blk_queue_dma_alignment(q, limits->dma_alignment);

	q->limits.discard_granularity = limits->discard_granularity;
	q->limits.discard_alignment = limits->discard_alignment;
	blk_queue_max_discard_sectors(q, limits->max_hw_discard_sectors);
	blk_queue_max_discard_segments(q, limits->max_discard_segments);
	blk_queue_max_write_zeroes_sectors(q, limits->max_write_zeroes_sectors);

	compat_apply_features(q, limits->features);
	compat_apply_zones(disk, limits);
}

struct gendisk *compat_alloc_disk(struct blk_mq_tag_set *set,
				  const struct compat_queue_limits *limits, void *queuedata,
				  struct lock_class_key *key)
{
	struct compat_queue_limits checked = { };
	struct gendisk *disk;
	int ret;

	if (limits)
		checked = *limits;
	ret = compat_validate_limits(&checked);
	if (ret)
		return ERR_PTR(ret);

	disk = __blk_mq_alloc_disk(set, queuedata, key);
	if (!IS_ERR(disk))
		compat_apply_limits(disk, &checked);
	return disk;
}
#endif
