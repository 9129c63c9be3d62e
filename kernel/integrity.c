// SPDX-License-Identifier: GPL-2.0-only
/*
 * Metadata of blocks, protection information for one: its format, and the copy of a request's
 * metadata to and from the server, at positions of their own (user_copy.c).
 */
#include <linux/bio.h>
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/sizes.h>
#include <linux/t10-pi.h>

#include "integrity.h"
#include "ublk.h"

/* All metadata of a request are one piece of memory, which must be to be had. */
#define UBLK_INTEGRITY_MAX_SIZE		SZ_2M

/* linux/fs.h of 7.x has these; older ones do not. */
#define UBLK_PI_CAP_INTEGRITY		BIT(0)
#define UBLK_PI_CAP_REFTAG		BIT(1)
#define UBLK_PI_CSUM_NONE		0
#define UBLK_PI_CSUM_IP			1
#define UBLK_PI_CSUM_CRC16_T10DIF	2
#define UBLK_PI_CSUM_CRC64_NVME		4

/* How much of the metadata is protection information, or -1 if nobody knows the checksum. */
static int ublk_integrity_tuple_size(u8 csum_type)
{
	switch (csum_type) {
	case UBLK_PI_CSUM_NONE:
		return 0;
	case UBLK_PI_CSUM_IP:
	case UBLK_PI_CSUM_CRC16_T10DIF:
		return sizeof(struct t10_pi_tuple);
	case UBLK_PI_CSUM_CRC64_NVME:
		return sizeof(struct crc64_pi_tuple);
	default:
		return -1;
	}
}

bool ublk_integrity_params_are_valid(const struct ublk_params *params)
{
	const struct ublk_param_integrity *integrity = &params->integrity;
	int tuple_size = ublk_integrity_tuple_size(integrity->csum_type);

	if (integrity->flags & ~(UBLK_PI_CAP_INTEGRITY | UBLK_PI_CAP_REFTAG))
		return false;
	if (tuple_size < 0 || !integrity->metadata_size ||
	    integrity->pi_offset + tuple_size > integrity->metadata_size)
		return false;
	/* A reference tag is part of the protection information. */
	if (!tuple_size && (integrity->flags & UBLK_PI_CAP_REFTAG))
		return false;
	return integrity->interval_exp >= SECTOR_SHIFT &&
	       integrity->interval_exp <= params->basic.logical_bs_shift;
}

void ublk_integrity_limit(const struct ublk_params *params, struct queue_limits *limits)
{
	const struct ublk_param_integrity *integrity = &params->integrity;
	const struct ublk_integrity_format format = {
		.device_capable = integrity->flags & UBLK_PI_CAP_INTEGRITY,
		.ref_tag = integrity->flags & UBLK_PI_CAP_REFTAG,
		.csum_type = integrity->csum_type,
		.metadata_size = integrity->metadata_size,
		.pi_offset = integrity->pi_offset,
		.interval_exp = integrity->interval_exp,
		.tag_size = integrity->tag_size,
		.pi_tuple_size = ublk_integrity_tuple_size(integrity->csum_type),
		.max_segments = integrity->max_integrity_segments ?: USHRT_MAX,
	};

	ublk_limit_integrity(limits, &format);
	limits->max_hw_sectors = min_t(u32, limits->max_hw_sectors,
				       UBLK_INTEGRITY_MAX_SIZE / integrity->metadata_size <<
				       (integrity->interval_exp - SECTOR_SHIFT));
}

/*
 * How data must lie in memory. Kernels that cannot compute the checksum of an interval in pieces
 * take each piece for an interval, and write behind the end of the metadata.
 */
unsigned int ublk_integrity_alignment(const struct ublk_params *params)
{
	const struct ublk_param_integrity *integrity = &params->integrity;

	if (UBLK_CAN_SPLIT_INTERVALS || integrity->csum_type == UBLK_PI_CSUM_NONE)
		return 0;
	return (1U << integrity->interval_exp) - 1;
}

/* How much metadata a request has. */
size_t ublk_integrity_bytes(struct request *rq)
{
	return blk_integrity_rq(rq) ? ublk_rq_integrity_bytes(rq) : 0;
}

/* Returns how much of the metadata of @rq behind @offset was copied. */
size_t ublk_integrity_copy(struct request *rq, size_t offset, struct iov_iter *user, bool to_user)
{
	struct ublk_copy copy = { .user = user, .offset = offset, .to_user = to_user };
	struct bio *bio = rq->bio;
	struct bvec_iter iter;
	struct bio_vec bvec;

	if (!blk_integrity_rq(rq))
		return 0;
	bio_for_each_integrity_vec(bvec, bio, iter) {
		if (!ublk_copy_bvec(&copy, &bvec))
			return copy.done;
	}
	return copy.done;
}
