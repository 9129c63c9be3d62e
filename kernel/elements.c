// SPDX-License-Identifier: GPL-2.0-only
/*
 * Batches: one command arms many tags, PREP, and one brings many results, COMMIT, an element for
 * each. Any task of the server may commit. How requests come to the server is in batch.c.
 */
#include <linux/bitmap.h>
#include <linux/blk-mq.h>
#include <linux/io_uring/cmd.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "slot.h"
#include "ublk.h"

/* How many results are read from the server at once. */
#define UBLK_BATCH_RESULTS	16

/* The largest element: a header, a buffer's address and a zone's. */
#define UBLK_BATCH_MAX_ELEMENT	(sizeof(struct ublk_elem_header) + 2 * sizeof(u64))

#define UBLK_BATCH_F_ALL	\
	(UBLK_BATCH_F_HAS_ZONE_LBA | UBLK_BATCH_F_HAS_BUF_ADDR | UBLK_BATCH_F_AUTO_BUF_REG_FALLBACK)

/* One element of a PREP or COMMIT; see struct ublk_answer. */
struct ublk_element {
	u16 tag;
	s32 result;
	u64 addr;
	u64 next;
	u64 zone_lba;		/* where a ZONE_APPEND went */
};

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

/**
 * struct ublk_commit - a COMMIT under way
 * @hands: how it lets go of requests while it waits for the memory that one more goes to
 * @ended: requests that are done but for their end
 */
struct ublk_commit {
	struct ublk_hands hands;
	struct io_comp_batch ended;
};

/* A page fault may have to wait for what these hold: their tags. */
static void ublk_commit_lay_down(struct ublk_hands *hands)
{
	ublk_request_end_all(&container_of(hands, struct ublk_commit, hands)->ended);
}

static void ublk_commit_pick_up(struct ublk_hands *hands)
{
}

static int ublk_batch_commit_one(struct ublk_server *server, struct ublk_queue *queue,
				 struct io_uring_cmd *cmd, const struct ublk_element *element,
				 struct ublk_commit *commit, unsigned int issue_flags)
{
	struct ublk_answer answer = {
		.result = element->result,
		.addr = element->addr,
		.next = element->next,
		.ended = &commit->ended,
		.hands = &commit->hands,
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
	struct ublk_commit commit = {
		.hands.lay_down = ublk_commit_lay_down,
		.hands.pick_up = ublk_commit_pick_up,
	};
	int ret = 0;

	while (done < total) {
		struct ublk_element element;

		if (done == read) {
			start = done;
			read = min(total, done + UBLK_BATCH_RESULTS * header->elem_bytes);
			ublk_commit_lay_down(&commit.hands);
			ret = -EFAULT;
			if (copy_from_user(elements, from + start, read - start))
				break;
		}
		element = ublk_batch_decode(queue, header, elements + done - start);
		ret = ublk_batch_commit_one(server, queue, cmd, &element, &commit, issue_flags);
		if (ret)
			break;
		done += header->elem_bytes;
	}
	ublk_request_end_all(&commit.ended);
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
