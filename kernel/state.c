// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a device is to the block layer: the only place where that changes. A disk has one way
 * down, stop_work, whoever asks for it: a command, the server's death, or module removal.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/pid_namespace.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "trace.h"
#include "ublk.h"

/* How soon to look again whether a server has become idle enough to be told to leave. */
#define UBLK_QUIESCE_INTERVAL	msecs_to_jiffies(5)

static void ublk_device_set_state(struct ublk_device *dev, enum ublk_device_state to)
{
	lockdep_assert_held(&dev->lock);

	trace_ublk_device(dev, dev->state, to);
	WRITE_ONCE(dev->state, to);
	wake_up_all(&dev->wait);
}

/* Does the disk outlive its server? */
static bool ublk_device_can_recover(const struct ublk_device *dev)
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
static int ublk_device_begin_start(struct ublk_device *dev, pid_t pid)
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

static void ublk_device_end_start(struct ublk_device *dev, struct gendisk *disk)
{
	bool served, trusted;

	spin_lock(&dev->lock);
	dev->disk = disk;
	ublk_device_set_state(dev, UBLK_DEVICE_LIVE);
	served = ublk_device_is_served(dev);
	if (served)
		ublk_device_tell(dev, UBLK_EVENT_READY);
	/* What a partition table can do to the kernel, nobody without privileges may try. */
	trusted = served && dev->server->privileged &&
		  !(dev->info.flags & UBLK_F_UNPRIVILEGED_DEV);
	/* Under the lock, because from LIVE on the disk can be stopped and freed. */
	if (trusted)
		ublk_disk_allow_scan(disk);
	/* It has closed already. */
	if (!dev->server && ublk_device_can_recover(dev))
		ublk_device_lose_server(dev);
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
		spin_lock(&dev->lock);
		ublk_device_set_state(dev, UBLK_DEVICE_IDLE);
		spin_unlock(&dev->lock);
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

static bool ublk_device_lacks_server(const struct ublk_device *dev)
{
	lockdep_assert_held(&dev->lock);
	return dev->state == UBLK_DEVICE_QUIESCED || dev->state == UBLK_DEVICE_FAIL_IO;
}

/**
 * ublk_device_start_recovery() - START_USER_RECOVERY: may a new server open the device?
 * @dev: the device
 *
 * Return: 0; -EINVAL: its disk does not outlive a server; -EBUSY: it has no disk, or the old
 * server has not closed it, or a new one is there.
 */
int ublk_device_start_recovery(struct ublk_device *dev)
{
	if (!ublk_device_can_recover(dev))
		return -EINVAL;

	guard(spinlock)(&dev->lock);
	return ublk_device_lacks_server(dev) && !dev->server ? 0 : -EBUSY;
}

/* Is there news for END_USER_RECOVERY? */
static bool ublk_device_end_can_go_on(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);
	return !ublk_device_lacks_server(dev) ||
	       (dev->server && dev->server->state != UBLK_SERVER_FETCHING);
}

/* -EAGAIN: the server has not fetched everything. */
static int ublk_device_try_end_recovery(struct ublk_device *dev, pid_t pid)
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

/**
 * ublk_device_end_recovery() - END_USER_RECOVERY: the new server is to get requests
 * @dev: the device
 * @pid: the server's process id, as the caller sees it
 *
 * Waits until the server has fetched every tag, is gone, or a signal comes.
 *
 * Return: 0 or -errno.
 */
int ublk_device_end_recovery(struct ublk_device *dev, pid_t pid)
{
	int ret;

	/* A server that the caller cannot see has the process id 0 for him. */
	if (!ublk_device_can_recover(dev) || pid <= 0)
		return -EINVAL;
	do {
		if (wait_event_interruptible(dev->wait, ublk_device_end_can_go_on(dev)))
			return -EINTR;
		ret = ublk_device_try_end_recovery(dev, pid);
	} while (ret == -EAGAIN);
	return ret;
}

/* 0: the server leaves or has left; -EAGAIN: it cannot be told yet. */
static int ublk_device_try_quiesce(struct ublk_device *dev)
{
	bool told = ublk_server_can_be_told(dev);

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
	if (!told)
		return -EAGAIN;
	/* Not later: it could be another one by then. */
	ublk_server_dismiss_locked(dev);
	return 0;
}

static void ublk_device_unquiesce(struct ublk_device *dev)
{
	guard(spinlock)(&dev->lock);

	if (dev->state != UBLK_DEVICE_QUIESCING || !ublk_device_is_served(dev))
		return;
	ublk_device_set_state(dev, UBLK_DEVICE_LIVE);
	ublk_device_kick(dev);
}

/**
 * ublk_device_quiesce() - QUIESCE_DEV: send the server away, for the next one to come
 * @dev: the device
 * @timeout_ms: how long to wait until the server can be told, 0: for ever
 *
 * What the server has it may still commit. What comes waits, until then in all modes of recovery.
 *
 * Return: 0; the device has its new state when the server has closed it. -EBUSY if the server
 * kept some queue entirely busy all the time, -EINTR if a signal came: nothing has changed then.
 */
int ublk_device_quiesce(struct ublk_device *dev, u64 timeout_ms)
{
	u64 end = get_jiffies_64() + msecs_to_jiffies(min_t(u64, timeout_ms, UINT_MAX));
	int ret;

	if (!(dev->info.flags & UBLK_F_QUIESCE))
		return -EOPNOTSUPP;

	while ((ret = ublk_device_try_quiesce(dev)) == -EAGAIN) {
		if (timeout_ms && time_after_eq64(get_jiffies_64(), end))
			ret = -EBUSY;
		else if (wait_event_interruptible_timeout(dev->wait, ublk_server_can_be_told(dev),
							  UBLK_QUIESCE_INTERVAL) < 0)
			ret = -EINTR;
		else
			continue;
		break;
	}
	if (ret)
		ublk_device_unquiesce(dev);
	return ret;
}

/* Returns whether there is a disk to remove. From here on nothing waits for a server. */
static bool ublk_device_begin_removal(struct ublk_device *dev)
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

/* Returns the disk with a reference, or NULL if there is none that has a future. */
static struct gendisk *ublk_device_get_disk(struct ublk_device *dev)
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
static int ublk_device_begin_stop_if_unused(struct ublk_device *dev, struct gendisk *disk)
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
