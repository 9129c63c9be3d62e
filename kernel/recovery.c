// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server is gone: how that is noticed, and how everything it held is taken back, whatever it
 * was doing. No step waits for the server, and none needs it to cooperate. What becomes of its
 * requests depends on the device's state (state.c).
 *
 * What tells that a server is gone:
 *  - io_uring asks for a parked command back (server.c); not on 6.1
 *  - the task work that should deliver requests runs elsewhere (request.c)
 *  - its memory is torn down, by exit or exec, noticed by an mmu_notifier
 *  - polling: where io_uring does not ask, when a request takes suspiciously long, while the disk
 *    is being removed, while a task waits for memory, and between being sent away and closing
 */
#include <linux/blk-mq.h>
#include <linux/delay.h>
#include <linux/io_uring/cmd.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat/server_monitor.h"
#include "slot.h"
#include "trace.h"
#include "ublk.h"

/* How long an orphaned command or request may stay unnoticed by polling. */
#define UBLK_POLL_INTERVAL	msecs_to_jiffies(100)

/* How soon to look again at slots that were just changing hands. */
#define UBLK_SWEEP_MSECS	10
#define UBLK_SWEEP_INTERVAL	msecs_to_jiffies(UBLK_SWEEP_MSECS)

/* From here on its commands are answered with UBLK_IO_RES_ABORT. */
static void ublk_server_send_away(struct ublk_server *server, enum ublk_server_state to)
{
	struct ublk_device *dev = server->dev;

	lockdep_assert_held(&dev->lock);

	if (server->state >= to)
		return;
	if (server->state < UBLK_SERVER_GONE && dev->server == server)
		ublk_device_tell(dev, UBLK_EVENT_GONE);
	WRITE_ONCE(server->state, to);
	trace_ublk_server(dev, to);
	wake_up_all(&dev->wait);
	if (to != UBLK_SERVER_GONE)
		return;
	mod_delayed_work(ublk_server_workqueue, &dev->gone_work, 0);
	/* It may still commit what it has, as long as it lives. */
	queue_delayed_work(ublk_server_workqueue, &server->poll, UBLK_POLL_INTERVAL);
}

static void ublk_server_lose_rings(struct ublk_server *server)
{
	struct ublk_ring *ring;

	lockdep_assert_held(&server->dev->lock);

	WRITE_ONCE(server->lost, true);
	list_for_each_entry(ring, &server->rings, node)
		ring->lost = true;
}

static void ublk_server_lost_locked(struct ublk_server *server, struct ublk_ring *ring)
{
	struct ublk_device *dev = server->dev;

	lockdep_assert_held(&dev->lock);

	if (ring)
		ring->lost = true;
	else
		ublk_server_lose_rings(server);
	ublk_server_send_away(server, UBLK_SERVER_GONE);
	/* It may have been gone before, but for another reason. */
	if (server->state == UBLK_SERVER_GONE)
		mod_delayed_work(ublk_server_workqueue, &dev->gone_work, 0);
}

/**
 * ublk_server_lost() - the server, or one of its tasks, has died or let go of the device
 * @server: kept from going away by the caller, by a command or an open file
 * @ring: what it will not commit any more; NULL: everything
 *
 * A server is gone as a whole, because no tag can be served by anybody else. What its other
 * tasks hold they may still commit.
 *
 * Context: any but hard interrupt; does not sleep.
 */
void ublk_server_lost(struct ublk_server *server, struct ublk_ring *ring)
{
	guard(spinlock)(&server->dev->lock);
	ublk_server_lost_locked(server, ring);
}

/* The device has no use for its server any more. */
void ublk_server_dismiss_locked(struct ublk_device *dev)
{
	lockdep_assert_held(&dev->lock);

	if (dev->server)
		ublk_server_send_away(dev->server, UBLK_SERVER_GONE);
}

/* The same for whoever does not hold the lock. */
void ublk_server_dismiss(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);
	ublk_server_dismiss_locked(dev);
}

static bool ublk_queue_has_parked(struct ublk_queue *queue)
{
	if (queue->batch)
		return ublk_batch_has_parked(queue);
	for (u16 tag = 0; tag < queue->depth; tag++) {
		if (ublk_slot_is_parked(&queue->slots[tag]))
			return true;
	}
	return false;
}

/* Does each queue have a command by which the server can be told to leave? */
bool ublk_server_can_be_told(struct ublk_device *dev)
{
	for (u16 i = 0; i < dev->info.nr_hw_queues; i++) {
		if (!ublk_queue_has_parked(&dev->queues[i]))
			return false;
	}
	return true;
}

/**
 * ublk_server_orphan() - find out what becomes of a request without a server
 * @rq: given up by the caller; started or not
 * @delivered: a server had it, and may have done it in part
 *
 * What waits is neither started nor known to a timeout. Whoever changes what a request's fate
 * depends on does so under the lock and then kicks the list, so no request waits for nothing.
 *
 * Context: any but hard interrupt; does not sleep.
 */
void ublk_server_orphan(struct request *rq, bool delivered)
{
	struct ublk_queue *queue = rq->mq_hctx->driver_data;
	struct ublk_device *dev = queue->dev;
	enum ublk_fate fate;

	atomic_long_inc(&dev->counts.orphans);
	spin_lock(&dev->lock);
	fate = ublk_device_fate(dev, delivered);
	if (fate != UBLK_FATE_FAIL)
		blk_mq_requeue_request(rq, fate == UBLK_FATE_RETRY);
	spin_unlock(&dev->lock);

	if (fate == UBLK_FATE_FAIL)
		ublk_request_fail(rq);
}

/* Take back the request that a lost ring's task has, or in a batch a lost server. */
static struct request *ublk_server_abort_lost(struct ublk_device *dev, struct ublk_slot *slot)
{
	struct request *rq = NULL;

	/* The lock keeps slot->ring: a task changes it only while it holds the lock. */
	spin_lock(&dev->lock);
	if (slot->ring ? slot->ring->lost : dev->server->lost)
		rq = ublk_slot_abort(slot);
	spin_unlock(&dev->lock);
	return rq;
}

/* Take back what a slot holds. Returns false if the slot must be looked at again. */
static bool ublk_server_sweep_slot(struct ublk_device *dev, struct ublk_slot *slot)
{
	struct io_uring_cmd *cmd;
	struct request *rq;

	cmd = ublk_slot_cancel(slot);
	if (cmd) {
		io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, IO_URING_F_UNLOCKED);
		return true;
	}
	if (ublk_slot_can_be_aborted(slot)) {
		rq = ublk_server_abort_lost(dev, slot);
		if (rq) {
			ublk_request_abort(rq);
			return true;
		}
	}
	return !ublk_slot_is_passing(slot);
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
 * exchange that moves such a slot to COMMIT.
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
			struct request *rq = ublk_slot_abort(slot);

			if (rq)
				ublk_request_abort(rq);

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

	spin_lock(&dev->lock);
	ublk_server_send_away(server, UBLK_SERVER_CLOSED);
	spin_unlock(&dev->lock);

	mmu_notifier_unregister(&server->watch, server->mm);
	cancel_delayed_work_sync(&server->poll);
	cancel_delayed_work_sync(&dev->gone_work);

	ublk_device_shut(dev);
	ublk_server_clear_up(server);
	ublk_shmem_clear(dev);
	ublk_device_server_closed(dev);
}

static void ublk_server_mm_released(struct mmu_notifier *watch, struct mm_struct *mm)
{
	ublk_server_lost(container_of(watch, struct ublk_server, watch), NULL);
}

static const struct mmu_notifier_ops ublk_server_watch_ops = {
	.release	= ublk_server_mm_released,
};

/* Returns the ring of the parked command, NULL if none is parked. */
static struct ublk_ring *ublk_slot_poll(struct ublk_slot *slot, bool *abandoned)
{
	struct ublk_ring *ring;

	/* Others spin until the slot is unpinned. */
	guard(preempt)();
	if (!ublk_slot_pin(slot))
		return NULL;
	ring = slot->ring;
	*abandoned = ublk_task_abandons_commands(ring->task) || ublk_ring_is_dying(slot->cmd);
	ublk_slot_unpin(slot);
	return ring;
}

static void ublk_server_poll_slots(struct ublk_server *server, struct ublk_queue *queue)
{
	struct ublk_ring *polled = NULL;
	bool abandoned;

	/* No slot has a command, and io_uring tells. */
	if (queue->batch)
		return;
	for (u16 tag = 0; tag < queue->depth; tag++) {
		struct ublk_slot *slot = &queue->slots[tag];

		/* One parked command of a ring tells about all of them. */
		if (polled && READ_ONCE(slot->ring) == polled)
			continue;
		polled = ublk_slot_poll(slot, &abandoned);
		if (!polled || !abandoned)
			continue;

		guard(spinlock)(&server->dev->lock);
		if (slot->ring == polled)
			ublk_server_lost_locked(server, polled);
	}
}

/* Killed, if not more. It need not get that far by itself: it may wait for the very disk. */
static bool ublk_task_is_dying(struct task_struct *task)
{
	return (READ_ONCE(task->flags) & PF_EXITING) || fatal_signal_pending(task);
}

static void ublk_server_poll_tasks(struct ublk_server *server)
{
	struct ublk_ring *ring;
	struct task_struct *opener;

	guard(spinlock)(&server->dev->lock);
	list_for_each_entry(ring, &server->rings, node) {
		if (ublk_task_is_dying(ring->task))
			ublk_server_lost_locked(server, ring);
	}

	guard(rcu)();
	opener = pid_task(server->pid, PIDTYPE_TGID);
	if (opener && (READ_ONCE(opener->signal->flags) & SIGNAL_GROUP_EXIT))
		ublk_server_lost_locked(server, NULL);
}

/*
 * May it die without any sign of it? io_uring asks for parked commands only, its memory stays while
 * one of its tasks waits for the very disk, and nothing is parked with one that is gone.
 */
static bool ublk_server_needs_polling(const struct ublk_server *server)
{
	if (READ_ONCE(server->lost))
		return false;
	/*
	 * Pairs with ublk_server_begin_fault(), and with ublk_server_suspect() after a change of
	 * state, which queue the work once more if this is too early.
	 */
	return !UBLK_CAN_CANCEL_CMD || ublk_server_is_gone(server) ||
	       atomic_read(&server->faults) ||
	       READ_ONCE(server->dev->state) == UBLK_DEVICE_STOPPING;
}

void ublk_server_poll_work(struct work_struct *work)
{
	struct ublk_server *server = container_of(work, struct ublk_server, poll.work);
	struct ublk_device *dev = server->dev;

	ublk_server_poll_tasks(server);
	for (u16 i = 0; i < dev->info.nr_hw_queues; i++) {
		ublk_server_poll_slots(server, &dev->queues[i]);
		cond_resched();
	}

	if (ublk_server_needs_polling(server))
		queue_delayed_work(ublk_server_workqueue, &server->poll, UBLK_POLL_INTERVAL);
}

/**
 * ublk_server_begin_fault() - a task of the server is about to wait for memory, maybe for ever
 * @server: kept by the caller's command or call
 *
 * While it does, nothing but polling notices that it was killed.
 */
void ublk_server_begin_fault(struct ublk_server *server)
{
	atomic_inc(&server->faults);
	atomic_long_inc(&server->dev->counts.faults);
	queue_delayed_work(ublk_server_workqueue, &server->poll, UBLK_POLL_INTERVAL);
}

void ublk_server_end_fault(struct ublk_server *server)
{
	atomic_dec(&server->faults);
}

/* The server may not make anybody wait so long. */
void ublk_server_kill(struct ublk_device *dev)
{
	spin_lock(&dev->lock);
	if (dev->server) {
		pr_warn_ratelimited("ublkb%u: its server does not answer and is killed\n", dev->id);
		kill_pid(dev->server->pid, SIGKILL, 1);
	}
	spin_unlock(&dev->lock);
}

/* A request takes long, or is waited for: is there still somebody who could answer it? */
void ublk_server_suspect(struct ublk_device *dev)
{
	spin_lock(&dev->lock);
	if (dev->server && dev->server->state < UBLK_SERVER_CLOSED)
		mod_delayed_work(ublk_server_workqueue, &dev->server->poll, 0);
	spin_unlock(&dev->lock);
}

/**
 * ublk_server_watch() - prepare to notice the end of a server that is about to open the device
 * @server: not to be found by others yet, so that nothing has to be undone if this fails
 *
 * Return: 0 or -errno.
 */
int ublk_server_watch(struct ublk_server *server)
{
	int ret;

	server->watch.ops = &ublk_server_watch_ops;
	ret = mmu_notifier_register(&server->watch, server->mm);
	/* io_uring's task work is enough to interrupt it: let open() run again. */
	return ret == -EINTR ? -ERESTARTNOINTR : ret;
}

/* A watched server was not let in. */
void ublk_server_unwatch(struct ublk_server *server)
{
	/* Unregistering looks like the end of the memory. */
	scoped_guard(spinlock, &server->dev->lock)
		ublk_server_send_away(server, UBLK_SERVER_CLOSED);
	mmu_notifier_unregister(&server->watch, server->mm);
}

/* The server has opened the device. */
void ublk_server_start_polling(struct ublk_server *server)
{
	if (!UBLK_CAN_CANCEL_CMD)
		queue_delayed_work(ublk_server_workqueue, &server->poll, UBLK_POLL_INTERVAL);
}
