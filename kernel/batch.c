// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches: one command that stays parked, FETCH, tells of many requests. Tags still change hands in
 * their slots; but a slot has no command of its own here, and belongs to no task. What arms tags
 * and brings results is in elements.c.
 *
 * Requests on their way to the server wait in the queue's inbox until a parked FETCH is there to
 * carry them. At most one FETCH of a queue is active: it has been sent to its task, to empty the
 * inbox there; the others are in a list. Who takes a FETCH off the list answers it, or puts it
 * back. When the server is gone, the inbox is emptied by whoever comes first.
 */
#include <linux/blk-mq.h>
#include <linux/io_uring/cmd.h>
#include <linux/llist.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "slot.h"
#include "ublk.h"

/* How many tags one completion can bring. */
#define UBLK_BATCH_TAGS		64

/**
 * struct ublk_batch - what a queue with UBLK_F_BATCH_IO has besides its slots
 *
 * Field tags: B @lock, E whoever set @busy.
 */
struct ublk_batch {
	struct llist_head inbox;	/* A: claimed requests, the newest first */
	struct llist_node *ready;	/* E: taken from the inbox, the oldest first */
	spinlock_t lock;		/* innermost */
	struct list_head parked;	/* B: FETCH commands that wait */
	bool active;			/* B: a FETCH was sent to its task and not put back yet */
	bool busy;			/* B: somebody empties the inbox */
	bool closed;			/* B: the server is gone, no FETCH empties it any more */
};

/* What a FETCH command carries with it. */
struct ublk_fetch {
	struct list_head node;		/* in ublk_batch.parked, or empty */
	struct ublk_queue *queue;
	u16 group;			/* of provided buffers, for the tags */
};

/**
 * struct ublk_round - what an active FETCH brings its server
 * @hands: how its task lets go of all while it waits for memory
 * @queue: where the requests come from
 * @cmd: the FETCH
 * @busy: it may empty the inbox
 * @count: how many requests are prepared
 * @requests: those
 * @tags: theirs
 */
struct ublk_round {
	struct ublk_hands hands;
	struct ublk_queue *queue;
	struct io_uring_cmd *cmd;
	bool busy;
	unsigned int count;
	struct request *requests[UBLK_BATCH_TAGS];
	u16 tags[UBLK_BATCH_TAGS];
};

/**
 * enum ublk_told - whether the server was told of the requests of a round
 *
 * @UBLK_TOLD:			it was, if there were any
 * @UBLK_TOLD_BAD_BUFFER:	the tags cannot be written to its buffer; the requests have ended
 * @UBLK_TOLD_NO_CQE:		there is no place for a completion
 */
enum ublk_told {
	UBLK_TOLD,
	UBLK_TOLD_BAD_BUFFER,
	UBLK_TOLD_NO_CQE,
};

static struct io_uring_cmd *ublk_fetch_cmd(struct ublk_fetch *fetch)
{
	return container_of((void *)fetch, struct io_uring_cmd, pdu);
}

int ublk_batch_init(struct ublk_queue *queue)
{
	if (!(queue->features & UBLK_F_BATCH_IO))
		return 0;
	queue->batch = kzalloc_obj(*queue->batch, GFP_KERNEL_ACCOUNT);
	if (!queue->batch)
		return -ENOMEM;
	init_llist_head(&queue->batch->inbox);
	spin_lock_init(&queue->batch->lock);
	INIT_LIST_HEAD(&queue->batch->parked);
	return 0;
}

void ublk_batch_free(struct ublk_queue *queue)
{
	kfree(queue->batch);
}

static bool ublk_batch_has_work(const struct ublk_batch *batch)
{
	lockdep_assert_held(&batch->lock);

	return !batch->busy && (batch->ready || !llist_empty(&batch->inbox));
}

/* The FETCH that is to be active now, if there is work for one. The caller sends it. */
static struct ublk_fetch *ublk_batch_activate(struct ublk_batch *batch)
{
	struct ublk_fetch *fetch;

	lockdep_assert_held(&batch->lock);

	if (batch->closed || batch->active || !ublk_batch_has_work(batch))
		return NULL;
	fetch = list_first_entry_or_null(&batch->parked, struct ublk_fetch, node);
	if (!fetch)
		return NULL;
	list_del_init(&fetch->node);
	batch->active = true;
	return fetch;
}

static void ublk_batch_send(struct ublk_fetch *fetch);

/**
 * ublk_batch_dispatch() - a request wants to go to the server
 * @queue: with UBLK_F_BATCH_IO
 * @pdu: of a request that has claimed its slot
 *
 * Context: the submitter's. Takes the queue's lock only if the inbox was empty.
 */
void ublk_batch_dispatch(struct ublk_queue *queue, struct ublk_request *pdu)
{
	struct ublk_batch *batch = queue->batch;
	struct ublk_fetch *fetch;

	pdu->prepared = false;
	/* Who added to an inbox that was not empty relies on who found it empty. */
	if (!llist_add(&pdu->inbox, &batch->inbox))
		return;
	spin_lock(&batch->lock);
	fetch = ublk_batch_activate(batch);
	spin_unlock(&batch->lock);
	if (fetch)
		ublk_batch_send(fetch);
}

/* The next request for the server, NULL if there is none. */
static struct request *ublk_batch_pop(struct ublk_batch *batch)
{
	struct ublk_request *pdu;

	if (!batch->ready)
		batch->ready = llist_reverse_order(llist_del_all(&batch->inbox));
	if (!batch->ready)
		return NULL;
	pdu = llist_entry(batch->ready, struct ublk_request, inbox);
	batch->ready = batch->ready->next;
	return blk_mq_rq_from_pdu(pdu);
}

/* From now on the round may empty the inbox, unless the server is gone: then others do. */
static void ublk_round_enter(struct ublk_round *round)
{
	struct ublk_batch *batch = round->queue->batch;

	guard(spinlock)(&batch->lock);

	round->busy = !batch->closed;
	if (round->busy)
		batch->busy = true;
}

static void ublk_round_leave(struct ublk_round *round)
{
	struct ublk_batch *batch = round->queue->batch;

	guard(spinlock)(&batch->lock);

	if (round->busy)
		batch->busy = false;
	round->busy = false;
}

/*
 * The task waits for memory, and that can be to wait for any request of the disk. What is prepared
 * waits in its slots, and what is not where whoever closes the batch finds it.
 */
static void ublk_round_lay_down(struct ublk_hands *hands)
{
	struct ublk_round *round = container_of(hands, struct ublk_round, hands);

	for (unsigned int i = 0; i < round->count; i++)
		ublk_slot_begin_fault(&round->queue->slots[round->tags[i]], round->requests[i],
				      UBLK_SLOT_CLAIMED);
	ublk_round_leave(round);
}

static void ublk_round_pick_up(struct ublk_hands *hands)
{
	struct ublk_round *round = container_of(hands, struct ublk_round, hands);
	unsigned int left = 0;

	for (unsigned int i = 0; i < round->count; i++) {
		/* A request that was taken back can be freed, or used again. */
		if (!ublk_slot_end_fault(&round->queue->slots[round->tags[i]], UBLK_SLOT_CLAIMED))
			continue;
		round->tags[left] = round->tags[i];
		round->requests[left++] = round->requests[i];
	}
	round->count = left;
	ublk_round_enter(round);
}

/* Wait for the memory that the tags go to. Returns whether there is some now. */
static bool ublk_round_await_memory(struct ublk_round *round, void __user *to)
{
	struct ublk_server *server = round->queue->dev->server;
	bool there;

	ublk_round_lay_down(&round->hands);
	ublk_server_begin_fault(server);
	there = !fault_in_safe_writeable(to, round->count * sizeof(u16));
	ublk_server_end_fault(server);
	if (!there && fatal_signal_pending(current)) {
		/* The requests are taken back as usual. */
		ublk_server_lost(server, NULL);
		round->count = 0;
		return false;
	}
	ublk_round_pick_up(&round->hands);
	return there;
}

/* Returns false if that is no memory to write to. */
static bool ublk_round_write_tags(struct ublk_round *round, void __user *to)
{
	unsigned int tries = 0;

	while (true) {
		bool written;

		pagefault_disable();
		written = !copy_to_user(to, round->tags, round->count * sizeof(u16));
		pagefault_enable();
		if (likely(written))
			return true;
		if (++tries > UBLK_FAULT_TRIES || !ublk_round_await_memory(round, to))
			return false;
	}
}

/* Tell the server of the requests that are prepared. */
static enum ublk_told ublk_round_tell(struct ublk_round *round, struct io_br_sel *selected,
				      unsigned int issue_flags)
{
	struct ublk_slot *slots = round->queue->slots;

	if (unlikely(!ublk_round_write_tags(round, selected->addr))) {
		for (unsigned int i = 0; i < round->count; i++)
			ublk_request_withdraw(round->requests[i], round->cmd, issue_flags);
		/* The server gets its buffer back and no completion. */
		selected->val = 0;
		io_uring_mshot_cmd_post_cqe(round->cmd, selected, issue_flags);
		return UBLK_TOLD_BAD_BUFFER;
	}

	/* First the slots: once told, the server may commit at once and from any task. */
	for (unsigned int i = 0; i < round->count; i++)
		ublk_slot_deliver(&slots[round->tags[i]], round->requests[i]);
	/* Without bytes, as above. */
	selected->val = round->count * sizeof(u16);
	if (!io_uring_mshot_cmd_post_cqe(round->cmd, selected, issue_flags) || !round->count)
		return UBLK_TOLD;
	return UBLK_TOLD_NO_CQE;
}

/*
 * There was no place for a completion. What the server has not been told of waits for the next
 * FETCH, or is taken back if there will be none. It may have committed some all the same.
 */
static void ublk_round_put_back(struct ublk_round *round, unsigned int issue_flags)
{
	struct ublk_batch *batch = round->queue->batch;

	/* The last first: they stay the oldest, in their order. */
	for (unsigned int i = round->count; i--;) {
		struct ublk_slot *slot = &round->queue->slots[round->tags[i]];
		struct ublk_request *pdu;

		if (!ublk_slot_take(slot))
			continue;
		pdu = blk_mq_rq_to_pdu(slot->rq);
		ublk_request_put_back(slot, round->cmd, issue_flags);
		if (round->busy) {
			pdu->inbox.next = batch->ready;
			batch->ready = &pdu->inbox;
		} else {
			ublk_request_bounce(blk_mq_rq_from_pdu(pdu), issue_flags);
		}
	}
}

/* Prepare requests, as many as there are and the server has room for. */
static void ublk_round_collect(struct ublk_round *round, unsigned int room,
			       unsigned int issue_flags)
{
	while (round->count < room && round->busy) {
		struct request *rq = ublk_batch_pop(round->queue->batch);

		if (!rq)
			break;
		if (!ublk_request_prepare(rq, round->cmd, &round->hands, issue_flags))
			continue;
		round->tags[round->count] = rq->tag;
		round->requests[round->count++] = rq;
	}
}

/* Fill one of the server's buffers. Returns 0 or -errno, which ends the command. */
static int ublk_round_deliver(struct ublk_round *round, unsigned int issue_flags)
{
	struct ublk_fetch *fetch = io_uring_cmd_to_pdu(round->cmd, struct ublk_fetch);
	struct io_br_sel selected;
	size_t room = 0;

	selected = io_uring_cmd_buffer_select(round->cmd, fetch->group, &room, issue_flags);
	if (selected.val < 0)
		return selected.val;
	if (!selected.addr)
		return -ENOBUFS;

	room = min(room / sizeof(u16), ARRAY_SIZE(round->requests));
	ublk_round_collect(round, room, issue_flags);
	switch (ublk_round_tell(round, &selected, issue_flags)) {
	case UBLK_TOLD:
		return room ? 0 : -EINVAL;
	case UBLK_TOLD_BAD_BUFFER:
		return -EFAULT;
	default:
		ublk_round_put_back(round, issue_flags);
		return -ENOBUFS;
	}
}

/* In the task of an active FETCH: empty the inbox, then let another one do so. */
static void ublk_batch_carry(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead)
{
	struct ublk_fetch *fetch = io_uring_cmd_to_pdu(cmd, struct ublk_fetch);
	struct ublk_queue *queue = fetch->queue;
	struct ublk_batch *batch = queue->batch;
	int ret = UBLK_IO_RES_ABORT;
	struct ublk_fetch *next;
	struct ublk_round round;

	round.hands.lay_down = ublk_round_lay_down;
	round.hands.pick_up = ublk_round_pick_up;
	round.queue = queue;
	round.cmd = cmd;
	round.busy = false;
	round.count = 0;
	if (dead)
		ublk_server_dismiss(queue->dev);
	else
		ublk_round_enter(&round);
	if (round.busy)
		ret = ublk_round_deliver(&round, issue_flags);

	spin_lock(&batch->lock);
	batch->active = false;
	if (round.busy)
		batch->busy = false;
	if (batch->closed && !ret)
		ret = UBLK_IO_RES_ABORT;
	/* In turns: each of several threads that fetch from a queue gets its share. */
	if (!ret)
		list_add_tail(&fetch->node, &batch->parked);
	next = ublk_batch_activate(batch);
	spin_unlock(&batch->lock);

	/* If it went back to the list, somebody else may have answered it, and all may be gone. */
	if (next)
		ublk_batch_send(next);
	if (ret)
		io_uring_cmd_done(cmd, ret, issue_flags);
}

UBLK_DEFINE_CMD_TASK_WORK(ublk_batch_carry_work, ublk_batch_carry)

static void ublk_batch_send(struct ublk_fetch *fetch)
{
	io_uring_cmd_complete_in_task(ublk_fetch_cmd(fetch), ublk_batch_carry_work);
}

/**
 * ublk_batch_fetch() - FETCH_IO_CMDS: parks until the server goes, or what it needs runs out
 * @queue: with UBLK_F_BATCH_IO
 * @cmd: the command
 * @header: what it says
 * @issue_flags: of @cmd
 *
 * Return: -EIOCBQUEUED or -EINVAL.
 */
int ublk_batch_fetch(struct ublk_queue *queue, struct io_uring_cmd *cmd,
		     const struct ublk_batch_io *header, unsigned int issue_flags)
{
	struct ublk_fetch *fetch = io_uring_cmd_to_pdu(cmd, struct ublk_fetch);
	struct ublk_batch *batch = queue->batch;
	struct ublk_fetch *next = NULL;
	bool closed;

	if (!ublk_cmd_is_multishot(cmd) || header->elem_bytes != sizeof(u16) || header->flags)
		return -EINVAL;

	INIT_LIST_HEAD(&fetch->node);
	fetch->queue = queue;
	fetch->group = ublk_cmd_buf_group(cmd);
	/* Before others can see the command: they may answer it, which undoes the mark. */
	io_uring_cmd_mark_cancelable(cmd, issue_flags);

	spin_lock(&batch->lock);
	closed = batch->closed;
	if (!closed) {
		list_add_tail(&fetch->node, &batch->parked);
		next = ublk_batch_activate(batch);
	}
	spin_unlock(&batch->lock);

	if (closed)
		io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, issue_flags);
	if (next)
		ublk_batch_send(next);
	return -EIOCBQUEUED;
}

/**
 * ublk_batch_cancel() - io_uring wants a FETCH back
 * @cmd: the command
 * @issue_flags: of the cancellation
 *
 * The server as a whole is gone then. An active FETCH is answered by the task work under way.
 */
void ublk_batch_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct ublk_fetch *fetch = io_uring_cmd_to_pdu(cmd, struct ublk_fetch);
	struct ublk_batch *batch = fetch->queue->batch;
	bool parked;

	ublk_server_dismiss(fetch->queue->dev);

	spin_lock(&batch->lock);
	parked = !list_empty(&fetch->node);
	list_del_init(&fetch->node);
	spin_unlock(&batch->lock);
	if (parked)
		io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, issue_flags);
}

/* Is there a FETCH by which the server can be told to leave? */
bool ublk_batch_has_parked(struct ublk_queue *queue)
{
	guard(spinlock)(&queue->batch->lock);
	return queue->batch->active || !list_empty(&queue->batch->parked);
}

/* How the queue is now. */
struct ublk_batch_picture ublk_batch_look(struct ublk_queue *queue)
{
	struct ublk_batch *batch = queue->batch;

	guard(spinlock)(&batch->lock);
	return (struct ublk_batch_picture) {
		.parked = list_count_nodes(&batch->parked),
		.waiting = batch->ready || !llist_empty(&batch->inbox),
		.active = batch->active,
		.busy = batch->busy,
		.closed = batch->closed,
	};
}

/* Answer every FETCH that waits; there will be no more. */
static void ublk_batch_answer_parked(struct ublk_batch *batch)
{
	struct ublk_fetch *fetch;

	guard(spinlock)(&batch->lock);
	batch->closed = true;
	while ((fetch = list_first_entry_or_null(&batch->parked, struct ublk_fetch, node))) {
		list_del_init(&fetch->node);
		ublk_answer_abort(ublk_fetch_cmd(fetch), IO_URING_F_UNLOCKED);
	}
}

/**
 * ublk_batch_close() - the server is gone: take back what it did not get any more
 * @queue: any
 *
 * The task of the active FETCH may never come to do that: it may wait for the very disk.
 *
 * Context: process, may sleep.
 *
 * Return: false if it must be called again.
 */
bool ublk_batch_close(struct ublk_queue *queue)
{
	struct ublk_batch *batch = queue->batch;
	struct request *rq;
	bool ours, idle;

	if (!batch)
		return true;
	ublk_batch_answer_parked(batch);

	spin_lock(&batch->lock);
	idle = !batch->busy;
	ours = ublk_batch_has_work(batch);
	if (ours)
		batch->busy = true;
	spin_unlock(&batch->lock);
	if (!ours)
		return idle;

	while ((rq = ublk_batch_pop(batch)))
		ublk_request_bounce(rq, IO_URING_F_UNLOCKED);
	spin_lock(&batch->lock);
	batch->busy = false;
	spin_unlock(&batch->lock);
	return false;
}

/* Another server may come. */
void ublk_batch_reopen(struct ublk_queue *queue)
{
	struct ublk_batch *batch = queue->batch;

	if (!batch)
		return;
	spin_lock(&batch->lock);
	WARN_ON_ONCE(batch->active || batch->busy || !list_empty(&batch->parked));
	batch->closed = false;
	spin_unlock(&batch->lock);
}
