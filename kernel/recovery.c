// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a disk passes from one server to the next: QUIESCE_DEV sends one away, and
 * START_USER_RECOVERY and END_USER_RECOVERY let another one in.
 */
#include <linux/jiffies.h>
#include <linux/wait.h>

#include "slot.h"
#include "ublk.h"

/* How soon to look again whether a server has become idle enough to be told to leave. */
#define UBLK_QUIESCE_INTERVAL	msecs_to_jiffies(5)

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
static bool ublk_server_can_be_told(struct ublk_device *dev)
{
	for (u16 i = 0; i < dev->info.nr_hw_queues; i++) {
		if (!ublk_queue_has_parked(&dev->queues[i]))
			return false;
	}
	return true;
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

	while ((ret = ublk_device_try_quiesce(dev, ublk_server_can_be_told(dev))) == -EAGAIN) {
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
