/* SPDX-License-Identifier: GPL-2.0-only */
/* Block layer, but for queue limits (queue_limits.h) and request lists (rq_list.h). */
#ifndef COMPAT_BLOCK_H
#define COMPAT_BLOCK_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>

#if !COMPAT_HAVE_MQ_SHOULD_MERGE	/* v6.14 */
#define BLK_MQ_F_SHOULD_MERGE	0
#endif

#if !COMPAT_HAVE_RQ_HAS_DATA		/* by v7.3 */
static inline bool blk_rq_has_data(const struct request *rq)
{
	return bio_has_data(rq->bio);
}
#endif

#if !COMPAT_HAVE_ADD_TO_BATCH_BOOL	/* v6.15 */
static inline bool compat_blk_mq_add_to_batch(struct request *rq, struct io_comp_batch *batch,
					      bool is_error,
					      void (*complete)(struct io_comp_batch *batch))
{
	return blk_mq_add_to_batch(rq, batch, is_error ? -EIO : 0, complete);
}

#define blk_mq_add_to_batch(rq, batch, is_error, complete) \
	compat_blk_mq_add_to_batch(rq, batch, is_error, complete)
#endif

/*
 * UBLK_DEFINE_BLOCK_OPEN(name, body): a callback for block_device_operations that calls
 * int body(struct gendisk *disk, blk_mode_t mode).
 */
#if COMPAT_HAVE_BLOCK_OPEN_DISK		/* v6.5 */
#define UBLK_DEFINE_BLOCK_OPEN(name, body)					\
static int name(struct gendisk *disk, blk_mode_t mode)				\
{										\
	return body(disk, mode);						\
}
#else
#define blk_mode_t	fmode_t

#define UBLK_DEFINE_BLOCK_OPEN(name, body)					\
static int name(struct block_device *bdev, fmode_t mode)			\
{										\
	return body(bdev->bd_disk, mode);					\
}
#endif

#endif
