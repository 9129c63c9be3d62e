// SPDX-License-Identifier: GPL-2.0-only
/* Devices from ADD_DEV to DEL_DEV: ids, references, and what becomes of them at the end. */
#include <linux/blk-mq.h>
#include <linux/cred.h>
#include <linux/kdev_t.h>
#include <linux/list.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>

#include "ublk.h"

/* Devices by id. An id is taken from before its device can be found until it is freed. */
static DEFINE_XARRAY_ALLOC(ublk_devices);
static DECLARE_WAIT_QUEUE_HEAD(ublk_devices_wait);
static atomic64_t ublk_device_serial;

/* How many unprivileged devices there may be. */
static unsigned int ublks_max = 64;
module_param(ublks_max, uint, 0644);
MODULE_PARM_DESC(ublks_max, "how many devices users without privileges may have, all together");
static unsigned int ublks_max_per_user = 16;
module_param(ublks_max_per_user, uint, 0644);
MODULE_PARM_DESC(ublks_max_per_user, "how many of them one user may have");

/**
 * struct ublk_owner - a user without privileges who has devices
 */
struct ublk_owner {
	struct list_head node;		/* ublk_owners_lock: in ublk_owners */
	kuid_t uid;			/* C */
	unsigned int devices;		/* ublk_owners_lock: the last one frees */
};

/* How many unprivileged devices there are. */
static DEFINE_SPINLOCK(ublk_owners_lock);
static LIST_HEAD(ublk_owners);
static unsigned int ublk_owned_devices;

static dev_t ublk_chardev_numbers;
static struct class *ublk_chardev_class;

/* Returns the device with a reference, or NULL. */
struct ublk_device *ublk_device_find(u32 id)
{
	struct ublk_device *dev;

	xa_lock(&ublk_devices);
	dev = xa_load(&ublk_devices, id);
	if (dev && !kobject_get_unless_zero(&dev->chardev.kobj))
		dev = NULL;
	xa_unlock(&ublk_devices);
	return dev;
}

static void ublk_device_free_queues(struct ublk_device *dev)
{
	for (u16 i = 0; i < dev->info.nr_hw_queues; i++)
		ublk_queue_free(&dev->queues[i]);
}

static struct ublk_owner *ublk_owner_find(kuid_t uid)
{
	struct ublk_owner *owner;

	lockdep_assert_held(&ublk_owners_lock);

	list_for_each_entry(owner, &ublk_owners, node) {
		if (uid_eq(owner->uid, uid))
			return owner;
	}
	return NULL;
}

/* Count a device of the current user, who gets @spare if needed; NULL if there are too many. */
static struct ublk_owner *ublk_owner_count(struct ublk_owner **spare)
{
	struct ublk_owner *owner;

	guard(spinlock)(&ublk_owners_lock);

	if (ublk_owned_devices >= READ_ONCE(ublks_max))
		return NULL;
	owner = ublk_owner_find(current_uid());
	if ((owner ? owner->devices : 0) >= READ_ONCE(ublks_max_per_user))
		return NULL;
	if (!owner) {
		owner = *spare;
		*spare = NULL;
		owner->uid = current_uid();
		list_add(&owner->node, &ublk_owners);
	}
	owner->devices++;
	ublk_owned_devices++;
	return owner;
}

/* Returns the current user with room for one device more, or an ERR_PTR. */
static struct ublk_owner *ublk_owner_get(void)
{
	struct ublk_owner *spare = kzalloc_obj(*spare, GFP_KERNEL_ACCOUNT);
	struct ublk_owner *owner;

	if (!spare)
		return ERR_PTR(-ENOMEM);
	owner = ublk_owner_count(&spare);
	kfree(spare);
	return owner ?: ERR_PTR(-EACCES);
}

/* One device less; NULL: it was nobody's. */
static void ublk_owner_put(struct ublk_owner *owner)
{
	if (!owner)
		return;

	guard(spinlock)(&ublk_owners_lock);

	ublk_owned_devices--;
	if (--owner->devices)
		return;
	list_del(&owner->node);
	kfree(owner);
}

/* The last reference is gone, also those of disk and server. */
static void ublk_device_release(struct device *chardev)
{
	struct ublk_device *dev = container_of(chardev, struct ublk_device, chardev);

	blk_mq_free_tag_set(&dev->tag_set);
	ublk_device_free_queues(dev);
	ublk_shmem_exit(&dev->shmem);
	mutex_destroy(&dev->mutex);
	ublk_owner_put(dev->owner);
	/* Up to here: a device that does not go away is one to look at. */
	ublk_debugfs_remove(dev);

	/* Module removal waits for an empty table, then for a grace period: we are code, too. */
	rcu_read_lock();
	xa_erase(&ublk_devices, dev->id);
	kfree(dev);
	wake_up_all(&ublk_devices_wait);
	rcu_read_unlock();
}

static int ublk_device_alloc_tag_set(struct ublk_device *dev)
{
	struct blk_mq_tag_set *set = &dev->tag_set;

	set->ops = &ublk_mq_ops;
	set->nr_hw_queues = dev->info.nr_hw_queues;
	set->queue_depth = dev->info.queue_depth;
	set->numa_node = NUMA_NO_NODE;
	set->cmd_size = sizeof(struct ublk_request);
	/*
	 * The server can sort requests if it wants to; a scheduler would forbid batches. STACKING:
	 * a processor that goes offline does not wait for what came from it, because any other can
	 * end it, and the server may be frozen or take as long as it likes.
	 */
	set->flags = BLK_MQ_F_SHOULD_MERGE | BLK_MQ_F_NO_SCHED_BY_DEFAULT | BLK_MQ_F_STACKING;
	set->driver_data = dev;
	return blk_mq_alloc_tag_set(set);
}

static int ublk_device_alloc_queues(struct ublk_device *dev)
{
	int ret;

	for (u16 i = 0; i < dev->info.nr_hw_queues; i++) {
		ret = ublk_queue_init(&dev->queues[i], dev, i);
		if (ret) {
			while (i--)
				ublk_queue_free(&dev->queues[i]);
			return ret;
		}
		cond_resched();
	}
	return 0;
}

/* Take the id that is asked for, or any. */
static int ublk_device_take_id(u32 asked, u32 *id)
{
	int ret;

	if (asked == U32_MAX)
		return xa_alloc(&ublk_devices, id, XA_ZERO_ENTRY, XA_LIMIT(0, UBLK_MAX_DEVICES - 1),
				GFP_KERNEL);
	ret = xa_insert(&ublk_devices, asked, XA_ZERO_ENTRY, GFP_KERNEL);
	*id = asked;
	return ret == -EBUSY ? -EEXIST : ret;
}

static u16 ublk_device_desc_size(const struct ublksrv_ctrl_dev_info *asked)
{
	if (asked->flags & UBLK_F_IO_DESC_SIZE)
		return asked->io_desc_size;
	return sizeof(struct ublksrv_io_desc);
}

/* The server's wishes, cut down to what it gets; what the driver owns is reset. */
static void ublk_device_grant(struct ublk_device *dev, const struct ublksrv_ctrl_dev_info *asked)
{
	dev->info = (struct ublksrv_ctrl_dev_info) {
		.nr_hw_queues = min_t(unsigned int, asked->nr_hw_queues, nr_cpu_ids),
		.queue_depth = asked->queue_depth,
		.io_desc_size = ublk_device_desc_size(asked),
		.max_io_buf_bytes = round_down(asked->max_io_buf_bytes, PAGE_SIZE),
		.dev_id = dev->id,
		.state = UBLK_S_DEV_DEAD,
		.ublksrv_pid = -1,
		.flags = asked->flags,
		.ublksrv_flags = asked->ublksrv_flags,
		.owner_uid = from_kuid(&init_user_ns, current_uid()),
		.owner_gid = from_kgid(&init_user_ns, current_gid()),
	};
}

static void ublk_device_init(struct ublk_device *dev)
{
	mutex_init(&dev->mutex);
	spin_lock_init(&dev->lock);
	init_waitqueue_head(&dev->wait);
	INIT_WORK(&dev->stop_work, ublk_device_stop_work);
	INIT_WORK(&dev->scan_work, ublk_disk_scan_work);
	INIT_DELAYED_WORK(&dev->gone_work, ublk_server_gone_work);
	INIT_WORK(&dev->event_work, ublk_device_event_work);
	ublk_shmem_init(&dev->shmem);
	dev->serial = atomic64_inc_return(&ublk_device_serial);

	device_initialize(&dev->chardev);
	dev->chardev.devt = MKDEV(MAJOR(ublk_chardev_numbers), dev->id);
	dev->chardev.class = ublk_chardev_class;
	dev->chardev.release = ublk_device_release;
	cdev_init(&dev->cdev, &ublk_server_fops);
	dev->cdev.owner = THIS_MODULE;
}

/**
 * ublk_device_add() - ADD_DEV
 * @asked: checked by the caller; its flags are those that are granted
 *
 * Return: the device with a reference for the caller, or an ERR_PTR.
 */
struct ublk_device *ublk_device_add(const struct ublksrv_ctrl_dev_info *asked)
{
	unsigned int queues = min_t(unsigned int, asked->nr_hw_queues, nr_cpu_ids);
	struct ublk_owner *owner = NULL;
	struct ublk_device *dev;
	int ret;

	if (asked->flags & UBLK_F_UNPRIVILEGED_DEV)
		owner = ublk_owner_get();
	if (IS_ERR(owner))
		return ERR_CAST(owner);
	ret = -ENOMEM;
	dev = kzalloc_flex(*dev, queues, queues, GFP_KERNEL_ACCOUNT);
	if (!dev)
		goto err_put_owner;
	dev->owner = owner;
	ret = ublk_device_take_id(asked->dev_id, &dev->id);
	if (ret)
		goto err_free;
	ublk_device_grant(dev, asked);
	ret = ublk_device_alloc_tag_set(dev);
	if (ret)
		goto err_give_id;
	ret = ublk_device_alloc_queues(dev);
	if (ret)
		goto err_free_tag_set;

	ublk_device_init(dev);
	ret = dev_set_name(&dev->chardev, "ublkc%u", dev->id);
	if (!ret)
		ret = cdev_device_add(&dev->cdev, &dev->chardev);
	if (ret) {
		/* Does all that the labels below do. */
		put_device(&dev->chardev);
		return ERR_PTR(ret);
	}

	/* The table's reference is the one we start with. Storing into a taken id cannot fail. */
	get_device(&dev->chardev);
	xa_store(&ublk_devices, dev->id, dev, GFP_KERNEL);
	ublk_debugfs_add(dev);
	return dev;

err_free_tag_set:
	blk_mq_free_tag_set(&dev->tag_set);
err_give_id:
	xa_erase(&ublk_devices, dev->id);
	wake_up_all(&ublk_devices_wait);
err_free:
	kfree(dev);
err_put_owner:
	ublk_owner_put(owner);
	return ERR_PTR(ret);
}

/* Nobody can open it any more; the table's reference goes. */
static void ublk_device_withdraw(struct ublk_device *dev)
{
	cdev_device_del(&dev->cdev, &dev->chardev);
	put_device(&dev->chardev);
}

/**
 * ublk_device_delete() - DEL_DEV, but for the wait until the id is free
 * @dev: the device; the caller keeps its own reference
 *
 * Return: 0, or -EINTR if a signal came before the device was stopped: nothing is deleted then.
 */
int ublk_device_delete(struct ublk_device *dev)
{
	int ret;

	do {
		ret = ublk_device_stop(dev);
		if (ret)
			return ret;
		ret = ublk_device_mark_deleted(dev);
	} while (ret == -EAGAIN);

	if (ret)
		ublk_device_withdraw(dev);
	return 0;
}

/**
 * ublk_device_discard() - ADD_DEV could not tell of the device that it has made
 * @dev: the device; the caller keeps its own reference
 *
 * Waits for nobody, so no signal can end that.
 */
void ublk_device_discard(struct ublk_device *dev)
{
	if (ublk_device_mark_deleted(dev) <= 0)
		return;
	/* Somebody may have opened it all the same. */
	ublk_server_dismiss(dev);
	ublk_device_withdraw(dev);
}

static bool ublk_device_is_freed(u32 id, u64 serial)
{
	struct ublk_device *dev;
	bool freed;

	xa_lock(&ublk_devices);
	dev = xa_load(&ublk_devices, id);
	freed = !dev || dev->serial != serial;
	xa_unlock(&ublk_devices);
	return freed;
}

/* Wait until nobody uses the deleted device any more. Returns 0, or -EINTR on a signal. */
int ublk_device_wait_freed(u32 id, u64 serial)
{
	if (wait_event_interruptible(ublk_devices_wait, ublk_device_is_freed(id, serial)))
		return -EINTR;
	return 0;
}

int ublk_devices_init(void)
{
	int ret;

	ret = alloc_chrdev_region(&ublk_chardev_numbers, 0, UBLK_MAX_DEVICES, "ublk-char");
	if (ret)
		return ret;
	ublk_chardev_class = class_create("ublk-char");
	if (IS_ERR(ublk_chardev_class)) {
		ret = PTR_ERR(ublk_chardev_class);
		goto err_numbers;
	}
	return 0;

err_numbers:
	unregister_chrdev_region(ublk_chardev_numbers, UBLK_MAX_DEVICES);
	return ret;
}

/* The module is going: no file is open, so no device has a server or a user. */
void ublk_devices_exit(void)
{
	unsigned long id;
	void *entry;

	xa_for_each(&ublk_devices, id, entry) {
		struct ublk_device *dev = ublk_device_find(id);

		if (!dev)
			continue;
		/* Left by a server that died just now; otherwise there is nothing to wait for. */
		ublk_device_queue_work(dev, &dev->stop_work);
		flush_work(&dev->stop_work);
		if (ublk_device_mark_deleted(dev) > 0)
			ublk_device_withdraw(dev);
		ublk_device_put(dev);
	}
	wait_event(ublk_devices_wait, xa_empty(&ublk_devices));
	class_destroy(ublk_chardev_class);
	unregister_chrdev_region(ublk_chardev_numbers, UBLK_MAX_DEVICES);
}
