// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches: one command arms many tags, one brings many results, and one that stays parked tells
 * of many requests. Tags still change hands in their slots; but a slot has no command of its own
 * here, and belongs to no task: any task of the server may commit.
 *
 * Requests on their way to the server wait in the queue's inbox until a parked FETCH is there to
 * carry them. At most one FETCH of a queue is active: it has been sent to its task, to empty the
 * inbox there; the others are in a list. Who takes a FETCH off the list answers it, or puts it
 * back. When the server is gone, the inbox is emptied by whoever comes first.
 */
#include <linux/bitmap.h>
#include <linux/blk-mq.h>
#include <linux/io_uring/cmd.h>
#include <linux/llist.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "slot.h"
#include "ublk.h"

/* How many tags one completion can bring. */
#define UBLK_BATCH_TAGS		64

/* How many results are read from the server at once. */
#define UBLK_BATCH_RESULTS	16

/* The largest element: a header, a buffer's address and a zone's. */
#define UBLK_BATCH_MAX_ELEMENT	(sizeof(struct ublk_elem_header) + 2 * sizeof(u64))

#define UBLK_BATCH_F_ALL	\
	(UBLK_BATCH_F_HAS_ZONE_LBA | UBLK_BATCH_F_HAS_BUF_ADDR | UBLK_BATCH_F_AUTO_BUF_REG_FALLBACK)

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

/* One element of a PREP or COMMIT; see struct ublk_answer. */
struct ublk_element {
	u16 tag;
	s32 result;
	u64 addr;
	u64 next;
	u64 zone_lba;		/* where a ZONE_APPEND went */
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

/* The server was not told of the request in @slot, and will not be. */
static void ublk_batch_recall(struct ublk_slot *slot, struct io_uring_cmd *cmd,
			      unsigned int issue_flags)
{
	struct request *rq;

	/* It may have committed all the same. */
	if (!ublk_slot_take(slot))
		return;
	rq = slot->rq;
	ublk_zerocopy_detach(slot, cmd, issue_flags);
	ublk_slot_rearm(slot, NULL, slot->addr);
	ublk_request_reject(rq);
}

/* Returns false if the server's memory is not there. */
static bool ublk_batch_write_tags(void __user *to, u16 *tags, struct request *const *requests,
				  unsigned int count)
{
	bool written;

	for (unsigned int i = 0; i < count; i++)
		tags[i] = requests[i]->tag;
	pagefault_disable();
	written = !copy_to_user(to, tags, count * sizeof(u16));
	pagefault_enable();
	return written;
}

/*
 * Wait for the memory that the tags go to, without the requests: see copy.c. Sets how many there
 * still are, and returns whether there is memory now.
 */
static bool ublk_batch_await_memory(struct ublk_queue *queue, void __user *to,
				    struct request **requests, unsigned int *count)
{
	struct ublk_server *server = queue->dev->server;
	unsigned int left = 0;
	bool there;

	for (unsigned int i = 0; i < *count; i++)
		ublk_slot_begin_fault(ublk_request_slot(requests[i]), requests[i],
				      UBLK_SLOT_CLAIMED);
	ublk_server_begin_fault(server);
	there = !fault_in_safe_writeable(to, *count * sizeof(u16));
	ublk_server_end_fault(server);
	if (!there && fatal_signal_pending(current)) {
		/* The requests are taken back as usual. */
		ublk_server_lost(server, NULL);
		*count = 0;
		return false;
	}

	for (unsigned int i = 0; i < *count; i++) {
		struct ublk_slot *slot = ublk_request_slot(requests[i]);

		if (ublk_slot_end_fault(slot, UBLK_SLOT_CLAIMED))
			requests[left++] = requests[i];
	}
	*count = left;
	return there;
}

/* Tell the server of requests that are prepared. Returns 0 or -errno, which ends the command. */
static int ublk_batch_tell(struct ublk_queue *queue, struct io_uring_cmd *cmd,
			   struct request **requests, unsigned int count,
			   struct io_br_sel *selected, unsigned int issue_flags)
{
	u16 tags[UBLK_BATCH_TAGS];
	int tries = 0;
	bool fault;

	while ((fault = !ublk_batch_write_tags(selected->addr, tags, requests, count))) {
		if (++tries > UBLK_FAULT_TRIES ||
		    !ublk_batch_await_memory(queue, selected->addr, requests, &count))
			break;
	}

	/* First the slots: once told, the server may commit at once and from any task. */
	for (unsigned int i = 0; i < count; i++) {
		if (fault)
			ublk_request_withdraw(requests[i], cmd, issue_flags);
		else
			ublk_slot_deliver(&queue->slots[tags[i]], requests[i]);
	}

	/* Without bytes the server gets its buffer back and no completion. */
	selected->val = fault ? 0 : count * sizeof(u16);
	if (!io_uring_mshot_cmd_post_cqe(cmd, selected, issue_flags))
		return 0;
	if (fault)
		return -EFAULT;
	for (unsigned int i = 0; i < count; i++)
		ublk_batch_recall(&queue->slots[tags[i]], cmd, issue_flags);
	return count ? -ENOMEM : 0;
}

/* Fill one of the server's buffers. Returns 0 or -errno, which ends the command. */
static int ublk_batch_deliver(struct ublk_queue *queue, struct io_uring_cmd *cmd,
			      unsigned int issue_flags)
{
	struct ublk_fetch *fetch = io_uring_cmd_to_pdu(cmd, struct ublk_fetch);
	struct request *requests[UBLK_BATCH_TAGS];
	struct io_br_sel selected;
	unsigned int count = 0;
	size_t room = 0;
	int ret;

	selected = io_uring_cmd_buffer_select(cmd, fetch->group, &room, issue_flags);
	if (selected.val < 0)
		return selected.val;
	if (!selected.addr)
		return -ENOBUFS;

	room = min(room / sizeof(u16), ARRAY_SIZE(requests));
	while (count < room) {
		struct request *rq = ublk_batch_pop(queue->batch);

		if (!rq)
			break;
		if (ublk_request_prepare(rq, cmd, issue_flags))
			requests[count++] = rq;
	}
	ret = ublk_batch_tell(queue, cmd, requests, count, &selected, issue_flags);
	return ret ?: (room ? 0 : -EINVAL);
}

/* Returns false if that is not the caller's task any more. */
static bool ublk_batch_begin_to_empty(struct ublk_batch *batch)
{
	guard(spinlock)(&batch->lock);

	if (batch->closed)
		return false;
	batch->busy = true;
	return true;
}

/* In the task of an active FETCH: empty the inbox, then let another one do so. */
static void ublk_batch_carry(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead)
{
	struct ublk_fetch *fetch = io_uring_cmd_to_pdu(cmd, struct ublk_fetch);
	struct ublk_queue *queue = fetch->queue;
	struct ublk_batch *batch = queue->batch;
	struct ublk_fetch *next;
	bool busy = false;
	int ret = UBLK_IO_RES_ABORT;

	if (dead)
		ublk_server_dismiss(queue->dev);
	else
		busy = ublk_batch_begin_to_empty(batch);
	if (busy)
		ret = ublk_batch_deliver(queue, cmd, issue_flags);

	spin_lock(&batch->lock);
	batch->active = false;
	if (busy)
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

/* FETCH_IO_CMDS: parks until the server goes, or what it needs runs out. */
static int ublk_batch_fetch(struct ublk_queue *queue, struct io_uring_cmd *cmd,
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

	spin_lock(&batch->lock);
	batch->closed = true;
	while ((fetch = list_first_entry_or_null(&batch->parked, struct ublk_fetch, node))) {
		list_del_init(&fetch->node);
		spin_unlock(&batch->lock);
		io_uring_cmd_done(ublk_fetch_cmd(fetch), UBLK_IO_RES_ABORT, IO_URING_F_UNLOCKED);
		spin_lock(&batch->lock);
	}
	spin_unlock(&batch->lock);
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

/* What PREP and COMMIT say of their elements must be right whatever the elements are. */
static int ublk_batch_check(const struct ublk_queue *queue, const struct ublk_batch_io *header)
{
	size_t size = sizeof(struct ublk_elem_header);

	if (header->nr_elem > queue->depth)
		return -E2BIG;
	if (header->flags & ~UBLK_BATCH_F_ALL)
		return -EINVAL;
	if ((header->flags & UBLK_BATCH_F_HAS_ZONE_LBA) && !(queue->features & UBLK_F_ZONED))
		return -EINVAL;
	if ((header->flags & UBLK_BATCH_F_HAS_BUF_ADDR) && !ublk_queue_copies(queue))
		return -EINVAL;
	if ((header->flags & UBLK_BATCH_F_AUTO_BUF_REG_FALLBACK) &&
	    !(queue->features & UBLK_F_AUTO_BUF_REG))
		return -EINVAL;
	if (header->flags & UBLK_BATCH_F_HAS_BUF_ADDR)
		size += sizeof(u64);
	if (header->flags & UBLK_BATCH_F_HAS_ZONE_LBA)
		size += sizeof(u64);
	return header->elem_bytes == size ? 0 : -EINVAL;
}

/* Of an element that was copied from the server. */
static struct ublk_element ublk_batch_decode(const struct ublk_queue *queue,
					     const struct ublk_batch_io *header, const void *from)
{
	struct ublk_auto_buf_reg reg = {};
	struct ublk_element element = {};
	struct ublk_elem_header head;

	memcpy(&head, from, sizeof(head));
	from += sizeof(head);
	if (header->flags & UBLK_BATCH_F_HAS_BUF_ADDR) {
		memcpy(&element.addr, from, sizeof(element.addr));
		from += sizeof(element.addr);
	}
	if (header->flags & UBLK_BATCH_F_HAS_ZONE_LBA)
		memcpy(&element.zone_lba, from, sizeof(element.zone_lba));

	element.tag = head.tag;
	element.result = head.result;
	element.next = element.addr;
	if (queue->features & UBLK_F_AUTO_BUF_REG) {
		reg.index = head.buf_index;
		if (header->flags & UBLK_BATCH_F_AUTO_BUF_REG_FALLBACK)
			reg.flags = UBLK_AUTO_BUF_REG_FALLBACK;
		element.next = ublk_auto_buf_reg_to_sqe_addr(&reg);
	}
	return element;
}

/* The slots must be EMPTY, and not one be named twice. */
static int ublk_batch_check_prep(struct ublk_queue *queue, const struct ublk_batch_io *header,
				 const void *elements, unsigned long *seen)
{
	for (unsigned int i = 0; i < header->nr_elem; i++) {
		struct ublk_element element;

		element = ublk_batch_decode(queue, header, elements + i * header->elem_bytes);
		if (element.tag >= queue->depth)
			return -EINVAL;
		element.tag = array_index_nospec(element.tag, queue->depth);
		if (ublk_queue_copies(queue) && !element.addr)
			return -EINVAL;
		if (__test_and_set_bit(element.tag, seen) ||
		    !ublk_slot_is_empty(&queue->slots[element.tag]))
			return -EINVAL;
	}
	return 0;
}

/* All or nothing, which nobody sees done halfway: that is what the lock is for. */
static int ublk_batch_prep_locked(struct ublk_server *server, struct ublk_queue *queue,
				  const struct ublk_batch_io *header, const void *elements,
				  unsigned long *seen)
{
	int ret;

	lockdep_assert_held(&server->dev->lock);

	if (ublk_server_is_gone(server))
		return UBLK_IO_RES_ABORT;
	if (server->state == UBLK_SERVER_READY)
		return -EBUSY;
	ret = ublk_batch_check_prep(queue, header, elements, seen);
	if (ret)
		return ret;

	for (unsigned int i = 0; i < header->nr_elem; i++) {
		struct ublk_element element;

		element = ublk_batch_decode(queue, header, elements + i * header->elem_bytes);
		ublk_slot_arm(&queue->slots[element.tag], NULL, element.next);
	}
	ublk_server_count_fetched(server, header->nr_elem);
	return 0;
}

/* PREP_IO_CMDS: what FETCH is for one tag, without a command that parks. */
static int ublk_batch_prep(struct ublk_server *server, struct ublk_queue *queue,
			   struct io_uring_cmd *cmd, const struct ublk_batch_io *header)
{
	unsigned long *seen;
	void *elements;
	int ret;

	elements = vmemdup_user(u64_to_user_ptr(ublk_cmd_sqe_addr(cmd)),
				header->nr_elem * header->elem_bytes);
	if (IS_ERR(elements))
		return PTR_ERR(elements);
	ret = -ENOMEM;
	seen = bitmap_zalloc(queue->depth, GFP_KERNEL);
	if (!seen)
		goto out;

	spin_lock(&server->dev->lock);
	ret = ublk_batch_prep_locked(server, queue, header, elements, seen);
	spin_unlock(&server->dev->lock);

	bitmap_free(seen);
out:
	kvfree(elements);
	return ret;
}

static int ublk_batch_commit_one(struct ublk_server *server, struct ublk_queue *queue,
				 struct io_uring_cmd *cmd, const struct ublk_element *element,
				 struct io_comp_batch *ended, unsigned int issue_flags)
{
	struct ublk_answer answer = {
		.result = element->result,
		.addr = element->addr,
		.next = element->next,
		.ended = ended,
	};
	struct ublk_slot *slot;

	if (element->tag >= queue->depth)
		return -EINVAL;
	slot = &queue->slots[array_index_nospec(element->tag, queue->depth)];
	if (!ublk_slot_is_served(slot))
		goto not_served;
	if (!ublk_request_addr_is_valid(slot, element->addr))
		return -EINVAL;
	if (ublksrv_get_op(ublk_queue_desc(queue, slot->tag)) == UBLK_IO_OP_ZONE_APPEND)
		answer.addr = element->zone_lba;
	if (!ublk_slot_take(slot))
		goto not_served;
	ublk_request_finish(slot, cmd, &answer, issue_flags);
	return 0;

not_served:
	return ublk_server_is_gone(server) ? UBLK_IO_RES_ABORT : -EBUSY;
}

/*
 * COMMIT_IO_CMDS, up to the first element that cannot be committed. Returns how many bytes of
 * elements were, or why the first one was not.
 */
static int ublk_batch_commit(struct ublk_server *server, struct ublk_queue *queue,
			     struct io_uring_cmd *cmd, const struct ublk_batch_io *header,
			     unsigned int issue_flags)
{
	const void __user *from = u64_to_user_ptr(ublk_cmd_sqe_addr(cmd));
	u8 elements[UBLK_BATCH_RESULTS * UBLK_BATCH_MAX_ELEMENT];
	unsigned int total = header->nr_elem * header->elem_bytes;
	unsigned int done = 0, read = 0, start = 0;
	DEFINE_IO_COMP_BATCH(ended);
	int ret = 0;

	while (done < total) {
		struct ublk_element element;

		if (done == read) {
			start = done;
			read = min(total, done + UBLK_BATCH_RESULTS * header->elem_bytes);
			/* A page fault may have to wait for what these hold: their tags. */
			ublk_request_end_all(&ended);
			ret = -EFAULT;
			if (copy_from_user(elements, from + start, read - start))
				break;
		}
		element = ublk_batch_decode(queue, header, elements + done - start);
		ret = ublk_batch_commit_one(server, queue, cmd, &element, &ended, issue_flags);
		if (ret)
			break;
		done += header->elem_bytes;
	}
	ublk_request_end_all(&ended);
	return done ?: ret;
}

/**
 * ublk_batch_handle() - PREP, COMMIT and FETCH of batches
 * @server: where @cmd came in
 * @cmd: the command
 * @opcode: its number
 * @issue_flags: of @cmd; any of the server's tasks may run it
 *
 * Return: 0, -EIOCBQUEUED or -errno.
 */
int ublk_batch_handle(struct ublk_server *server, struct io_uring_cmd *cmd, int opcode,
		      unsigned int issue_flags)
{
	const struct ublk_batch_io *payload = ublk_cmd_payload(cmd, struct ublk_batch_io);
	const struct ublk_batch_io header = {
		.q_id = READ_ONCE(payload->q_id),
		.flags = READ_ONCE(payload->flags),
		.nr_elem = READ_ONCE(payload->nr_elem),
		.elem_bytes = READ_ONCE(payload->elem_bytes),
	};
	const struct ublksrv_ctrl_dev_info *info = &server->dev->info;
	struct ublk_queue *queue;
	int ret;

	if (!(info->flags & UBLK_F_BATCH_IO) || header.q_id >= info->nr_hw_queues)
		return -EINVAL;
	queue = &server->dev->queues[array_index_nospec(header.q_id, info->nr_hw_queues)];
	if (opcode == _IOC_NR(UBLK_U_IO_FETCH_IO_CMDS))
		return ublk_batch_fetch(queue, cmd, &header, issue_flags);

	ret = ublk_batch_check(queue, &header);
	if (ret)
		return ret;
	if (opcode == _IOC_NR(UBLK_U_IO_PREP_IO_CMDS))
		return ublk_batch_prep(server, queue, cmd, &header);
	ret = ublk_batch_commit(server, queue, cmd, &header, issue_flags);
	if (ret <= 0)
		return ret;
	io_uring_cmd_done(cmd, ret, issue_flags);
	return -EIOCBQUEUED;
}
