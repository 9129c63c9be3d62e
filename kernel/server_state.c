// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is known of a server: how far it got, whether it and its tasks live, which io_urings they
 * came with. Others find that out (watch.c, server.c) and act on it (takeback.c).
 */
#include <linux/capability.h>
#include <linux/list.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "trace.h"
#include "ublk.h"

/* How long an orphaned command or request may stay unnoticed by polling. */
#define UBLK_POLL_INTERVAL	msecs_to_jiffies(100)

/* Look in a moment whether it still lives (watch.c). */
void ublk_server_poll_later(struct ublk_server *server)
{
	queue_delayed_work(ublk_server_workqueue, &server->poll, UBLK_POLL_INTERVAL);
}

/* From here on its commands are answered with UBLK_IO_RES_ABORT. */
void ublk_server_send_away(struct ublk_server *server, enum ublk_server_state to)
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
	ublk_server_poll_later(server);
}

static void ublk_server_lose_rings(struct ublk_server *server)
{
	struct ublk_ring *ring;

	lockdep_assert_held(&server->dev->lock);

	WRITE_ONCE(server->lost, true);
	list_for_each_entry(ring, &server->rings, node)
		ring->lost = true;
}

/* ublk_server_lost() for whoever holds the lock. */
void ublk_server_lost_locked(struct ublk_server *server, struct ublk_ring *ring)
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

/* So many tags more are armed, by the current task. */
void ublk_server_count_fetched(struct ublk_server *server, unsigned int tags)
{
	struct ublk_device *dev = server->dev;

	lockdep_assert_held(&dev->lock);

	/* It was opened for them, maybe by somebody who is more. */
	if (server->privileged)
		server->privileged = capable(CAP_SYS_ADMIN);
	server->fetched += tags;
	if (server->fetched < dev->info.nr_hw_queues * dev->info.queue_depth)
		return;
	server->state = UBLK_SERVER_READY;
	trace_ublk_server(dev, server->state);
	wake_up_all(&dev->wait);
}

static struct ublk_ring *ublk_server_find_ring(struct ublk_server *server, const void *io_uring)
{
	struct ublk_ring *ring;

	lockdep_assert_held(&server->dev->lock);

	list_for_each_entry(ring, &server->rings, node) {
		if (ring->task == current && ring->io_uring == io_uring)
			return ring;
	}
	return NULL;
}

/* Returns the current task's ring with room for one slot more; its spare if there was none. */
struct ublk_ring *ublk_server_get_ring(struct ublk_server *server, const void *io_uring,
				       struct ublk_ring **spare)
{
	struct ublk_ring *ring = ublk_server_find_ring(server, io_uring);

	if (!ring) {
		ring = *spare;
		*spare = NULL;
		ring->task = get_task_struct(current);
		ring->io_uring = io_uring;
		init_llist_head(&ring->inbox);
		list_add_tail(&ring->node, &server->rings);
	}
	ring->slots++;
	return ring;
}

/* One slot less points to @ring. */
void ublk_server_drop_ring(struct ublk_server *server, struct ublk_ring *ring)
{
	lockdep_assert_held(&server->dev->lock);

	if (--ring->slots)
		return;
	list_del(&ring->node);
	put_task_struct(ring->task);
	kfree(ring);
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
	ublk_server_poll_later(server);
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
