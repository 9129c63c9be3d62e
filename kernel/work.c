// SPDX-License-Identifier: GPL-2.0-only
/* The workqueues, and work that keeps its device. What a work item does is said where it is set. */
#include <linux/workqueue.h>

#include "ublk.h"

struct workqueue_struct *ublk_workqueue;
struct workqueue_struct *ublk_server_workqueue;

/* Queue @work, whose function puts the reference that the queued work holds. */
void ublk_device_queue_work(struct ublk_device *dev, struct work_struct *work)
{
	get_device(&dev->chardev);
	if (!queue_work(ublk_workqueue, work))
		put_device(&dev->chardev);
}

int ublk_workqueues_init(void)
{
	ublk_workqueue = alloc_workqueue("ublk", WQ_UNBOUND, 0);
	if (!ublk_workqueue)
		return -ENOMEM;
	ublk_server_workqueue = alloc_workqueue("ublk-server", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!ublk_server_workqueue) {
		destroy_workqueue(ublk_workqueue);
		return -ENOMEM;
	}
	return 0;
}

void ublk_workqueues_exit(void)
{
	destroy_workqueue(ublk_server_workqueue);
	destroy_workqueue(ublk_workqueue);
}
