/* SPDX-License-Identifier: GPL-2.0-only */
/* Metadata beside the data (UBLK_F_INTEGRITY), or what stands for it in a kernel without. */
#ifndef UBLK_INTEGRITY_H
#define UBLK_INTEGRITY_H

#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/uio.h>

struct ublk_params;

#ifdef CONFIG_BLK_DEV_INTEGRITY
bool ublk_integrity_params_are_valid(const struct ublk_params *params);
void ublk_integrity_limit(const struct ublk_params *params, struct queue_limits *limits);
unsigned int ublk_integrity_alignment(const struct ublk_params *params);
size_t ublk_integrity_bytes(struct request *rq);
size_t ublk_integrity_copy(struct request *rq, size_t offset, struct iov_iter *user, bool to_user);
#else
static inline bool ublk_integrity_params_are_valid(const struct ublk_params *params)
{
	return false;
}

static inline void ublk_integrity_limit(const struct ublk_params *params,
					struct queue_limits *limits)
{
}

static inline unsigned int ublk_integrity_alignment(const struct ublk_params *params)
{
	return 0;
}

static inline size_t ublk_integrity_bytes(struct request *rq)
{
	return 0;
}

static inline size_t ublk_integrity_copy(struct request *rq, size_t offset, struct iov_iter *user,
					 bool to_user)
{
	return 0;
}
#endif

#endif /* UBLK_INTEGRITY_H */
