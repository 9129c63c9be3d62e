/* SPDX-License-Identifier: GPL-2.0-only */
/* Metadata of blocks. Included after queue_limits.h: uses the driver's name of limits. */
#ifndef COMPAT_INTEGRITY_H
#define COMPAT_INTEGRITY_H

#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>

/**
 * struct ublk_integrity_format - what a disk's metadata is made of
 *
 * Checksums are numbered as in linux/fs.h of 7.3 (LBMD_PI_CSUM_*).
 */
struct ublk_integrity_format {
	bool device_capable;
	bool ref_tag;
	u8 csum_type;
	u8 metadata_size;
	u8 pi_offset;
	u8 interval_exp;
	u8 tag_size;
	u8 pi_tuple_size;
	u16 max_segments;
};

#if COMPAT_HAVE_INTEGRITY_LIMITS		/* v6.11 */
static inline enum blk_integrity_checksum compat_integrity_checksum(u8 csum_type)
{
	switch (csum_type) {
	case 1:
		return BLK_INTEGRITY_CSUM_IP;
	case 2:
		return BLK_INTEGRITY_CSUM_CRC;
	case 4:
		return BLK_INTEGRITY_CSUM_CRC64;
	default:
		return BLK_INTEGRITY_CSUM_NONE;
	}
}

static inline void ublk_limit_integrity(struct queue_limits *limits,
					const struct ublk_integrity_format *format)
{
	limits->max_integrity_segments = format->max_segments;
	limits->integrity = (struct blk_integrity) {
		.flags = (format->device_capable ? BLK_INTEGRITY_DEVICE_CAPABLE : 0) |
			 (format->ref_tag ? BLK_INTEGRITY_REF_TAG : 0),
		.csum_type = compat_integrity_checksum(format->csum_type),
		.pi_offset = format->pi_offset,
		.interval_exp = format->interval_exp,
		.tag_size = format->tag_size,
#if COMPAT_HAVE_INTEGRITY_METADATA_SIZE		/* v6.17 */
		.metadata_size = format->metadata_size,
		.pi_tuple_size = format->pi_tuple_size,
#else
		.tuple_size = format->metadata_size,
#endif
	};
#if COMPAT_HAVE_INTEGRITY_SPLIT			/* v7.0 */
	/* Metadata of one interval may lie in several pieces. */
	limits->integrity.flags |= BLK_SPLIT_INTERVAL_CAPABLE;
#endif
}

static inline size_t ublk_rq_integrity_bytes(struct request *rq)
{
	return bio_integrity_bytes(&rq->q->limits.integrity, blk_rq_sectors(rq));
}
#else
/* Not reached: see UBLK_CAN_INTEGRITY. */
static inline void ublk_limit_integrity(struct queue_limits *limits,
					const struct ublk_integrity_format *format)
{
}

static inline size_t ublk_rq_integrity_bytes(struct request *rq)
{
	return 0;
}
#endif

#endif
