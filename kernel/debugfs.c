// SPDX-License-Identifier: GPL-2.0-only
/*
 * A picture of each device in debugfs, for whoever looks for the reason why something hangs. It
 * only reads, takes spinlocks alone and none for longer than it takes to read a list: it is there
 * whatever hangs. What it shows of slots need never have been true all at the same time.
 */
#include <linux/blk-mq.h>
#include <linux/debugfs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>

#include "slot.h"
#include "trace.h"
#include "ublk.h"

/* How trace.h calls a state. */
struct ublk_state_name {
	int state;
	const char *name;
};

static const struct ublk_state_name ublk_slot_names[] = { ublk_slot_states };
static const struct ublk_state_name ublk_server_names[] = { ublk_server_states };
static const struct ublk_state_name ublk_device_names[] = { ublk_device_states };

#define UBLK_SLOT_STATES	ARRAY_SIZE(ublk_slot_names)

static struct dentry *ublk_debugfs_root;

static const char *ublk_name_of(const struct ublk_state_name *names, size_t count, int state)
{
	for (size_t i = 0; i < count; i++) {
		if (names[i].state == state)
			return names[i].name;
	}
	return "unknown";
}

static void ublk_debugfs_show_ring(struct seq_file *file, const struct ublk_ring *ring)
{
	seq_printf(file, "ring: task=%d slots=%u inbox=%s%s\n",
		   task_pid_nr(ring->task), ring->slots,
		   llist_empty(&ring->inbox) ? "empty" : "waiting", ring->lost ? " lost" : "");
}

static void ublk_debugfs_show_server(struct seq_file *file, const struct ublk_server *server)
{
	const struct ublk_ring *ring;

	lockdep_assert_held(&server->dev->lock);

	seq_printf(file, "server: %s pid=%d fetched=%u faulting=%d%s\n",
		   ublk_name_of(ublk_server_names, ARRAY_SIZE(ublk_server_names), server->state),
		   pid_nr(server->pid), server->fetched,
		   atomic_read(&server->faults), server->lost ? " lost" : "");
	list_for_each_entry(ring, &server->rings, node)
		ublk_debugfs_show_ring(file, ring);
}

/* Requests that wait for a server, or to be sent once more. */
static size_t ublk_debugfs_count_waiting(struct request_queue *q)
{
	size_t waiting;

	spin_lock_irq(&q->requeue_lock);
	waiting = list_count_nodes(&q->requeue_list);
	spin_unlock_irq(&q->requeue_lock);
	return waiting;
}

static void ublk_debugfs_show_device(struct seq_file *file, struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);

	seq_printf(file, "device: %s stops=%llu/%llu\n",
		   ublk_name_of(ublk_device_names, ARRAY_SIZE(ublk_device_names), dev->state),
		   dev->stops_done, dev->stops_asked);
	if (dev->server)
		ublk_debugfs_show_server(file, dev->server);
	else
		seq_puts(file, "server: none\n");
	if (dev->disk)
		seq_printf(file, "disk: openers=%d waiting=%zu\n", disk_openers(dev->disk),
			   ublk_debugfs_count_waiting(dev->disk->queue));
	else
		seq_puts(file, "disk: none\n");
}

static void ublk_debugfs_show_batch(struct seq_file *file, struct ublk_queue *queue)
{
	struct ublk_batch_picture batch = ublk_batch_look(queue);

	seq_printf(file, " batch: fetches=%u requests=%s%s%s%s\n", batch.parked,
		   batch.waiting ? "waiting" : "none", batch.active ? " active" : "",
		   batch.busy ? " busy" : "", batch.closed ? " closed" : "");
}

static void ublk_debugfs_show_queue(struct seq_file *file, struct ublk_queue *queue)
{
	unsigned int slots[UBLK_SLOT_STATES] = {};

	for (unsigned int tag = 0; tag < queue->depth; tag++)
		slots[ublk_slot_glance(&queue->slots[tag])]++;
	seq_printf(file, "queue %u:", queue->id);
	for (unsigned int state = 0; state < ARRAY_SIZE(slots); state++) {
		if (slots[state])
			seq_printf(file, " %s=%u",
				   ublk_name_of(ublk_slot_names, UBLK_SLOT_STATES, state),
				   slots[state]);
	}
	seq_putc(file, '\n');
	if (queue->batch)
		ublk_debugfs_show_batch(file, queue);
}

static int ublk_debugfs_show(struct seq_file *file, void *unused)
{
	struct ublk_device *dev = file->private;

	ublk_debugfs_show_device(file, dev);
	seq_printf(file, "counts: faults=%ld sweeps=%ld recalls=%ld orphans=%ld\n",
		   atomic_long_read(&dev->counts.faults), atomic_long_read(&dev->counts.sweeps),
		   atomic_long_read(&dev->counts.recalls), atomic_long_read(&dev->counts.orphans));
	for (unsigned int i = 0; i < dev->info.nr_hw_queues; i++) {
		ublk_debugfs_show_queue(file, &dev->queues[i]);
		cond_resched();
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(ublk_debugfs);

/* Waits for readers before the device is freed; they hold no reference to it. */
void ublk_debugfs_remove(struct ublk_device *dev)
{
	debugfs_remove(dev->picture);
}

void ublk_debugfs_add(struct ublk_device *dev)
{
	dev->picture = debugfs_create_file(dev_name(&dev->chardev), 0400, ublk_debugfs_root, dev,
					   &ublk_debugfs_fops);
}

void ublk_debugfs_init(void)
{
	ublk_debugfs_root = debugfs_create_dir("ublk", NULL);
}

void ublk_debugfs_exit(void)
{
	debugfs_remove(ublk_debugfs_root);
}
