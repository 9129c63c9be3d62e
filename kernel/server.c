// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's side of a device: FETCH and COMMIT. Nothing of what comes in here is trusted; it is
 * read once and checked before it is used.
 */
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/nospec.h>
#include <linux/slab.h>

#include "slot.h"
#include "ublk.h"

/* The rest of FETCH, under the lock. */
static int ublk_server_fetch_locked(struct ublk_server *server, struct ublk_slot *slot,
				    struct io_uring_cmd *cmd, u64 addr, struct ublk_ring **spare)
{
	struct ublk_device *dev = server->dev;

	lockdep_assert_held(&dev->lock);

	if (ublk_server_is_gone(server))
		return UBLK_IO_RES_ABORT;
	if (server->state == UBLK_SERVER_READY)
		return -EBUSY;
	if (!ublk_slot_is_empty(slot))
		return -EINVAL;

	slot->ring = ublk_server_get_ring(server, io_uring_cmd_ctx_handle(cmd), spare);
	WRITE_ONCE(slot->task, current);
	ublk_slot_arm(slot, cmd, addr);
	ublk_server_count_fetched(server, 1);
	return 0;
}

/* Is this a buffer for the requests to come, where one is needed, and none where none is used? */
static bool ublk_server_may_fetch_with(const struct ublk_queue *queue, u64 addr)
{
	if (!ublk_queue_copies(queue))
		return !addr;
	return addr || (queue->features & UBLK_F_NEED_GET_DATA);
}

static int ublk_server_fetch(struct ublk_server *server, struct ublk_slot *slot,
			     struct io_uring_cmd *cmd, u64 addr, unsigned int issue_flags)
{
	struct ublk_ring *spare;
	int ret;

	if (!ublk_server_may_fetch_with(slot->queue, addr) ||
	    ublk_zerocopy_next_buffer(slot->queue, cmd, &addr))
		return -EINVAL;
	spare = kzalloc_obj(*spare, GFP_KERNEL_ACCOUNT);
	if (!spare)
		return -ENOMEM;

	/* Before others can see the command: they may answer it, which undoes the mark. */
	io_uring_cmd_to_pdu(cmd, struct ublk_parked)->slot = slot;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);

	spin_lock(&server->dev->lock);
	ret = ublk_server_fetch_locked(server, slot, cmd, addr, &spare);
	spin_unlock(&server->dev->lock);

	kfree(spare);
	if (ret)
		io_uring_cmd_done(cmd, ret, issue_flags);
	return -EIOCBQUEUED;
}

/* The task goes on with another io_uring than the one it fetched the slot with. */
static int ublk_server_change_ring(struct ublk_server *server, struct ublk_slot *slot,
				   const void *io_uring)
{
	struct ublk_ring *spare = kzalloc_obj(*spare, GFP_KERNEL_ACCOUNT);
	struct ublk_ring *old;

	if (!spare)
		return -ENOMEM;

	spin_lock(&server->dev->lock);
	old = slot->ring;
	slot->ring = ublk_server_get_ring(server, io_uring, &spare);
	ublk_server_drop_ring(server, old);
	spin_unlock(&server->dev->lock);

	kfree(spare);
	return 0;
}

/* Why the server cannot answer a tag. */
static int ublk_server_no_request(struct ublk_server *server, const struct ublk_slot *slot)
{
	if (ublk_slot_is_offered(slot))
		return -EINVAL;
	return ublk_server_is_gone(server) ? UBLK_IO_RES_ABORT : -EBUSY;
}

static int ublk_server_commit(struct ublk_server *server, struct ublk_slot *slot,
			      struct io_uring_cmd *cmd, u64 addr, s32 result,
			      unsigned int issue_flags)
{
	struct ublk_answer answer = {
		.result = result,
		.addr = addr,
		.next = ublk_queue_copies(slot->queue) ? addr : 0,
		.park = cmd,
		.hands = &ublk_empty_hands,
	};
	const void *io_uring = io_uring_cmd_ctx_handle(cmd);
	int ret;

	/* From here on nobody else commits this slot or changes its ring. */
	if (READ_ONCE(slot->task) != current)
		return -EINVAL;
	if (!ublk_slot_is_served(slot))
		return ublk_server_no_request(server, slot);
	if (!ublk_request_addr_is_valid(slot, addr) ||
	    ublk_zerocopy_next_buffer(slot->queue, cmd, &answer.next))
		return -EINVAL;
	if (unlikely(slot->ring->io_uring != io_uring)) {
		ret = ublk_server_change_ring(server, slot, io_uring);
		if (ret)
			return ret;
	}
	if (!ublk_slot_take(slot))
		return UBLK_IO_RES_ABORT;

	io_uring_cmd_to_pdu(cmd, struct ublk_parked)->slot = slot;
	io_uring_cmd_mark_cancelable(cmd, issue_flags);
	if (!ublk_request_finish(slot, cmd, &answer, issue_flags))
		io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, issue_flags);
	return -EIOCBQUEUED;
}

static int ublk_server_get_data(struct ublk_server *server, struct ublk_slot *slot, u64 addr)
{
	if (READ_ONCE(slot->task) != current || !addr)
		return -EINVAL;
	if (ublk_slot_is_served(slot))
		return -EINVAL;
	if (ublk_slot_take_offered(slot))
		return ublk_request_get_data(slot, addr);
	return ublk_server_is_gone(server) ? UBLK_IO_RES_ABORT : -EBUSY;
}

/* The plain number of an opcode in either encoding, or -errno. */
static int ublk_server_opcode(u32 cmd_op)
{
	if (_IOC_TYPE(cmd_op) != 'u' && _IOC_TYPE(cmd_op) != 0)
		return -EOPNOTSUPP;
	return _IOC_NR(cmd_op);
}

/* In the task that submitted the command, with its uring_lock held. */
static int ublk_server_handle(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	const struct ublksrv_io_cmd *payload = ublk_cmd_payload(cmd, struct ublksrv_io_cmd);
	struct ublk_server *server = cmd->file->private_data;
	const struct ublksrv_ctrl_dev_info *info = &server->dev->info;
	u16 queue = READ_ONCE(payload->q_id);
	u16 tag = READ_ONCE(payload->tag);
	s32 result = READ_ONCE(payload->result);
	u64 addr = READ_ONCE(payload->addr);
	int opcode = ublk_server_opcode(cmd->cmd_op);
	struct ublk_slot *slot;

	if (opcode < 0)
		return opcode;
	if (opcode == _IOC_NR(UBLK_U_IO_UNREGISTER_IO_BUF))
		return ublk_zerocopy_unregister(server->dev, cmd, addr, issue_flags);
	if (opcode >= _IOC_NR(UBLK_U_IO_PREP_IO_CMDS) && opcode <= _IOC_NR(UBLK_U_IO_FETCH_IO_CMDS))
		return ublk_batch_handle(server, cmd, opcode, issue_flags);
	if (queue >= info->nr_hw_queues || tag >= info->queue_depth)
		return -EINVAL;
	queue = array_index_nospec(queue, info->nr_hw_queues);
	tag = array_index_nospec(tag, info->queue_depth);
	slot = &server->dev->queues[queue].slots[tag];

	if (slot->queue->batch && opcode != _IOC_NR(UBLK_U_IO_REGISTER_IO_BUF))
		return -EOPNOTSUPP;

	switch (opcode) {
	case UBLK_IO_FETCH_REQ:
		return ublk_server_fetch(server, slot, cmd, addr, issue_flags);
	case UBLK_IO_COMMIT_AND_FETCH_REQ:
		return ublk_server_commit(server, slot, cmd, addr, result, issue_flags);
	case UBLK_IO_NEED_GET_DATA:
		return ublk_server_get_data(server, slot, addr);
	case _IOC_NR(UBLK_U_IO_REGISTER_IO_BUF):
		return ublk_zerocopy_register(slot, cmd, addr, issue_flags);
	default:
		return -EINVAL;
	}
}

static void ublk_server_handle_late(struct io_uring_cmd *cmd, unsigned int issue_flags,
				    bool dead)
{
	int ret = dead ? UBLK_IO_RES_ABORT : ublk_server_handle(cmd, issue_flags);

	if (ret != -EIOCBQUEUED)
		io_uring_cmd_done(cmd, ret, issue_flags);
}

UBLK_DEFINE_CMD_TASK_WORK(ublk_server_handle_in_task, ublk_server_handle_late)

/* io_uring wants the parked command back: its task exits, execs, or its ring is closed. */
static void ublk_server_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct ublk_slot *slot = io_uring_cmd_to_pdu(cmd, struct ublk_parked)->slot;
	struct ublk_server *server = cmd->file->private_data;
	struct io_uring_cmd *parked;

	ublk_server_lost(server, slot->ring);

	/* A command that a request has claimed is answered by the task work under way. */
	parked = ublk_slot_cancel(slot);
	if (parked)
		io_uring_cmd_done(parked, UBLK_IO_RES_ABORT, issue_flags);
}

/**
 * ublk_server_uring_cmd() - a command for /dev/ublkcN, or one that io_uring wants back
 * @cmd: the command
 * @issue_flags: say which, and whether this is the task that submitted it
 *
 * Return: -EIOCBQUEUED, or how it ended.
 */
int ublk_server_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct ublk_server *server = cmd->file->private_data;

	if (issue_flags & IO_URING_F_CANCEL) {
		if (server->dev->info.flags & UBLK_F_BATCH_IO)
			ublk_batch_cancel(cmd, issue_flags);
		else
			ublk_server_cancel(cmd, issue_flags);
		return 0;
	}
	/* A worker thread is not the task that a slot belongs to. */
	if (issue_flags & IO_URING_F_UNLOCKED) {
		io_uring_cmd_complete_in_task(cmd, ublk_server_handle_in_task);
		return -EIOCBQUEUED;
	}
	return ublk_server_handle(cmd, issue_flags);
}
