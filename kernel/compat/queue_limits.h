/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Queue limits as one structure that is checked as a whole when a disk is allocated (v6.9, with
 * features since v6.11). Before, a disk was allocated first and limits were set one at a time.
 */
#ifndef COMPAT_QUEUE_LIMITS_H
#define COMPAT_QUEUE_LIMITS_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>

#if !COMPAT_HAVE_ALLOC_DISK_LIMITS
/* These may mention the kernel's own structure, so they come before it is renamed. */
#include <linux/backing-dev.h>
#include <linux/blk-integrity.h>

#define blk_features_t		unsigned int
#define BLK_FEAT_WRITE_CACHE	BIT(0)
#define BLK_FEAT_FUA		BIT(1)
#define BLK_FEAT_ROTATIONAL	BIT(2)
#define BLK_FEAT_ADD_RANDOM	BIT(3)
#define BLK_FEAT_STABLE_WRITES	BIT(5)
#define BLK_FEAT_ZONED		BIT(10)

/**
 * struct compat_queue_limits - the members of 7.3's struct queue_limits that the driver may set
 *
 * Zero means what it means there: the block layer's default.
 */
struct compat_queue_limits {
	blk_features_t features;
	unsigned long seg_boundary_mask;
	unsigned long virt_boundary_mask;
	unsigned int max_hw_sectors;
	unsigned int chunk_sectors;
	unsigned int max_segment_size;
	unsigned int physical_block_size;
	unsigned int logical_block_size;
	unsigned int io_min;
	unsigned int io_opt;
	unsigned int max_hw_discard_sectors;
	unsigned int max_write_zeroes_sectors;
	unsigned int max_hw_zone_append_sectors;
	unsigned int discard_granularity;
	unsigned int discard_alignment;
	unsigned short max_segments;
	unsigned short max_discard_segments;
	unsigned int max_open_zones;
	unsigned int max_active_zones;
	unsigned int dma_alignment;
};

struct gendisk *compat_alloc_disk(struct blk_mq_tag_set *set,
				  const struct compat_queue_limits *limits, void *queuedata,
				  struct lock_class_key *key);

#undef blk_mq_alloc_disk
#define blk_mq_alloc_disk(set, limits, queuedata) ({				\
	static struct lock_class_key compat_disk_key;				\
										\
	compat_alloc_disk(set, limits, queuedata, &compat_disk_key);		\
})

#define queue_limits	compat_queue_limits
#endif

#endif
