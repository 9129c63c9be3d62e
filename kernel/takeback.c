// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server is gone: how everything it held is taken back, whatever it was doing. No step waits
 * for the server, and none needs it to cooperate. What becomes of its requests depends on the
 * device's state (state.c).
 */
#include <linux/blk-mq.h>
#include <linux/delay.h>
#include <linux/io_uring/cmd.h>
#include <linux/list.h>
#include <linux/llist.h>

#include "slot.h"
#include "ublk.h"

/* How soon to look again at slots that were just changing hands. */
#define UBLK_SWEEP_MSECS	10
#define UBLK_SWEEP_INTERVAL	msecs_to_jiffies(UBLK_SWEEP_MSECS)

/* Will nobody commit what the slot's task has, or in a batch the server? */
static bool ublk_server_slot_is_lost(struct ublk_device *dev, const struct ublk_slot *slot)
{
	/* The lock keeps the ring. A task that goes to another one just then is late. */
	guard(spinlock)(&dev->lock);
	return slot->ring ? slot->ring->lost : dev->server->lost;
}

/* Returns false if there is no command to answer any more. */
static bool ublk_server_take_command(struct ublk_slot *slot)
{
	struct io_uring_cmd *cmd = ublk_slot_cancel(slot);

	if (cmd)
		ublk_answer_abort(cmd, IO_URING_F_UNLOCKED);
	return cmd;
}

/* Returns false if there is no request to take back any more. */
static bool ublk_server_take_request(struct ublk_slot *slot)
{
	struct request *rq = ublk_slot_abort(slot);

	if (rq)
		ublk_request_abort(rq);
	return rq;
}

/* Take back what a slot holds. Returns false if the slot must be looked at again. */
static bool ublk_server_sweep_slot(struct ublk_device *dev, struct ublk_slot *slot)
{
	switch (ublk_slot_look(slot)) {
	case UBLK_SLOT_ARMED:
	case UBLK_SLOT_PINNED:
		return ublk_server_take_command(slot);
	case UBLK_SLOT_FAULTING:
		return ublk_server_slot_is_lost(dev, slot) && ublk_server_take_request(slot);
	case UBLK_SLOT_OFFERED:
	case UBLK_SLOT_SERVER:
		/* Who can still commit does so without parking: see ublk_server_sweep(). */
		return !ublk_server_slot_is_lost(dev, slot) || ublk_server_take_request(slot);
	case UBLK_SLOT_CLAIMED:
	case UBLK_SLOT_COMMIT:
		return false;
	default:
		return true;
	}
}

/* What is on its way to the task of a lost ring, the newest first. */
static struct llist_node *ublk_server_lost_inbox(struct ublk_server *server)
{
	struct llist_node *inbox = NULL;
	struct ublk_ring *ring;

	guard(spinlock)(&server->dev->lock);
	list_for_each_entry(ring, &server->rings, node) {
		if (ring->lost)
			inbox = llist_del_all(&ring->inbox);
		if (inbox)
			break;
	}
	return inbox;
}

/* Such a task may never come to take it: it may wait for the very disk. */
static void ublk_server_sweep_inboxes(struct ublk_server *server)
{
	struct llist_node *inbox;

	while ((inbox = ublk_server_lost_inbox(server)))
		ublk_request_recall(inbox);
}

/*
 * Returns false if another sweep is needed. A slot that is in SERVER now and is committed later
 * needs none, because the commit sees that the server is gone: the barrier pairs with the
 * exchange that moves such a slot to COMMIT. One that is in COMMIT now needs another, because its
 * commit may have looked before and parks its command yet.
 */
static bool ublk_server_sweep(struct ublk_device *dev)
{
	bool clean = true;

	atomic_long_inc(&dev->counts.sweeps);
	/* Pairs with ublk_slot_take(): either side sees what the other wrote before. */
	smp_mb();
	ublk_server_sweep_inboxes(dev->server);
	for (u16 i = 0; i < dev->info.nr_hw_queues; i++) {
		struct ublk_queue *queue = &dev->queues[i];

		clean &= ublk_batch_close(queue);
		for (u16 tag = 0; tag < queue->depth; tag++)
			clean &= ublk_server_sweep_slot(dev, &queue->slots[tag]);
		cond_resched();
	}
	return clean;
}

/* Runs only while the server's file is open, which keeps the device. */
void ublk_server_gone_work(struct work_struct *work)
{
	struct ublk_device *dev = container_of(work, struct ublk_device, gone_work.work);
	bool again = !ublk_server_sweep(dev);

	spin_lock(&dev->lock);
	if (again && dev->server && dev->server->state == UBLK_SERVER_GONE)
		queue_delayed_work(ublk_server_workqueue, &dev->gone_work, UBLK_SWEEP_INTERVAL);
	spin_unlock(&dev->lock);

	ublk_device_server_left(dev);
}

/* No command is left and no new server is let in yet: nobody else touches the slots' contents. */
static void ublk_server_clear_up(struct ublk_server *server)
{
	struct ublk_device *dev = server->dev;

	/* Batches: no parked command has kept the file open until every slot was at rest. */
	while (!ublk_server_sweep(dev))
		msleep(UBLK_SWEEP_MSECS);

	for (u16 i = 0; i < dev->info.nr_hw_queues; i++) {
		struct ublk_queue *queue = &dev->queues[i];

		ublk_batch_reopen(queue);
		for (u16 tag = 0; tag < queue->depth; tag++) {
			struct ublk_slot *slot = &queue->slots[tag];

			ublk_server_take_request(slot);

			spin_lock(&dev->lock);
			if (slot->ring)
				ublk_server_drop_ring(server, slot->ring);
			ublk_slot_reset(slot);
			spin_unlock(&dev->lock);
		}
		cond_resched();
	}
	WARN_ON_ONCE(!list_empty(&server->rings));
}

/**
 * ublk_server_retire() - the server has closed the device
 * @server: no command of it is left; on return the device has no server
 *
 * Context: may sleep, does not wait for anybody's I/O.
 */
void ublk_server_retire(struct ublk_server *server)
{
	struct ublk_device *dev = server->dev;

	ublk_server_unwatch(server);
	cancel_delayed_work_sync(&dev->gone_work);

	ublk_device_shut(dev);
	ublk_server_clear_up(server);
	ublk_shmem_clear(dev);
	ublk_device_server_closed(dev);
}
