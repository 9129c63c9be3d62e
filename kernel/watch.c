// SPDX-License-Identifier: GPL-2.0-only
/*
 * How it is noticed that a server is gone, where nobody tells. What tells:
 *  - io_uring asks for a parked command back (server.c); not on 6.1
 *  - the task work that should deliver requests runs elsewhere (inbox.c)
 *  - its memory is torn down, by exit or exec, noticed by an mmu_notifier
 *  - polling: where io_uring does not ask, when a request takes suspiciously long, while the disk
 *    is being removed, while a task waits for memory, and between being sent away and closing
 */
#include <linux/mmu_notifier.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "compat/server_monitor.h"
#include "slot.h"
#include "ublk.h"

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
		ublk_server_poll_later(server);
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

/* The server has opened the device. */
void ublk_server_start_polling(struct ublk_server *server)
{
	if (!UBLK_CAN_CANCEL_CMD)
		ublk_server_poll_later(server);
}

/* A watched server has closed the device, or was not let in. */
void ublk_server_unwatch(struct ublk_server *server)
{
	/* Unregistering looks like the end of the memory. */
	scoped_guard(spinlock, &server->dev->lock)
		ublk_server_send_away(server, UBLK_SERVER_CLOSED);
	mmu_notifier_unregister(&server->watch, server->mm);
	cancel_delayed_work_sync(&server->poll);
}
