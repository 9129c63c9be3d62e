// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of a READ the server has written, where it moves the data itself. What the pages held
 * before is the kernel's, and must not get out wherever the server leaves a gap, in whatever order
 * its threads write.
 */
#include <linux/blk-mq.h>

#include "ublk.h"

/* The caller writes from @start to @end. Returns how far the data were filled before. */
size_t ublk_filled_claim(struct request *rq, size_t start, size_t end)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);
	size_t filled;

	/*
	 * Zeroed before anybody can claim what lies behind the gap. Who comes later writes there
	 * after us; who came earlier is in front of it.
	 */
	guard(spinlock)(&pdu->filled_lock);
	filled = pdu->filled;
	if (start > filled)
		ublk_copy_zeroes(rq, filled, start - filled);
	pdu->filled = max(filled, end);
	return filled;
}

/* Of what was claimed up to @end, only what is before @reached was written. */
void ublk_filled_disclaim(struct request *rq, size_t reached, size_t end)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	guard(spinlock)(&pdu->filled_lock);
	if (reached >= end)
		return;
	if (pdu->filled == end)
		pdu->filled = reached;
	else
		ublk_copy_zeroes(rq, reached, end - reached);
}

/**
 * ublk_filled_all() - the server can write to all of a request's pages from now on, unseen
 * @rq: the request, which the caller holds
 */
void ublk_filled_all(struct request *rq)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	guard(spinlock)(&pdu->filled_lock);
	pdu->filled = SIZE_MAX;
}

/**
 * ublk_filled_judge() - is what was read from the disk what the server wrote?
 * @rq: nobody uses it any more
 * @outcome: corrected if it claims bytes that nobody has written
 *
 * A server that moves no data at all (a null device) reads as zeroes, never as what was in the
 * pages before. One that moved some, but claims more behind it, is broken.
 */
void ublk_filled_judge(struct request *rq, struct ublk_outcome *outcome)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	if (req_op(rq) != REQ_OP_READ || pdu->filled >= outcome->bytes)
		return;
	if (pdu->filled)
		*outcome = (struct ublk_outcome) { .status = BLK_STS_IOERR };
	else
		ublk_copy_zeroes(rq, 0, outcome->bytes);
}
