// SPDX-License-Identifier: GPL-2.0-only
/* START_DEV: the server is ready, make the disk. */
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "ublk.h"

/* Is there news for START_DEV? */
static bool ublk_device_start_can_go_on(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);

	switch (dev->state) {
	case UBLK_DEVICE_IDLE:
		return dev->server && dev->server->state != UBLK_SERVER_FETCHING;
	case UBLK_DEVICE_STARTING:
		return false;
	default:
		return true;
	}
}

static void ublk_device_end_start(struct ublk_device *dev, struct gendisk *disk)
{
	bool served, trusted;

	spin_lock(&dev->lock);
	ublk_device_go_live(dev, disk);
	served = ublk_device_is_served(dev);
	if (served)
		ublk_device_tell(dev, UBLK_EVENT_READY);
	/* What a partition table can do to the kernel, nobody without privileges may try. */
	trusted = served && dev->server->privileged &&
		  !(dev->info.flags & UBLK_F_UNPRIVILEGED_DEV);
	/* Under the lock, because from LIVE on the disk can be stopped and freed. */
	if (trusted)
		ublk_disk_allow_scan(disk);
	spin_unlock(&dev->lock);

	if (!served)
		ublk_device_server_left(dev);
	else if (trusted && !(dev->info.flags & UBLK_F_NO_AUTO_PART_SCAN))
		ublk_device_queue_work(dev, &dev->scan_work);
}

/**
 * struct ublk_start - a START_DEV that has begun
 * @work: makes the disk, for which a zoned one's server must answer
 * @dev: in UBLK_DEVICE_STARTING until @work is done; referenced
 * @users: whoever waits, and @work
 * @done: @result is there
 * @result: 0 or -errno
 */
struct ublk_start {
	struct work_struct work;
	struct ublk_device *dev;
	refcount_t users;
	struct completion done;
	int result;
};

static void ublk_start_put(struct ublk_start *start)
{
	if (refcount_dec_and_test(&start->users))
		kfree(start);
}

static void ublk_start_work(struct work_struct *work)
{
	struct ublk_start *start = container_of(work, struct ublk_start, work);
	struct ublk_device *dev = start->dev;
	struct gendisk *disk = ublk_disk_add(dev);

	if (!IS_ERR(disk)) {
		ublk_device_end_start(dev, disk);
	} else {
		start->result = PTR_ERR(disk);
		ublk_device_fail_start(dev);
	}
	complete(&start->done);
	ublk_start_put(start);
	ublk_device_put(dev);
}

static struct ublk_start *ublk_start_new(struct ublk_device *dev)
{
	struct ublk_start *start = kzalloc_obj(*start);

	if (!start)
		return NULL;
	INIT_WORK(&start->work, ublk_start_work);
	start->dev = dev;
	refcount_set(&start->users, 1);
	init_completion(&start->done);
	return start;
}

/* Wait until the device can be started, and begin. */
static int ublk_device_await_start(struct ublk_device *dev, pid_t pid)
{
	int ret;

	do {
		if (wait_event_interruptible(dev->wait, ublk_device_start_can_go_on(dev)))
			return -EINTR;
		ret = ublk_device_begin_start(dev, pid);
	} while (ret == -EAGAIN);
	return ret;
}

/**
 * ublk_device_start() - START_DEV
 * @dev: the device
 * @pid: the server's process id, as the caller sees it
 *
 * Waits until the server has fetched every tag, is gone, or a signal comes; then for the disk. What
 * makes the disk may have to wait for the server, and for that nobody can wait who can be killed:
 * a work item does.
 *
 * Return: 0 or -errno. -EINTR if a signal came; what has begun goes on all the same.
 */
int ublk_device_start(struct ublk_device *dev, pid_t pid)
{
	struct ublk_start *start;
	int ret;

	mutex_lock(&dev->mutex);
	ret = dev->params.types & UBLK_PARAM_TYPE_BASIC ? 0 : -EINVAL;
	mutex_unlock(&dev->mutex);
	if (ret || pid <= 0)
		return -EINVAL;

	start = ublk_start_new(dev);
	if (!start)
		return -ENOMEM;
	ret = ublk_device_await_start(dev, pid);
	if (!ret) {
		refcount_inc(&start->users);
		ublk_device_queue_work(dev, &start->work);
		ret = wait_for_completion_interruptible(&start->done) ? -EINTR : start->result;
	}
	ublk_start_put(start);
	return ret;
}
