// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device is to the block layer: the only place where that changes. A disk has one way
 * down, stop_work, whoever asks for it: a command, the server's death, or module removal.
 */
#include <linux/blk-mq.h>
#include <linux/pid_namespace.h>

#include "trace.h"
#include "ublk.h"

static void ublk_device_set_state(struct ublk_device *dev, enum ublk_device_state to)
{
	lockdep_assert_held(&dev->lock);

	trace_ublk_device(dev, dev->state, to);
	dev->state = to;
	wake_up_all(&dev->wait);
}

/* Is there news for START_DEV? */
static bool ublk_device_start_can_go_on(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);
	return dev->state != UBLK_DEVICE_IDLE ||
	       (dev->server && dev->server->state != UBLK_SERVER_FETCHING);
}

/* 0: start now; -EAGAIN: the server has not fetched everything. */
static int ublk_device_check_start(struct ublk_device *dev, pid_t pid)
{
	guard(spinlock)(&dev->lock);

	switch (dev->state) {
	case UBLK_DEVICE_IDLE:
		break;
	case UBLK_DEVICE_STOPPING:
		return -EBUSY;
	case UBLK_DEVICE_DELETED:
		return -ENODEV;
	default:
		return -EEXIST;
	}

	if (!dev->server || dev->server->state == UBLK_SERVER_FETCHING)
		return -EAGAIN;
	if (dev->server->state != UBLK_SERVER_READY)
		return -EBUSY;
	if (pid_nr_ns(dev->server->pid, task_active_pid_ns(current)) != pid)
		return -EINVAL;
	return 0;
}

/* The mutex keeps stop_work out until the disk is complete. */
static int ublk_device_start_locked(struct ublk_device *dev, pid_t pid)
{
	struct gendisk *disk;
	bool gone;
	int ret;

	lockdep_assert_held(&dev->mutex);

	ret = ublk_device_check_start(dev, pid);
	if (ret)
		return ret;
	if (!(dev->params.types & UBLK_PARAM_TYPE_BASIC))
		return -EINVAL;

	disk = ublk_disk_add(dev);
	if (IS_ERR(disk))
		return PTR_ERR(disk);

	spin_lock(&dev->lock);
	dev->disk = disk;
	ublk_device_set_state(dev, UBLK_DEVICE_LIVE);
	gone = !dev->server || ublk_server_is_gone(dev->server);
	spin_unlock(&dev->lock);

	if (gone)
		ublk_device_server_left(dev);
	else
		ublk_device_queue_work(dev, &dev->scan_work);
	return 0;
}

/**
 * ublk_device_start() - START_DEV
 * @dev: the device
 * @pid: the server's process id, as the caller sees it
 *
 * Waits until the server has fetched every tag, is gone, or a signal comes.
 *
 * Return: 0 or -errno.
 */
int ublk_device_start(struct ublk_device *dev, pid_t pid)
{
	int ret;

	mutex_lock(&dev->mutex);
	ret = dev->params.types & UBLK_PARAM_TYPE_BASIC ? 0 : -EINVAL;
	mutex_unlock(&dev->mutex);
	if (ret || pid <= 0)
		return -EINVAL;

	do {
		if (wait_event_interruptible(dev->wait, ublk_device_start_can_go_on(dev)))
			return -EINTR;
		mutex_lock(&dev->mutex);
		ret = ublk_device_start_locked(dev, pid);
		mutex_unlock(&dev->mutex);
	} while (ret == -EAGAIN);
	return ret;
}

/* Without a server the disk is of no use: nobody could serve it. */
void ublk_device_server_left(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);
	if (dev->state != UBLK_DEVICE_LIVE)
		return;
	pr_warn_ratelimited("ublkb%u: its server is gone; I/O fails and the disk is removed\n",
			    dev->id);
	ublk_device_queue_work(dev, &dev->stop_work);
}

/* Under the mutex, so a disk is either complete or not there. */
static struct gendisk *ublk_device_begin_stop(struct ublk_device *dev, u64 *serving)
{
	guard(mutex)(&dev->mutex);
	guard(spinlock)(&dev->lock);

	*serving = dev->stops_asked;
	if (dev->state != UBLK_DEVICE_LIVE)
		return NULL;
	ublk_device_set_state(dev, UBLK_DEVICE_STOPPING);
	return dev->disk;
}

/* The way down. The server serves until the disk is gone, then it is sent away. */
void ublk_device_stop_work(struct work_struct *work)
{
	struct ublk_device *dev = container_of(work, struct ublk_device, stop_work);
	struct gendisk *disk;
	u64 serving;

	disk = ublk_device_begin_stop(dev, &serving);
	if (disk)
		ublk_disk_remove(dev, disk);
	ublk_server_dismiss(dev);

	if (disk) {
		spin_lock(&dev->lock);
		dev->disk = NULL;
		ublk_device_set_state(dev, UBLK_DEVICE_STOPPED);
		spin_unlock(&dev->lock);
		/* Before the waiters are told, so that a start may follow at once. */
		put_disk(disk);
	}

	spin_lock(&dev->lock);
	dev->stops_done = serving;
	wake_up_all(&dev->wait);
	spin_unlock(&dev->lock);
	ublk_device_put(dev);
}

/* The last user of a removed disk is gone. */
void ublk_device_disk_freed(struct ublk_device *dev)
{
	spin_lock(&dev->lock);
	if (dev->state == UBLK_DEVICE_STOPPED)
		ublk_device_set_state(dev, UBLK_DEVICE_IDLE);
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

/* 1: marked as deleted; 0: somebody else has done it; -EAGAIN: it was started again. */
int ublk_device_mark_deleted(struct ublk_device *dev)
{
	guard(mutex)(&dev->mutex);
	guard(spinlock)(&dev->lock);

	switch (dev->state) {
	case UBLK_DEVICE_DELETED:
		return 0;
	case UBLK_DEVICE_IDLE:
	case UBLK_DEVICE_STOPPED:
		ublk_device_set_state(dev, UBLK_DEVICE_DELETED);
		return 1;
	default:
		return -EAGAIN;
	}
}

/* The server's process id in the caller's namespace, -1 if there is none to see. */
static pid_t ublk_device_server_pid(struct ublk_device *dev)
{
	pid_t pid = 0;

	lockdep_assert_held(&dev->lock);

	rcu_read_lock();
	if (dev->server && pid_task(dev->server->pid, PIDTYPE_TGID))
		pid = pid_vnr(dev->server->pid);
	rcu_read_unlock();
	return pid ?: -1;
}

/* GET_DEV_INFO */
struct ublksrv_ctrl_dev_info ublk_device_info(struct ublk_device *dev)
{
	struct ublksrv_ctrl_dev_info info = dev->info;

	guard(spinlock)(&dev->lock);
	if (dev->state == UBLK_DEVICE_LIVE || dev->state == UBLK_DEVICE_STOPPING) {
		info.state = UBLK_S_DEV_LIVE;
		info.ublksrv_pid = ublk_device_server_pid(dev);
	}
	return info;
}
