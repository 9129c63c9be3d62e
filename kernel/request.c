// SPDX-License-Identifier: GPL-2.0-only
/*
 * A request on its way to the server and back: descriptor, delivery in the server's task, result.
 * Whoever owns the slot (slot.h) ends the request, so it ends exactly once.
 */
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/bottom_half.h>
#include <linux/io_uring/cmd.h>
#include <linux/llist.h>

#include "slot.h"
#include "ublk.h"
#include "zoned.h"

/* The protocol's name of the operation, or -1. */
static int ublk_request_op(const struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return UBLK_IO_OP_READ;
	case REQ_OP_WRITE:
		return UBLK_IO_OP_WRITE;
	case REQ_OP_FLUSH:
		return UBLK_IO_OP_FLUSH;
	case REQ_OP_DISCARD:
		return UBLK_IO_OP_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return UBLK_IO_OP_WRITE_ZEROES;
	default:
		return ublk_zoned_op(rq);
	}
}

static u32 ublk_request_flags(struct request *rq)
{
	u32 flags = 0;

	if (rq->cmd_flags & REQ_FAILFAST_DEV)
		flags |= UBLK_IO_F_FAILFAST_DEV;
	if (rq->cmd_flags & REQ_FAILFAST_TRANSPORT)
		flags |= UBLK_IO_F_FAILFAST_TRANSPORT;
	if (rq->cmd_flags & REQ_FAILFAST_DRIVER)
		flags |= UBLK_IO_F_FAILFAST_DRIVER;
	if (rq->cmd_flags & REQ_META)
		flags |= UBLK_IO_F_META;
	if (rq->cmd_flags & REQ_FUA)
		flags |= UBLK_IO_F_FUA;
	if (rq->cmd_flags & REQ_NOUNMAP)
		flags |= UBLK_IO_F_NOUNMAP;
	if (rq->cmd_flags & REQ_SWAP)
		flags |= UBLK_IO_F_SWAP;
	if (blk_integrity_rq(rq))
		flags |= UBLK_IO_F_INTEGRITY;
	return flags;
}

static bool ublk_request_carries_data(const struct request *rq)
{
	return req_op(rq) == REQ_OP_READ || req_op(rq) == REQ_OP_WRITE ||
	       req_op(rq) == REQ_OP_ZONE_APPEND;
}

struct ublk_slot *ublk_request_slot(const struct request *rq)
{
	struct ublk_queue *queue = rq->mq_hctx->driver_data;

	return &queue->slots[rq->tag];
}

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

/* Nobody else has written the descriptor's flags since the request was delivered. */
static bool ublk_request_is_shared(const struct ublk_slot *slot)
{
	return ublk_queue_desc(slot->queue, slot->tag)->op_flags & UBLK_IO_F_SHMEM_ZC;
}

/* Nobody uses the request any more. */
static void ublk_request_settle(struct ublk_slot *slot, struct request *rq,
				const struct ublk_outcome *outcome, struct io_comp_batch *ended)
{
	if ((slot->queue->features & UBLK_F_SHMEM_ZC) && ublk_request_is_shared(slot))
		ublk_shmem_let_go(((struct ublk_request *)blk_mq_rq_to_pdu(rq))->shared);
	if (outcome->orphaned)
		ublk_server_orphan(rq, true);
	else if (outcome->again)
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
	ublk_user_copy_judge(rq, &pdu->outcome);
	ublk_request_settle(slot, rq, &pdu->outcome, NULL);
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
static void ublk_request_conclude(struct ublk_slot *slot, struct request *rq,
				  const struct ublk_outcome *outcome, struct io_comp_batch *ended)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	if (!ublk_queue_counts_holders(slot->queue)) {
		ublk_request_settle(slot, rq, outcome, ended);
		return;
	}
	/* Ordered before the last holder's look by ublk_slot_let_go(). */
	pdu->outcome = *outcome;
	ublk_request_let_go(rq);
}

/* There is no server for the request, nor will there be one that it could wait for. */
void ublk_request_fail(struct request *rq)
{
	ublk_request_end(rq, BLK_STS_IOERR);
}

/* The server had the request and will not answer. */
void ublk_request_abort(struct request *rq)
{
	const struct ublk_outcome outcome = { .status = BLK_STS_IOERR, .orphaned = true };

	ublk_request_conclude(ublk_request_slot(rq), rq, &outcome, NULL);
}

/* The server cannot have the request, by its own fault. */
void ublk_request_reject(struct request *rq)
{
	const struct ublk_outcome outcome = { .status = BLK_STS_IOERR };

	ublk_request_conclude(ublk_request_slot(rq), rq, &outcome, NULL);
}

static void ublk_request_describe(struct request *rq, const struct ublk_slot *slot)
{
	struct ublksrv_io_desc *desc = ublk_queue_desc(slot->queue, slot->tag);

	desc->op_flags = ublk_request_op(rq) | ublk_request_flags(rq);
	desc->nr_sectors = blk_rq_sectors(rq);
	desc->start_sector = blk_rq_pos(rq);
	/* Otherwise it is not an address: see zerocopy.c. */
	desc->addr = ublk_queue_copies(slot->queue) ? slot->addr : 0;
	ublk_zoned_describe(rq, desc);
}

/* The pages of the request are the server's, too: tell it where, instead of moving data. */
static bool ublk_request_share(struct request *rq, const struct ublk_slot *slot, u64 *addr)
{
	if (!(slot->queue->features & UBLK_F_SHMEM_ZC) || !ublk_request_carries_data(rq))
		return false;
	return ublk_shmem_match(slot->queue->dev, rq, addr);
}

static void ublk_request_describe_shared(const struct ublk_slot *slot, u64 where)
{
	struct ublksrv_io_desc *desc = ublk_queue_desc(slot->queue, slot->tag);

	desc->op_flags |= UBLK_IO_F_SHMEM_ZC;
	desc->addr = where;
}

/* The server gives a buffer for the data of a WRITE once it knows of it. */
static void ublk_request_offer(struct request *rq, struct ublk_slot *slot,
			       unsigned int issue_flags)
{
	ublk_request_describe(rq, slot);
	io_uring_cmd_done(ublk_slot_offer(slot, rq), UBLK_IO_RES_NEED_GET_DATA, issue_flags);
}

/* Move the data of a WRITE to the server if that is the driver's task: 0, or what went wrong. */
static int ublk_request_copy(struct request *rq, const struct ublk_slot *slot)
{
	if (req_op(rq) != REQ_OP_WRITE || !ublk_queue_copies(slot->queue))
		return 0;
	return ublk_copy_with_server(rq, UBLK_SLOT_CLAIMED, slot->addr, blk_rq_bytes(rq), true);
}

static void ublk_request_count_holders(struct request *rq, struct ublk_slot *slot, bool shared)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	if (!ublk_queue_counts_holders(slot->queue))
		return;
	spin_lock_init(&pdu->filled_lock);
	/* Nobody knows what is written to shared memory; it is the reader's, not the kernel's. */
	pdu->filled = shared ? SIZE_MAX : 0;
	ublk_slot_count_holders(slot, rq);
}

/**
 * ublk_request_withdraw() - a prepared request cannot be given to the server, and fails
 * @rq: from ublk_request_prepare()
 * @cmd: as there
 * @issue_flags: of @cmd
 */
void ublk_request_withdraw(struct request *rq, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct ublk_slot *slot = ublk_request_slot(rq);

	if (ublk_queue_counts_holders(slot->queue))
		ublk_zerocopy_detach(slot, cmd, issue_flags);
	ublk_slot_unclaim(slot);
	ublk_request_reject(rq);
}

/* Make everything ready that the server finds. Returns false if the request has ended instead. */
static bool ublk_request_prepare_as(struct request *rq, bool shared, u64 where,
				    struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct ublk_slot *slot = ublk_request_slot(rq);
	int ret = shared ? 0 : ublk_request_copy(rq, slot);

	if (unlikely(ret == -ECANCELED)) {
		if (slot->cmd)
			io_uring_cmd_done(slot->cmd, UBLK_IO_RES_ABORT, issue_flags);
		return false;
	}
	if (unlikely(ret)) {
		/* The server gave a bad buffer. That is no reason to try again. */
		ublk_slot_unclaim(slot);
		ublk_request_fail(rq);
		return false;
	}

	ublk_request_describe(rq, slot);
	if (shared)
		ublk_request_describe_shared(slot, where);
	ublk_request_count_holders(rq, slot, shared);
	if (!ublk_zerocopy_attach(slot, rq, cmd, issue_flags)) {
		ublk_request_withdraw(rq, cmd, issue_flags);
		return false;
	}
	return true;
}

/**
 * ublk_request_prepare() - make everything ready that the server finds when it gets a request
 * @rq: has claimed its slot
 * @cmd: of the server, by which it will be told
 * @issue_flags: of @cmd
 *
 * Runs in the server's task.
 *
 * Return: false if that failed; then the request has ended.
 */
bool ublk_request_prepare(struct request *rq, struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	u64 where = 0;
	bool shared = ublk_request_share(rq, ublk_request_slot(rq), &where);

	return ublk_request_prepare_as(rq, shared, where, cmd, issue_flags);
}

/* In the server's task: give it the request. */
static void ublk_request_deliver(struct request *rq, unsigned int issue_flags)
{
	struct ublk_slot *slot = ublk_request_slot(rq);
	struct io_uring_cmd *cmd;
	u64 where = 0;
	bool shared = ublk_request_share(rq, slot, &where);

	if (!shared && req_op(rq) == REQ_OP_WRITE &&
	    (slot->queue->features & UBLK_F_NEED_GET_DATA)) {
		ublk_request_offer(rq, slot, issue_flags);
		return;
	}
	if (!ublk_request_prepare_as(rq, shared, where, slot->cmd, issue_flags))
		return;
	cmd = ublk_slot_deliver(slot, rq);
	io_uring_cmd_done(cmd, UBLK_IO_RES_OK, issue_flags);
}

/**
 * ublk_request_bounce() - there is no server to take a request that has claimed its slot
 * @rq: the request
 * @issue_flags: of the command in the slot, if there is one
 */
void ublk_request_bounce(struct request *rq, unsigned int issue_flags)
{
	struct io_uring_cmd *cmd = ublk_slot_drop(ublk_request_slot(rq));

	if (cmd)
		io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, issue_flags);
	ublk_server_orphan(rq, false);
}

/* The oldest in an inbox found it empty, and sent its command to the task: is it this slot's? */
static bool ublk_request_inbox_is_of(struct llist_node *inbox, const struct ublk_slot *slot)
{
	struct ublk_request *oldest = llist_entry(inbox, struct ublk_request, inbox);

	return inbox && ublk_request_slot(blk_mq_rq_from_pdu(oldest)) == slot;
}

/*
 * Take back what is in @inbox, the oldest first. If that one's command is still to come to its
 * task, nobody else may answer it.
 */
static void ublk_request_take_back(struct llist_node *inbox, bool has_come,
				   unsigned int issue_flags)
{
	struct ublk_request *pdu, *next;

	llist_for_each_entry_safe(pdu, next, inbox, inbox) {
		struct request *rq = blk_mq_rq_from_pdu(pdu);

		if (has_come) {
			ublk_request_bounce(rq, issue_flags);
		} else {
			atomic_long_inc(&ublk_request_slot(rq)->queue->dev->counts.recalls);
			ublk_slot_recall(ublk_request_slot(rq));
			ublk_server_orphan(rq, false);
		}
		has_come = true;
	}
}

/**
 * ublk_request_recall() - take back what was on its way to a task that will not serve it
 * @inbox: of the task's ring, the newest first
 *
 * Context: process.
 */
void ublk_request_recall(struct llist_node *inbox)
{
	ublk_request_take_back(llist_reverse_order(inbox), false, IO_URING_F_UNLOCKED);
}

/*
 * Empties the ring's inbox, once for each time the inbox became non-empty, so the command that
 * carries the task work is still parked when it is queued. If the ring is lost, others may have
 * been quicker: then what is found was sent with another command, if there is anything.
 */
static void ublk_request_empty_inbox(struct io_uring_cmd *cmd, unsigned int issue_flags,
				     bool dead)
{
	struct ublk_slot *slot = *io_uring_cmd_to_pdu(cmd, struct ublk_slot *);
	struct ublk_request *pdu, *next;
	struct llist_node *inbox;
	bool ours;

	if (dead)
		ublk_server_lost(cmd->file->private_data, slot->ring);

	inbox = llist_reverse_order(llist_del_all(&slot->ring->inbox));
	ours = ublk_request_inbox_is_of(inbox, slot);
	if (unlikely(dead || !ours)) {
		ublk_request_take_back(inbox, ours, issue_flags);
	} else {
		llist_for_each_entry_safe(pdu, next, inbox, inbox)
			ublk_request_deliver(blk_mq_rq_from_pdu(pdu), issue_flags);
	}
	if (unlikely(!ours)) {
		ublk_slot_end_recall(slot);
		io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, issue_flags);
	}
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
		ublk_server_orphan(rq, false);
		return BLK_STS_OK;
	}

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

/**
 * ublk_request_addr_is_valid() - may the server commit the request it has with this buffer?
 * @slot: the server's; what is read here it cannot change
 * @addr: 0 if the server gave none
 */
bool ublk_request_addr_is_valid(const struct ublk_slot *slot, u64 addr)
{
	const struct ublksrv_io_desc *desc = ublk_queue_desc(slot->queue, slot->tag);

	if (!ublk_queue_copies(slot->queue))
		return !addr || ublksrv_get_op(desc) == UBLK_IO_OP_ZONE_APPEND;
	if (addr)
		return true;
	/* A buffer for the next request can be given later, but data just read lie somewhere. */
	return (slot->queue->features & UBLK_F_NEED_GET_DATA) &&
	       ublksrv_get_op(desc) != UBLK_IO_OP_READ;
}

/**
 * ublk_request_get_data() - the server takes the data of a WRITE it was told of
 * @slot: in UBLK_SLOT_COMMIT, owned by the caller, who gives it up
 * @addr: the server's buffer
 *
 * Runs in the server's task.
 *
 * Return: 0, or -EFAULT; then the server may try another buffer. UBLK_IO_RES_ABORT: it lost the
 * request.
 */
int ublk_request_get_data(struct ublk_slot *slot, u64 addr)
{
	struct request *rq = slot->rq;
	int ret;

	ret = ublk_copy_with_server(rq, UBLK_SLOT_COMMIT, addr, blk_rq_bytes(rq), true);
	if (ret == -ECANCELED)
		return UBLK_IO_RES_ABORT;
	if (ret) {
		ublk_slot_refuse(slot);
		return ret;
	}
	slot->addr = addr;
	ublk_queue_desc(slot->queue, slot->tag)->addr = addr;
	ublk_slot_hand_back(slot);
	return 0;
}

/*
 * Can it end bit by bit? The kernel checks the data of a READ against their metadata when all of it
 * is there, and by then has passed the metadata of all parts but the last: 7.3 loops for ever.
 */
static bool ublk_request_has_parts(struct request *rq)
{
	return req_op(rq) != REQ_OP_READ || !blk_integrity_rq(rq);
}

/* What the server's answer is worth: a READ or WRITE is done in whole logical blocks. */
static struct ublk_outcome ublk_request_judge(struct request *rq, s32 result, u64 addr)
{
	unsigned int bytes = blk_rq_bytes(rq);

	if (result < 0)
		return (struct ublk_outcome) { .status = errno_to_blk_status(result) };
	if (!ublk_request_carries_data(rq))
		return (struct ublk_outcome) { .status = BLK_STS_OK, .bytes = bytes };

	/* What is missing of it could end up elsewhere. */
	if (req_op(rq) == REQ_OP_ZONE_APPEND)
		return (struct ublk_outcome) {
			.status = result < bytes ? BLK_STS_IOERR : ublk_zoned_append(rq, addr),
			.bytes = bytes,
		};
	if (result < bytes)
		bytes = round_down(result, queue_logical_block_size(rq->q));
	/* No progress will not get better by trying again. */
	if (!bytes || (bytes < blk_rq_bytes(rq) && !ublk_request_has_parts(rq)))
		return (struct ublk_outcome) { .status = BLK_STS_IOERR };
	return (struct ublk_outcome) {
		.status = BLK_STS_OK,
		.again = bytes < blk_rq_bytes(rq),
		.bytes = bytes,
	};
}

/* Fetch what was read, if that is the driver's task. Returns false if the request was lost. */
static bool ublk_request_collect(struct request *rq, const struct ublk_slot *slot, u64 addr,
				 struct ublk_outcome *outcome)
{
	int ret;

	if (req_op(rq) != REQ_OP_READ || outcome->status != BLK_STS_OK ||
	    !ublk_queue_copies(slot->queue) || ublk_request_is_shared(slot))
		return true;
	ret = ublk_copy_with_server(rq, UBLK_SLOT_COMMIT, addr, outcome->bytes, false);
	/* A buffer that cannot be read will not get better by trying again. */
	if (ret == -EFAULT)
		*outcome = (struct ublk_outcome) { .status = BLK_STS_IOERR };
	return ret != -ECANCELED;
}

/**
 * ublk_request_finish() - the server has committed a request
 * @slot: in UBLK_SLOT_COMMIT, owned by the caller, who gives it up
 * @cmd: the command that brought the result
 * @answer: what the server says
 * @issue_flags: of @cmd
 *
 * Runs in a task of the server.
 *
 * Return: false if the server was sent away or has died, so that @answer->park was not parked.
 */
bool ublk_request_finish(struct ublk_slot *slot, struct io_uring_cmd *cmd,
			 const struct ublk_answer *answer, unsigned int issue_flags)
{
	struct request *rq = slot->rq;
	struct ublk_outcome outcome;
	bool gone;

	outcome = ublk_request_judge(rq, answer->result, answer->addr);
	if (unlikely(!ublk_request_collect(rq, slot, answer->addr, &outcome)))
		return false;
	/*
	 * A dismissal after this look finds the slot in UBLK_SLOT_COMMIT or later: see
	 * ublk_server_sweep(). Once parked, the command may be answered by others.
	 */
	gone = ublk_server_is_gone(cmd->file->private_data);
	ublk_zerocopy_detach(slot, cmd, issue_flags);

	/* Park first: when the request ends, its tag can come back at once on another CPU. */
	if (likely(!gone))
		ublk_slot_rearm(slot, answer->park, answer->next);
	else
		ublk_slot_retire(slot);

	ublk_request_conclude(slot, rq, &outcome, answer->ended);
	return !gone;
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
