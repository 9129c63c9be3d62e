// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request's way to the task of the server that has fetched its tag: the ring's inbox, and the
 * task work that empties it.
 */
#include <linux/blk-mq.h>
#include <linux/io_uring/cmd.h>
#include <linux/llist.h>

#include "request.h"
#include "slot.h"
#include "ublk.h"

/**
 * struct ublk_burst - requests that a task has taken from its inbox
 * @hands: how it lets go of them while it waits for memory
 * @rest: not delivered yet, the oldest first
 * @laid_down: the commands of those, meanwhile
 * @issue_flags: of all commands of the task
 */
struct ublk_burst {
	struct ublk_hands hands;
	struct llist_node *rest;
	struct io_uring_cmd *laid_down;
	unsigned int issue_flags;
};

/* The oldest in an inbox found it empty, and sent its command to the task: is it this slot's? */
static bool ublk_request_inbox_is_of(struct llist_node *inbox, const struct ublk_slot *slot)
{
	struct ublk_request *oldest = llist_entry(inbox, struct ublk_request, inbox);

	return inbox && ublk_request_slot(blk_mq_rq_from_pdu(oldest)) == slot;
}

/*
 * The rest of a burst waits in its slots while the task waits for memory. A request that is taken
 * back there can be used again at once; the commands stay the task's, so they make up the list.
 */
static void ublk_burst_lay_down(struct ublk_hands *hands)
{
	struct ublk_burst *burst = container_of(hands, struct ublk_burst, hands);
	struct io_uring_cmd **end = &burst->laid_down;
	struct ublk_request *pdu, *next;

	llist_for_each_entry_safe(pdu, next, burst->rest, inbox) {
		struct request *rq = blk_mq_rq_from_pdu(pdu);
		struct ublk_slot *slot = ublk_request_slot(rq);

		*end = slot->cmd;
		end = &io_uring_cmd_to_pdu(slot->cmd, struct ublk_parked)->next;
		ublk_slot_begin_fault(slot, rq, UBLK_SLOT_CLAIMED);
	}
	*end = NULL;
}

static void ublk_burst_pick_up(struct ublk_hands *hands)
{
	struct ublk_burst *burst = container_of(hands, struct ublk_burst, hands);
	struct io_uring_cmd *cmd = burst->laid_down;
	struct llist_node **end = &burst->rest;

	while (cmd) {
		struct ublk_parked *parked = io_uring_cmd_to_pdu(cmd, struct ublk_parked);
		struct io_uring_cmd *next = parked->next;
		struct ublk_slot *slot = parked->slot;

		if (ublk_slot_end_fault(slot, UBLK_SLOT_CLAIMED)) {
			struct ublk_request *pdu = blk_mq_rq_to_pdu(slot->rq);

			*end = &pdu->inbox;
			end = &pdu->inbox.next;
		} else {
			io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, burst->issue_flags);
		}
		cmd = next;
	}
	*end = NULL;
}

static void ublk_burst_deliver(struct llist_node *requests, unsigned int issue_flags)
{
	struct ublk_burst burst = {
		.hands.lay_down = ublk_burst_lay_down,
		.hands.pick_up = ublk_burst_pick_up,
		.rest = requests,
		.issue_flags = issue_flags,
	};

	while (burst.rest) {
		struct ublk_request *pdu = llist_entry(burst.rest, struct ublk_request, inbox);

		burst.rest = burst.rest->next;
		ublk_request_deliver(blk_mq_rq_from_pdu(pdu), &burst.hands, issue_flags);
	}
}

static void ublk_request_deliver_all(struct llist_node *requests, unsigned int issue_flags)
{
	struct ublk_request *oldest = llist_entry(requests, struct ublk_request, inbox);

	/* Often there is but one, and no rest to care for. */
	if (requests->next)
		ublk_burst_deliver(requests, issue_flags);
	else
		ublk_request_deliver(blk_mq_rq_from_pdu(oldest), &ublk_empty_hands, issue_flags);
}

static void ublk_request_bounce_all(struct llist_node *requests, unsigned int issue_flags)
{
	struct ublk_request *pdu, *next;

	llist_for_each_entry_safe(pdu, next, requests, inbox)
		ublk_request_bounce(blk_mq_rq_from_pdu(pdu), issue_flags);
}

/* Take back what is in @inbox, the oldest first. That one's command has yet to come to its task. */
static void ublk_request_recall_all(struct llist_node *inbox, unsigned int issue_flags)
{
	struct ublk_request *oldest = llist_entry(inbox, struct ublk_request, inbox);
	struct request *rq = blk_mq_rq_from_pdu(oldest);
	struct llist_node *others = inbox->next;

	atomic_long_inc(&ublk_request_slot(rq)->queue->dev->counts.recalls);
	ublk_slot_recall(ublk_request_slot(rq));
	ublk_request_orphan(rq, false);
	ublk_request_bounce_all(others, issue_flags);
}

/**
 * ublk_request_recall() - take back what was on its way to a task that will not serve it
 * @inbox: of the task's ring, the newest first; not empty
 *
 * Context: process.
 */
void ublk_request_recall(struct llist_node *inbox)
{
	ublk_request_recall_all(llist_reverse_order(inbox), IO_URING_F_UNLOCKED);
}

/* The request that sent @cmd was taken back. In @inbox, oldest first, are those of another one. */
static void ublk_request_come_late(struct io_uring_cmd *cmd, struct ublk_slot *slot,
				   struct llist_node *inbox, unsigned int issue_flags)
{
	if (inbox)
		ublk_request_recall_all(inbox, issue_flags);
	ublk_slot_end_recall(slot);
	io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, issue_flags);
}

/*
 * Empties the ring's inbox, once for each time the inbox became non-empty, so the command that
 * carries the task work is still parked when it is queued. If the ring is lost, others may have
 * been quicker: then what is found was sent with another command, if there is anything.
 */
static void ublk_request_empty_inbox(struct io_uring_cmd *cmd, unsigned int issue_flags,
				     bool dead)
{
	struct ublk_slot *slot = io_uring_cmd_to_pdu(cmd, struct ublk_parked)->slot;
	struct llist_node *inbox;

	if (dead)
		ublk_server_lost(cmd->file->private_data, slot->ring);

	inbox = llist_reverse_order(llist_del_all(&slot->ring->inbox));
	if (unlikely(!ublk_request_inbox_is_of(inbox, slot)))
		ublk_request_come_late(cmd, slot, inbox, issue_flags);
	else if (unlikely(dead))
		ublk_request_bounce_all(inbox, issue_flags);
	else
		ublk_request_deliver_all(inbox, issue_flags);
}

UBLK_DEFINE_CMD_TASK_WORK(ublk_request_inbox_work, ublk_request_empty_inbox)

/**
 * ublk_request_dispatch() - send a request to the server
 * @rq: not started yet; on an error it stays so
 *
 * Runs in the submitter's context and may not sleep. Touches one cache line that the server's
 * CPU writes: the slot's.
 *
 * Return: BLK_STS_OK, or why the request must fail.
 */
blk_status_t ublk_request_dispatch(struct request *rq)
{
	struct ublk_slot *slot = ublk_request_slot(rq);
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);
	struct io_uring_cmd *cmd;

	if (unlikely(ublk_request_op(rq) < 0))
		return BLK_STS_NOTSUPP;
	if (unlikely(!ublk_device_is_open(slot->queue->dev) || !ublk_slot_claim(slot))) {
		ublk_request_orphan(rq, false);
		return BLK_STS_OK;
	}

	/* What it was on an earlier way to a server, or another request before it, is over. */
	pdu->shared = NULL;
	blk_mq_start_request(rq);
	if (slot->queue->batch) {
		ublk_batch_dispatch(slot->queue, pdu);
		return BLK_STS_OK;
	}
	cmd = slot->cmd;
	if (llist_add(&pdu->inbox, &slot->ring->inbox))
		io_uring_cmd_complete_in_task(cmd, ublk_request_inbox_work);
	return BLK_STS_OK;
}
