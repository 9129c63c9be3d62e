// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device is to the block layer: the only place where that changes. What is done meanwhile is
 * in start.c, stop.c and recovery.c.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/pid_namespace.h>

#include "trace.h"
#include "ublk.h"

static void ublk_device_set_state(struct ublk_device *dev, enum ublk_device_state to)
{
	lockdep_assert_held(&dev->lock);

	trace_ublk_device(dev, dev->state, to);
	WRITE_ONCE(dev->state, to);
	wake_up_all(&dev->wait);
}

/* Does the disk outlive its server? */
bool ublk_device_can_recover(const struct ublk_device *dev)
{
	return dev->info.flags & UBLK_F_USER_RECOVERY;
}

/* Is there a server that answers? One that has not fetched every tag does not count. */
bool ublk_device_is_served(const struct ublk_device *dev)
{
	lockdep_assert_held(&dev->lock);
	return dev->server && dev->server->state == UBLK_SERVER_READY;
}

/* A server may come before there is a disk, and when the disk has lost its last one. */
bool ublk_device_lets_server_in(const struct ublk_device *dev)
{
	lockdep_assert_held(&dev->lock);

	if (dev->server)
		return false;
	switch (dev->state) {
	case UBLK_DEVICE_IDLE:
	case UBLK_DEVICE_QUIESCED:
	case UBLK_DEVICE_FAIL_IO:
	case UBLK_DEVICE_STOPPED:
		return true;
	default:
		return false;
	}
}

/**
 * ublk_device_fate() - what becomes of a request that no server takes
 * @dev: the device
 * @delivered: it died with its server
 *
 * While a disk is being added or removed nothing may wait: whoever does that is waited for by
 * those who could bring a server.
 */
enum ublk_fate ublk_device_fate(const struct ublk_device *dev, bool delivered)
{
	u64 features = dev->info.flags;

	lockdep_assert_held(&dev->lock);

	switch (dev->state) {
	case UBLK_DEVICE_IDLE:
	case UBLK_DEVICE_STARTING:
	case UBLK_DEVICE_STOPPING:
		return ublk_device_is_served(dev) ? UBLK_FATE_RETRY : UBLK_FATE_FAIL;
	case UBLK_DEVICE_LIVE:
		if (ublk_device_is_served(dev))
			return UBLK_FATE_RETRY;
		break;
	case UBLK_DEVICE_QUIESCING:
		if (ublk_device_is_served(dev))
			return UBLK_FATE_WAIT;
		break;
	case UBLK_DEVICE_QUIESCED:
		break;
	default:
		return UBLK_FATE_FAIL;
	}

	if (!(features & UBLK_F_USER_RECOVERY) || (features & UBLK_F_USER_RECOVERY_FAIL_IO))
		return UBLK_FATE_FAIL;
	return delivered && !(features & UBLK_F_USER_RECOVERY_REISSUE) ?
		UBLK_FATE_FAIL : UBLK_FATE_WAIT;
}

/* What a request's fate depends on has changed. */
static void ublk_device_kick(struct ublk_device *dev)
{
	lockdep_assert_held(&dev->lock);

	if (dev->disk)
		blk_mq_kick_requeue_list(dev->disk->queue);
}

/* 0: the server is ready and the one that @pid says; -EAGAIN: it has not fetched everything. */
static int ublk_device_check_server(const struct ublk_device *dev, pid_t pid)
{
	lockdep_assert_held(&dev->lock);

	if (!dev->server || dev->server->state == UBLK_SERVER_FETCHING)
		return -EAGAIN;
	if (dev->server->state != UBLK_SERVER_READY)
		return -EBUSY;
	if (pid_nr_ns(dev->server->pid, task_active_pid_ns(current)) != pid)
		return -EINVAL;
	return 0;
}

/* 0: start now; -EAGAIN: the server has not fetched everything, or somebody else starts. */
static int ublk_device_check_start(const struct ublk_device *dev, pid_t pid)
{
	lockdep_assert_held(&dev->lock);

	switch (dev->state) {
	case UBLK_DEVICE_IDLE:
		return ublk_device_check_server(dev, pid);
	case UBLK_DEVICE_STARTING:
		return -EAGAIN;
	case UBLK_DEVICE_STOPPING:
	case UBLK_DEVICE_ABORTING:
		return -EBUSY;
	case UBLK_DEVICE_DELETED:
		return -ENODEV;
	default:
		return -EEXIST;
	}
}

/* The disk has no server, and none that just closes it either. */
static void ublk_device_lose_server(struct ublk_device *dev)
{
	bool fail = dev->info.flags & UBLK_F_USER_RECOVERY_FAIL_IO;

	lockdep_assert_held(&dev->lock);

	pr_warn_ratelimited("ublkb%u: its server is gone; I/O %s until there is another\n", dev->id,
			    fail ? "fails" : "waits");
	ublk_device_set_state(dev, fail ? UBLK_DEVICE_FAIL_IO : UBLK_DEVICE_QUIESCED);
	ublk_device_kick(dev);
}

/* From here on until ublk_device_end_start() the parameters stay as they are. */
int ublk_device_begin_start(struct ublk_device *dev, pid_t pid)
{
	int ret;

	guard(mutex)(&dev->mutex);
	guard(spinlock)(&dev->lock);

	ret = ublk_device_check_start(dev, pid);
	if (ret)
		return ret;
	if (!(dev->params.types & UBLK_PARAM_TYPE_BASIC))
		return -EINVAL;
	ublk_device_set_state(dev, UBLK_DEVICE_STARTING);
	return 0;
}

/* The disk is made. */
void ublk_device_go_live(struct ublk_device *dev, struct gendisk *disk)
{
	lockdep_assert_held(&dev->lock);

	dev->disk = disk;
	ublk_device_set_state(dev, UBLK_DEVICE_LIVE);
	/* It has closed already. */
	if (!dev->server && ublk_device_can_recover(dev))
		ublk_device_lose_server(dev);
}

/* The disk could not be made. */
void ublk_device_fail_start(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);
	ublk_device_set_state(dev, UBLK_DEVICE_IDLE);
}

/*
 * The server is gone, but may not have closed the device yet. Without recovery the disk is of no
 * use any more: nobody could serve it.
 */
void ublk_device_server_left(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);

	if (dev->state != UBLK_DEVICE_LIVE && dev->state != UBLK_DEVICE_QUIESCING)
		return;
	if (ublk_device_can_recover(dev)) {
		ublk_device_kick(dev);
		return;
	}
	pr_warn_ratelimited("ublkb%u: its server is gone; I/O fails and the disk is removed\n",
			    dev->id);
	ublk_device_queue_work(dev, &dev->stop_work);
}

/**
 * ublk_device_shut() - see that no request goes to the next server by mistake
 * @dev: with a server that is gone
 *
 * A disk that lives on must not find the next server's slots before that server is ready. After
 * this, nobody is left who has seen ublk_device_is_open() and has yet to claim a slot.
 */
void ublk_device_shut(struct ublk_device *dev)
{
	struct gendisk *disk = NULL;

	spin_lock(&dev->lock);
	if (dev->state == UBLK_DEVICE_LIVE && ublk_device_can_recover(dev))
		ublk_device_set_state(dev, UBLK_DEVICE_QUIESCING);
	if (dev->state == UBLK_DEVICE_QUIESCING) {
		disk = dev->disk;
		get_device(disk_to_dev(disk));
	}
	spin_unlock(&dev->lock);

	if (disk) {
		blk_mq_quiesce_queue(disk->queue);
		blk_mq_unquiesce_queue(disk->queue);
		put_disk(disk);
	}
}

/* The server has closed the device; from here on another one may come. */
void ublk_device_server_closed(struct ublk_device *dev)
{
	spin_lock(&dev->lock);
	dev->server = NULL;
	/* LIVE: it was started in the meantime. */
	if ((dev->state == UBLK_DEVICE_LIVE || dev->state == UBLK_DEVICE_QUIESCING) &&
	    ublk_device_can_recover(dev))
		ublk_device_lose_server(dev);
	wake_up_all(&dev->wait);
	spin_unlock(&dev->lock);

	ublk_device_server_left(dev);
}

bool ublk_device_lacks_server(const struct ublk_device *dev)
{
	lockdep_assert_held(&dev->lock);
	return dev->state == UBLK_DEVICE_QUIESCED || dev->state == UBLK_DEVICE_FAIL_IO;
}

/* -EAGAIN: the server has not fetched everything. */
int ublk_device_try_end_recovery(struct ublk_device *dev, pid_t pid)
{
	int ret;

	guard(spinlock)(&dev->lock);

	if (!ublk_device_lacks_server(dev))
		return -EBUSY;
	ret = ublk_device_check_server(dev, pid);
	if (ret)
		return ret;
	ublk_device_set_state(dev, UBLK_DEVICE_LIVE);
	ublk_device_tell(dev, UBLK_EVENT_READY);
	ublk_device_kick(dev);
	return 0;
}

/* 0: the server leaves or has left; -EAGAIN: it cannot be told yet. */
int ublk_device_try_quiesce(struct ublk_device *dev, bool can_be_told)
{
	guard(spinlock)(&dev->lock);

	if (ublk_device_lacks_server(dev))
		return 0;
	if (dev->state != UBLK_DEVICE_LIVE && dev->state != UBLK_DEVICE_QUIESCING)
		return -ENODEV;
	if (!ublk_device_is_served(dev))
		return 0;

	/* With nothing new to do, the server has something to wait with sooner or later. */
	if (dev->state == UBLK_DEVICE_LIVE)
		ublk_device_set_state(dev, UBLK_DEVICE_QUIESCING);
	if (!can_be_told)
		return -EAGAIN;
	/* Not later: it could be another one by then. */
	ublk_server_dismiss_locked(dev);
	return 0;
}

/* It could not be told: nothing has changed. */
void ublk_device_unquiesce(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);

	if (dev->state != UBLK_DEVICE_QUIESCING || !ublk_device_is_served(dev))
		return;
	ublk_device_set_state(dev, UBLK_DEVICE_LIVE);
	ublk_device_kick(dev);
}

/* Returns whether there is a disk to remove. From here on nothing waits for a server. */
bool ublk_device_begin_removal(struct ublk_device *dev)
{
	lockdep_assert_held(&dev->lock);

	switch (dev->state) {
	case UBLK_DEVICE_LIVE:
	case UBLK_DEVICE_QUIESCING:
		ublk_device_set_state(dev, ublk_device_is_served(dev) ? UBLK_DEVICE_STOPPING :
				      UBLK_DEVICE_ABORTING);
		break;
	case UBLK_DEVICE_QUIESCED:
	case UBLK_DEVICE_FAIL_IO:
		ublk_device_set_state(dev, UBLK_DEVICE_ABORTING);
		break;
	case UBLK_DEVICE_STOPPING:
	case UBLK_DEVICE_ABORTING:
		/* Begun by ublk_device_try_stop(): stop_work alone ends it. */
		return true;
	default:
		return false;
	}
	ublk_device_kick(dev);
	return true;
}

/* The disk is gone, but for its users. */
void ublk_device_end_removal(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);
	dev->disk = NULL;
	ublk_device_set_state(dev, UBLK_DEVICE_STOPPED);
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

/* Returns the disk with a reference, or NULL if there is none that has a future. */
struct gendisk *ublk_device_get_disk(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);

	switch (dev->state) {
	case UBLK_DEVICE_LIVE:
	case UBLK_DEVICE_QUIESCING:
	case UBLK_DEVICE_QUIESCED:
	case UBLK_DEVICE_FAIL_IO:
		get_device(disk_to_dev(dev->disk));
		return dev->disk;
	default:
		return NULL;
	}
}

/* Whoever opens a disk holds its open_mutex and asks ublk_device_goes_away(). */
int ublk_device_begin_stop_if_unused(struct ublk_device *dev, struct gendisk *disk)
{
	lockdep_assert_held(&disk->open_mutex);
	guard(spinlock)(&dev->lock);

	if (dev->disk != disk)
		return -ENODEV;
	if (disk_openers(disk))
		return -EBUSY;
	ublk_device_begin_removal(dev);
	return 0;
}

/* Is it too late to open the disk? */
bool ublk_device_goes_away(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);
	return dev->state == UBLK_DEVICE_STOPPING || dev->state >= UBLK_DEVICE_ABORTING;
}

/**
 * ublk_device_resize() - UPDATE_SIZE
 * @dev: the device
 * @sectors: of 512 bytes
 *
 * Return: 0; -ENODEV: there is no disk; -EINVAL: no disk can be so large; -EOPNOTSUPP: its zones
 * have been counted.
 */
int ublk_device_resize(struct ublk_device *dev, u64 sectors)
{
	struct gendisk *disk;
	unsigned int scope;

	if (sectors > (u64)LLONG_MAX >> SECTOR_SHIFT)
		return -EINVAL;
	if (dev->info.flags & UBLK_F_ZONED)
		return -EOPNOTSUPP;

	guard(mutex)(&dev->mutex);
	disk = ublk_device_get_disk(dev);
	if (!disk)
		return -ENODEV;
	dev->params.basic.dev_sectors = sectors;
	/* The next server needs the mutex for its parameters: do not wait for the disk's I/O. */
	scope = memalloc_noio_save();
	set_capacity_and_notify(disk, ublk_params_whole_blocks(&dev->params, sectors));
	memalloc_noio_restore(scope);
	put_disk(disk);
	return 0;
}

/* 1: marked as deleted; 0: somebody else has done it; -EAGAIN: it was started again. */
int ublk_device_mark_deleted(struct ublk_device *dev)
{
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
	switch (dev->state) {
	case UBLK_DEVICE_LIVE:
	case UBLK_DEVICE_STOPPING:
	case UBLK_DEVICE_QUIESCING:
	case UBLK_DEVICE_ABORTING:
		info.state = UBLK_S_DEV_LIVE;
		info.ublksrv_pid = ublk_device_server_pid(dev);
		break;
	case UBLK_DEVICE_QUIESCED:
		info.state = UBLK_S_DEV_QUIESCED;
		break;
	case UBLK_DEVICE_FAIL_IO:
		info.state = UBLK_S_DEV_FAIL_IO;
		break;
	default:
		break;
	}
	return info;
}

