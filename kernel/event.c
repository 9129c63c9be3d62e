// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tells userspace when a server goes and when one comes, for whoever sees to it that there is one.
 *
 * The character device speaks, not the disk: of a disk that has changed udev reads the first
 * blocks, and would wait for the very server that is gone.
 */
#include <linux/kobject.h>

#include "ublk.h"

/**
 * ublk_device_tell() - something has happened that userspace wants to know
 * @dev: the device
 * @event: what
 *
 * A work item tells it. What was ready and is gone before that is not told to be ready any more.
 */
void ublk_device_tell(struct ublk_device *dev, enum ublk_device_event event)
{
	lockdep_assert_held(&dev->lock);

	if (event == UBLK_EVENT_GONE)
		dev->events = 0;
	dev->events |= event;
	ublk_device_queue_work(dev, &dev->event_work);
}

static void ublk_device_say(struct ublk_device *dev, char *what)
{
	char *environment[2] = { what };

	kobject_uevent_env(&dev->chardev.kobj, KOBJ_CHANGE, environment);
}

/* Allocates, and waits for others who do: nothing that a server's end needs waits for this. */
void ublk_device_event_work(struct work_struct *work)
{
	struct ublk_device *dev = container_of(work, struct ublk_device, event_work);
	unsigned int events;

	spin_lock(&dev->lock);
	events = dev->events;
	dev->events = 0;
	/* It is too late for news of a device that is said to be gone itself. */
	if (dev->state == UBLK_DEVICE_DELETED)
		events = 0;
	spin_unlock(&dev->lock);

	if (events & UBLK_EVENT_GONE)
		ublk_device_say(dev, "UBLK_SERVER=gone");
	if (events & UBLK_EVENT_READY)
		ublk_device_say(dev, "UBLK_SERVER=ready");
	ublk_device_put(dev);
}
