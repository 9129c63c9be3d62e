// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zero copy: a request's pages stand in the buffer table of one of the server's rings, put there
 * by a command (UBLK_F_SUPPORT_ZERO_COPY). A registered buffer holds the request (slot.h), whatever becomes of the
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
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);

	/* Whoever reads into the pages is not counted: take it that the whole is written. */
	atomic_long_set(&pdu->written, blk_rq_bytes(rq));
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
