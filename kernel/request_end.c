// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a request ends: who keeps it from ending, what becomes of one without a server. Whoever owns
 * the slot (slot.h) ends the request, so it ends exactly once.
 */
#include <linux/blk-mq.h>
#include <linux/bottom_half.h>

#include "slot.h"
#include "ublk.h"

/*
 * With softirqs off, an fput() in an end_io handler is left to a work item. Otherwise the server
 * could find itself closing the disk it serves, and wait for its own answer.
 */
static void ublk_request_end(struct request *rq, blk_status_t status)
{
	local_bh_disable();
	blk_mq_end_request(rq, status);
	local_bh_enable();
}

/* The first @bytes are done; the rest goes round again. */
static void ublk_request_end_some(struct request *rq, unsigned int bytes)
{
	bool more;

	local_bh_disable();
	more = blk_update_request(rq, BLK_STS_OK, bytes);
	local_bh_enable();
	if (!WARN_ON_ONCE(!more))
		blk_mq_requeue_request(rq, true);
}

/* There is no server for the request, nor will there be one that it could wait for. */
void ublk_request_fail(struct request *rq)
{
	ublk_request_end(rq, BLK_STS_IOERR);
}

/**
 * ublk_request_orphan() - find out what becomes of a request without a server
 * @rq: given up by the caller; started or not
 * @delivered: a server had it, and may have done it in part
 *
 * What waits is neither started nor known to a timeout. Whoever changes what a request's fate
 * depends on does so under the lock and then kicks the list, so no request waits for nothing.
 *
 * Context: any but hard interrupt; does not sleep.
 */
void ublk_request_orphan(struct request *rq, bool delivered)
{
	struct ublk_queue *queue = rq->mq_hctx->driver_data;
	struct ublk_device *dev = queue->dev;
	enum ublk_fate fate;

	atomic_long_inc(&dev->counts.orphans);
	spin_lock(&dev->lock);
	fate = ublk_device_fate(dev, delivered);
	if (fate != UBLK_FATE_FAIL)
		blk_mq_requeue_request(rq, fate == UBLK_FATE_RETRY);
	spin_unlock(&dev->lock);

	if (fate == UBLK_FATE_FAIL)
		ublk_request_fail(rq);
}

/* Nobody uses the request any more. */
static void ublk_request_settle(struct request *rq, const struct ublk_outcome *outcome,
				struct io_comp_batch *ended)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	/* The descriptor says nothing of it: it may still be that of the tag's last request. */
	if (unlikely(pdu->shared))
		ublk_shmem_let_go(pdu->shared);
	if (unlikely(outcome->sequel >= UBLK_SEQUEL_ORPHANED))
		ublk_request_orphan(rq, outcome->sequel == UBLK_SEQUEL_ORPHANED);
	else if (unlikely(outcome->sequel == UBLK_SEQUEL_AGAIN))
		ublk_request_end_some(rq, outcome->bytes);
	else if (outcome->status != BLK_STS_OK ||
		 !blk_mq_add_to_batch(rq, ended, false, blk_mq_end_request_batch))
		ublk_request_end(rq, outcome->status);
}

/**
 * ublk_request_let_go() - a holder does not use the request any more
 * @rq: from ublk_request_hold(); must not be looked at afterwards
 *
 * Context: process, does not sleep.
 */
void ublk_request_let_go(struct request *rq)
{
	struct ublk_slot *slot = ublk_request_slot(rq);
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	if (!ublk_slot_let_go(slot))
		return;
	ublk_filled_judge(rq, &pdu->outcome);
	ublk_request_settle(rq, &pdu->outcome, NULL);
}

/**
 * ublk_request_hold() - keep a request that the server has from ending
 * @slot: of a queue that counts holders
 *
 * A commit or the server's death is not held up; only the users of the disk wait until everybody
 * has let go.
 *
 * Return: the request, NULL if the server has none.
 */
struct request *ublk_request_hold(struct ublk_slot *slot)
{
	struct request *rq = ublk_slot_hold(slot);

	if (!rq || ublk_slot_is_served(slot))
		return rq;
	/* It was committed, or has not been delivered yet. */
	ublk_request_let_go(rq);
	return NULL;
}

/* The server's part in the request is over. */
void ublk_request_conclude(struct ublk_slot *slot, struct request *rq,
			   const struct ublk_outcome *outcome, struct io_comp_batch *ended)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	if (!ublk_queue_counts_holders(slot->queue)) {
		ublk_request_settle(rq, outcome, ended);
		return;
	}
	/* Ordered before the last holder's look by ublk_slot_let_go(). */
	pdu->outcome = *outcome;
	ublk_request_let_go(rq);
}

/* The server had the request and will not answer. */
void ublk_request_abort(struct request *rq)
{
	const struct ublk_outcome outcome = { .sequel = UBLK_SEQUEL_ORPHANED };

	ublk_request_conclude(ublk_request_slot(rq), rq, &outcome, NULL);
}

/* The request was prepared, but the server is gone before it could be told. */
void ublk_request_untell(struct request *rq)
{
	const struct ublk_outcome outcome = { .sequel = UBLK_SEQUEL_UNTOLD };

	ublk_request_conclude(ublk_request_slot(rq), rq, &outcome, NULL);
}

/* The server cannot have the request, by its own fault. */
void ublk_request_reject(struct request *rq)
{
	const struct ublk_outcome outcome = { .status = BLK_STS_IOERR };

	ublk_request_conclude(ublk_request_slot(rq), rq, &outcome, NULL);
}

/* End the requests that commits have collected. */
void ublk_request_end_all(struct io_comp_batch *ended)
{
	if (!ended->complete)
		return;
	/* See ublk_request_end(). */
	local_bh_disable();
	ended->complete(ended);
	local_bh_enable();
}
