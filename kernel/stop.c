// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of a disk. It has one way down, stop_work, whoever asks for it: a command, the server's
 * death, or module removal.
 */
#include <linux/blkdev.h>
#include <linux/wait.h>

#include "ublk.h"

/* A disk is either complete or not there; so wait for one that is just being made. */
static struct gendisk *ublk_device_begin_stop(struct ublk_device *dev, u64 *serving)
{
	guard(spinlock)(&dev->lock);

	wait_event_cmd(dev->wait, dev->state != UBLK_DEVICE_STARTING,
		       spin_unlock(&dev->lock), spin_lock(&dev->lock));
	*serving = dev->stops_asked;
	return ublk_device_begin_removal(dev) ? dev->disk : NULL;
}

/* The way down. The server serves until the disk is gone, then it is sent away. */
void ublk_device_stop_work(struct work_struct *work)
{
	struct ublk_device *dev = container_of(work, struct ublk_device, stop_work);
	struct gendisk *disk;
	u64 serving;

	disk = ublk_device_begin_stop(dev, &serving);
	/* The disk goes when its I/O ends: watch whether there is still somebody who ends it. */
	ublk_server_suspect(dev);
	if (disk)
		ublk_disk_remove(dev, disk);
	ublk_server_dismiss(dev);

	if (disk) {
		ublk_device_end_removal(dev);
		/* Before the waiters are told, so that a start may follow at once. */
		put_disk(disk);
	}

	spin_lock(&dev->lock);
	dev->stops_done = serving;
	wake_up_all(&dev->wait);
	spin_unlock(&dev->lock);
	ublk_device_put(dev);
}

static bool ublk_device_stop_is_done(struct ublk_device *dev, u64 asked)
{
	guard(spinlock)(&dev->lock);
	return dev->stops_done >= asked;
}

/**
 * ublk_device_stop() - STOP_DEV
 * @dev: the device
 *
 * Return: 0 once there is no disk, also if there was none. -EINTR if a signal came first; the
 * device is stopped all the same.
 */
int ublk_device_stop(struct ublk_device *dev)
{
	u64 asked;

	spin_lock(&dev->lock);
	asked = ++dev->stops_asked;
	spin_unlock(&dev->lock);

	ublk_device_queue_work(dev, &dev->stop_work);
	if (wait_event_interruptible(dev->wait, ublk_device_stop_is_done(dev, asked)))
		return -EINTR;
	return 0;
}

/**
 * ublk_device_try_stop() - TRY_STOP_DEV: STOP_DEV unless somebody uses the disk
 * @dev: the device
 *
 * Return: as ublk_device_stop(); -ENODEV: there is no disk; -EBUSY: somebody has it open.
 */
int ublk_device_try_stop(struct ublk_device *dev)
{
	struct gendisk *disk = ublk_device_get_disk(dev);
	int ret;

	if (!disk)
		return -ENODEV;
	/* Whoever reads partitions holds it, and waits for the server. */
	ret = mutex_lock_interruptible(&disk->open_mutex);
	if (!ret) {
		ret = ublk_device_begin_stop_if_unused(dev, disk);
		mutex_unlock(&disk->open_mutex);
	}
	put_disk(disk);
	return ret ?: ublk_device_stop(dev);
}
