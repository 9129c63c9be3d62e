// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zero copy: a request's pages stand in the buffer table of one of the server's rings, put there
 * by a command (UBLK_F_SUPPORT_ZERO_COPY) or before the server sees the request
 * (UBLK_F_AUTO_BUF_REG). A registered buffer holds the request (slot.h), whatever becomes of the
 * server: io_uring lets go of it when the buffer is replaced or the ring goes.
 */
#include <linux/blk-mq.h>
#include <linux/io_uring/cmd.h>

#include "slot.h"
#include "ublk.h"

/* In any context that io_uring unregisters buffers from: process, maybe under uring_lock. */
static void ublk_zerocopy_release(void *rq)
{
	/* The module can go with the request, and we are code, too: see ublk_device_release(). */
	guard(rcu)();
	ublk_request_let_go(rq);
}

/* Put the pages of @rq, which the caller holds for the buffer, into the ring of @cmd. */
static int ublk_zerocopy_put(struct io_uring_cmd *cmd, struct request *rq, unsigned int index,
			     unsigned int issue_flags)
{
	/* Whoever reads into the pages is not seen: take it that the whole is written. */
	ublk_filled_all(rq);
	return io_buffer_register_request(cmd, rq, ublk_zerocopy_release, index, issue_flags);
}

/**
 * ublk_zerocopy_register() - REGISTER_IO_BUF
 * @slot: the tag the server names
 * @cmd: of any of the server's tasks, in the ring that gets the buffer
 * @index: where in the ring's buffer table
 * @issue_flags: of @cmd
 *
 * Return: 0, or -EINVAL if the server does not have the request, or it has no data; or what
 * io_uring says of @index.
 */
int ublk_zerocopy_register(struct ublk_slot *slot, struct io_uring_cmd *cmd, u64 index,
			   unsigned int issue_flags)
{
	struct request *rq;
	int ret = -EINVAL;

	if (!(slot->queue->features & UBLK_F_SUPPORT_ZERO_COPY) || index > U32_MAX)
		return -EINVAL;
	rq = ublk_request_hold(slot);
	if (!rq)
		return -EINVAL;
	if (blk_rq_has_data(rq))
		ret = ublk_zerocopy_put(cmd, rq, index, issue_flags);
	if (ret)
		ublk_request_let_go(rq);
	return ret;
}

/* UNREGISTER_IO_BUF: what stands at @index says which request it is about. */
int ublk_zerocopy_unregister(struct ublk_device *dev, struct io_uring_cmd *cmd, u64 index,
			     unsigned int issue_flags)
{
	if (!(dev->info.flags & UBLK_F_SUPPORT_ZERO_COPY) || index > U32_MAX)
		return -EINVAL;
	return io_buffer_unregister(cmd, index, issue_flags);
}

/**
 * ublk_zerocopy_next_buffer() - where the slot's next request is to be registered
 * @queue: of the slot
 * @cmd: FETCH or COMMIT
 * @buffer: replaced if the queue registers buffers: a struct ublk_auto_buf_reg, as in sqe->addr
 *
 * Return: 0 or -EINVAL.
 */
int ublk_zerocopy_next_buffer(const struct ublk_queue *queue, struct io_uring_cmd *cmd,
			      u64 *buffer)
{
	struct ublk_auto_buf_reg reg;

	if (!(queue->features & UBLK_F_AUTO_BUF_REG))
		return 0;
	*buffer = ublk_cmd_sqe_addr(cmd);
	reg = ublk_sqe_addr_to_auto_buf_reg(*buffer);
	if (reg.reserved0 || reg.reserved1 || (reg.flags & ~UBLK_AUTO_BUF_REG_F_MASK))
		return -EINVAL;
	return 0;
}

/**
 * ublk_zerocopy_attach() - register the buffer of a request that is about to be delivered
 * @slot: CLAIMED, its holders counted and its descriptor written
 * @rq: the request
 * @cmd: of the ring that gets the buffer
 * @issue_flags: of @cmd
 *
 * Return: whether the request can be delivered: it has its buffer, or it needs none, or the
 * server was ready to do without and is told to.
 */
bool ublk_zerocopy_attach(struct ublk_slot *slot, struct request *rq, struct io_uring_cmd *cmd,
			  unsigned int issue_flags)
{
	struct ublk_auto_buf_reg reg = ublk_sqe_addr_to_auto_buf_reg(slot->addr);
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);
	size_t filled = pdu->filled;

	pdu->buffer_ring = NULL;
	if (!(slot->queue->features & UBLK_F_AUTO_BUF_REG) || !blk_rq_has_data(rq))
		return true;

	ublk_slot_hold(slot);
	if (!ublk_zerocopy_put(cmd, rq, reg.index, issue_flags)) {
		pdu->buffer_ring = io_uring_cmd_ctx_handle(cmd);
		pdu->buffer_index = reg.index;
		return true;
	}
	/* Not the last holder: the slot is still ours. */
	ublk_slot_let_go(slot);
	pdu->filled = filled;
	if (!(reg.flags & UBLK_AUTO_BUF_REG_FALLBACK))
		return false;
	ublk_queue_desc(slot->queue, slot->tag)->op_flags |= UBLK_IO_F_NEED_REG_BUF;
	return true;
}

/**
 * ublk_zerocopy_detach() - the server is done with the buffer that came with the request
 * @slot: the caller's, with the request
 * @cmd: of the server; only the ring that the buffer stands in can let go of it, so from another
 *	one the server must unregister it itself
 * @issue_flags: of @cmd
 */
void ublk_zerocopy_detach(struct ublk_slot *slot, struct io_uring_cmd *cmd,
			  unsigned int issue_flags)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(slot->rq);
	const void *ring;

	if (!(slot->queue->features & UBLK_F_AUTO_BUF_REG))
		return;
	ring = pdu->buffer_ring;
	pdu->buffer_ring = NULL;
	if (ring && ring == io_uring_cmd_ctx_handle(cmd))
		io_buffer_unregister(cmd, pdu->buffer_index, issue_flags);
}
