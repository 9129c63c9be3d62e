/* SPDX-License-Identifier: GPL-2.0-only */
/* Block layer, but for queue limits (queue_limits.h) and request lists (rq_list.h). */
#ifndef COMPAT_BLOCK_H
#define COMPAT_BLOCK_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>

#if !COMPAT_HAVE_FREEZE_MEMFLAGS	/* v6.14 1e1a9cecfab3 */
static inline unsigned int compat_blk_mq_freeze_queue(struct request_queue *q)
{
	blk_mq_freeze_queue(q);
	return memalloc_noio_save();
}

static inline void compat_blk_mq_unfreeze_queue(struct request_queue *q, unsigned int memflags)
{
	memalloc_noio_restore(memflags);
	blk_mq_unfreeze_queue(q);
}

#define blk_mq_freeze_queue(q)			compat_blk_mq_freeze_queue(q)
#define blk_mq_unfreeze_queue(q, memflags)	compat_blk_mq_unfreeze_queue(q, memflags)
#endif

#if !COMPAT_HAVE_MQ_SHOULD_MERGE	/* v6.14 */
#define BLK_MQ_F_SHOULD_MERGE	0
#endif

#if !COMPAT_HAVE_RQ_HAS_DATA		/* by v7.3 */
static inline bool blk_rq_has_data(const struct request *rq)
{
	return bio_has_data(rq->bio);
}
#endif

/*
 * UBLK_DEFINE_INIT_REQUEST(name, body): a callback for blk_mq_ops.init_request that calls
 * int body(struct blk_mq_tag_set *set, struct request *rq, unsigned int queue, int node).
 */
#if COMPAT_HAVE_INIT_REQUEST_INT_NODE	/* by v7.3 */
#define COMPAT_NODE_TYPE	int
#else
#define COMPAT_NODE_TYPE	unsigned int
#endif

#define UBLK_DEFINE_INIT_REQUEST(name, body)					\
static int name(struct blk_mq_tag_set *set, struct request *rq, unsigned int queue,	\
		COMPAT_NODE_TYPE node)						\
{										\
	return body(set, rq, queue, node);					\
}

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
 * UBLK_DEFINE_END_IO(name, body): a callback for request.end_io that calls
 * enum rq_end_io_ret body(struct request *rq, blk_status_t status).
 */
#if COMPAT_HAVE_END_IO_BATCH		/* v7.0 */
#define UBLK_DEFINE_END_IO(name, body)						\
static enum rq_end_io_ret name(struct request *rq, blk_status_t status,	\
			       const struct io_comp_batch *batch)		\
{										\
	return body(rq, status);						\
}
#else
#define UBLK_DEFINE_END_IO(name, body)						\
static enum rq_end_io_ret name(struct request *rq, blk_status_t status)	\
{										\
	return body(rq, status);						\
}
#endif

/*
 * UBLK_DEFINE_BLOCK_OPEN(name, body) and UBLK_DEFINE_BLOCK_RELEASE(name, body): callbacks for
 * block_device_operations that call int body(struct gendisk *disk, blk_mode_t mode) and
 * void body(struct gendisk *disk).
 */
#if COMPAT_HAVE_BLOCK_OPEN_DISK		/* v6.5 */
#define UBLK_DEFINE_BLOCK_OPEN(name, body)					\
static int name(struct gendisk *disk, blk_mode_t mode)				\
{										\
	return body(disk, mode);						\
}

#define UBLK_DEFINE_BLOCK_RELEASE(name, body)					\
static void name(struct gendisk *disk)						\
{										\
	body(disk);								\
}
#else
#define blk_mode_t	fmode_t
#define BLK_OPEN_READ	FMODE_READ
#define BLK_OPEN_WRITE	FMODE_WRITE
#define BLK_OPEN_EXCL	FMODE_EXCL
#define BLK_OPEN_NDELAY	FMODE_NDELAY

#define UBLK_DEFINE_BLOCK_OPEN(name, body)					\
static int name(struct block_device *bdev, fmode_t mode)			\
{										\
	return body(bdev->bd_disk, mode);					\
}

#define UBLK_DEFINE_BLOCK_RELEASE(name, body)					\
static void name(struct gendisk *disk, fmode_t mode)				\
{										\
	body(disk);								\
}
#endif

#endif
