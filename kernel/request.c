// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the server is told of a request, in its task, and what it answers: descriptor, data, result.
 * How requests get there is in inbox.c and batch.c, how they end in request_end.c.
 */
#include <linux/blk-integrity.h>
#include <linux/blk-mq.h>
#include <linux/io_uring/cmd.h>

#include "request.h"
#include "slot.h"
#include "ublk.h"
#include "zoned.h"

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

static bool ublk_request_is_shared(struct request *rq)
{
	return ((struct ublk_request *)blk_mq_rq_to_pdu(rq))->shared;
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

/* Move the data of a WRITE to the server if that is the driver's task. */
static enum ublk_copied ublk_request_copy(struct request *rq, const struct ublk_slot *slot,
					  struct ublk_hands *hands)
{
	if (req_op(rq) != REQ_OP_WRITE || !ublk_queue_copies(slot->queue))
		return UBLK_COPIED;
	return ublk_copy_with_server(rq, UBLK_SLOT_CLAIMED, slot->addr, blk_rq_bytes(rq), true,
				     hands);
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

/* The last that makes a request ready. Returns false if it has ended instead. */
static bool ublk_request_attach(struct request *rq, struct io_uring_cmd *cmd,
				unsigned int issue_flags)
{
	if (likely(ublk_zerocopy_attach(ublk_request_slot(rq), rq, cmd, issue_flags)))
		return true;
	ublk_request_withdraw(rq, cmd, issue_flags);
	return false;
}

/* The server has not got the data of @rq, which ends or has ended. @copied: why. */
static void ublk_request_give_up(struct ublk_slot *slot, struct request *rq,
				 enum ublk_copied copied, unsigned int issue_flags)
{
	if (copied == UBLK_COPY_BAD_BUFFER) {
		/* That is no reason to try again. */
		ublk_slot_unclaim(slot);
		ublk_request_fail(rq);
	} else if (slot->cmd) {
		/* Others have taken the request back, which may be freed. */
		io_uring_cmd_done(slot->cmd, UBLK_IO_RES_ABORT, issue_flags);
	}
}

/* Make everything ready that the server finds. Returns false if the request has ended instead. */
static bool ublk_request_prepare_as(struct request *rq, bool shared, u64 where,
				    struct io_uring_cmd *cmd, struct ublk_hands *hands,
				    unsigned int issue_flags)
{
	struct ublk_slot *slot = ublk_request_slot(rq);
	enum ublk_copied copied = shared ? UBLK_COPIED : ublk_request_copy(rq, slot, hands);

	if (unlikely(copied != UBLK_COPIED)) {
		ublk_request_give_up(slot, rq, copied, issue_flags);
		return false;
	}

	ublk_request_describe(rq, slot);
	if (shared)
		ublk_request_describe_shared(slot, where);
	ublk_request_count_holders(rq, slot, shared);
	return ublk_request_attach(rq, cmd, issue_flags);
}

/**
 * ublk_request_prepare() - make everything ready that the server finds when it gets a request
 * @rq: has claimed its slot
 * @cmd: of the server, by which it will be told
 * @hands: what the task has in hand besides
 * @issue_flags: of @cmd
 *
 * Runs in the server's task.
 *
 * Return: false if that failed; then the request has ended.
 */
bool ublk_request_prepare(struct request *rq, struct io_uring_cmd *cmd, struct ublk_hands *hands,
			  unsigned int issue_flags)
{
	const struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);
	u64 where = 0;
	bool shared;

	if (unlikely(pdu->prepared))
		return ublk_request_attach(rq, cmd, issue_flags);
	shared = ublk_request_share(rq, ublk_request_slot(rq), &where);
	return ublk_request_prepare_as(rq, shared, where, cmd, hands, issue_flags);
}

/**
 * ublk_request_put_back() - the server could not be told of a request that was delivered
 * @slot: in UBLK_SLOT_COMMIT, owned by the caller; the request goes on owning it, CLAIMED again
 * @cmd: by which the server should have been told
 * @issue_flags: of @cmd
 *
 * All stays prepared but for what is in the ring of @cmd: another one may tell the server. Others
 * may hold the request already, because a server can guess.
 */
void ublk_request_put_back(struct ublk_slot *slot, struct io_uring_cmd *cmd,
			   unsigned int issue_flags)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(slot->rq);

	ublk_zerocopy_detach(slot, cmd, issue_flags);
	ublk_queue_desc(slot->queue, slot->tag)->op_flags &= ~UBLK_IO_F_NEED_REG_BUF;
	pdu->prepared = true;
	ublk_slot_take_back(slot);
}

/**
 * ublk_request_deliver() - give the server a request
 * @rq: has claimed its slot, in which there is a command
 * @hands: what the task has in hand besides
 * @issue_flags: of that command
 *
 * Runs in the server's task.
 */
void ublk_request_deliver(struct request *rq, struct ublk_hands *hands, unsigned int issue_flags)
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
	if (!ublk_request_prepare_as(rq, shared, where, slot->cmd, hands, issue_flags))
		return;
	cmd = ublk_slot_deliver(slot, rq);
	io_uring_cmd_done(cmd, UBLK_IO_RES_OK, issue_flags);
}

/**
 * ublk_request_bounce() - there is no server to take a request that has claimed its slot
 * @rq: the request
 * @issue_flags: of the command in the slot, if there is one; IO_URING_F_UNLOCKED: the caller need
 *	not be in its task
 */
void ublk_request_bounce(struct request *rq, unsigned int issue_flags)
{
	const struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);
	struct ublk_slot *slot = ublk_request_slot(rq);
	struct io_uring_cmd *cmd = ublk_slot_drop(slot);

	/* First what others wait for. */
	if (slot->queue->batch && pdu->prepared)
		ublk_request_untell(rq);
	else
		ublk_request_orphan(rq, false);
	if (cmd)
		ublk_answer_abort(cmd, issue_flags);
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

	switch (ublk_copy_with_server(rq, UBLK_SLOT_COMMIT, addr, blk_rq_bytes(rq), true,
				      &ublk_empty_hands)) {
	case UBLK_COPIED:
		slot->addr = addr;
		ublk_queue_desc(slot->queue, slot->tag)->addr = addr;
		ublk_slot_hand_back(slot);
		return 0;
	case UBLK_COPY_BAD_BUFFER:
		ublk_slot_refuse(slot);
		return -EFAULT;
	default:
		return UBLK_IO_RES_ABORT;
	}
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
		.sequel = bytes < blk_rq_bytes(rq) ? UBLK_SEQUEL_AGAIN : UBLK_SEQUEL_END,
		.bytes = bytes,
	};
}

/* Fetch what was read, if that is the driver's task. Returns false if the request was lost. */
static bool ublk_request_collect(struct request *rq, const struct ublk_slot *slot,
				 const struct ublk_answer *answer, struct ublk_outcome *outcome)
{
	enum ublk_copied copied;

	if (req_op(rq) != REQ_OP_READ || outcome->status != BLK_STS_OK ||
	    !ublk_queue_copies(slot->queue) || ublk_request_is_shared(rq))
		return true;
	copied = ublk_copy_with_server(rq, UBLK_SLOT_COMMIT, answer->addr, outcome->bytes, false,
				       answer->hands);
	/* A buffer that cannot be read will not get better by trying again. */
	if (copied == UBLK_COPY_BAD_BUFFER)
		*outcome = (struct ublk_outcome) { .status = BLK_STS_IOERR };
	return copied != UBLK_COPY_LOST;
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
	if (unlikely(!ublk_request_collect(rq, slot, answer, &outcome)))
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
