// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block side, /dev/ublkbN. Requests go to the slot of their tag and from there to a server in
 * userspace.
 */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/module.h>

#include "ublk.h"
#include "zoned.h"

static blk_status_t ublk_queue_rq(struct blk_mq_hw_ctx *hctx, const struct blk_mq_queue_data *data)
{
	return ublk_request_dispatch(data->rq);
}

/* What cannot be sent now stays in the list, for ublk_queue_rq() to give the reason. */
static void ublk_queue_list(struct rq_list *list)
{
	struct rq_list unsent = {};
	struct request *rq;

	while ((rq = rq_list_pop(list))) {
		if (ublk_request_dispatch(rq) != BLK_STS_OK)
			rq_list_add_tail(&unsent, rq);
	}
	*list = unsent;
}

UBLK_DEFINE_QUEUE_RQS(ublk_queue_rqs, ublk_queue_list)

static int ublk_init_hctx(struct blk_mq_hw_ctx *hctx, void *driver_data, unsigned int index)
{
	struct ublk_device *dev = hctx->queue->tag_set->driver_data;

	hctx->driver_data = &dev->queues[hctx->queue_num];
	return 0;
}

/*
 * A slow server is not an error; a dead one is noticed. A user's server that makes others wait for
 * ever, those who sync all disks for example, does not live on.
 */
static enum blk_eh_timer_return ublk_timeout(struct request *rq)
{
	struct ublk_queue *queue = rq->mq_hctx->driver_data;

	if (queue->dev->info.flags & UBLK_F_UNPRIVILEGED_DEV)
		ublk_server_kill(queue->dev);
	ublk_server_suspect(queue->dev);
	return BLK_EH_RESET_TIMER;
}

const struct blk_mq_ops ublk_mq_ops = {
	.queue_rq	= ublk_queue_rq,
	.queue_rqs	= ublk_queue_rqs,
	.init_hctx	= ublk_init_hctx,
	.timeout	= ublk_timeout,
};

/*
 * An unprivileged server sees and answers what the opener does: nobody shall be lured into that
 * who could not have served the disk himself.
 */
static bool ublk_disk_may_be_opened(const struct ublk_device *dev)
{
	if (!(dev->info.flags & UBLK_F_UNPRIVILEGED_DEV) || capable(CAP_SYS_ADMIN))
		return true;
	return from_kuid(&init_user_ns, current_uid()) == dev->info.owner_uid &&
	       from_kgid(&init_user_ns, current_gid()) == dev->info.owner_gid;
}

/* Before the opener is counted, with open_mutex held. */
static int ublk_open_disk(struct gendisk *disk, blk_mode_t mode)
{
	struct ublk_device *dev = disk->private_data;

	if (!ublk_disk_may_be_opened(dev))
		return -EPERM;
	return ublk_device_goes_away(dev) ? -ENXIO : 0;
}

UBLK_DEFINE_BLOCK_OPEN(ublk_open, ublk_open_disk)

static void ublk_free_disk(struct gendisk *disk)
{
	ublk_device_disk_freed(disk->private_data);
}

UBLK_DEFINE_REPORT_ZONES(ublk_report_zones, ublk_zoned_report)

static const struct block_device_operations ublk_disk_fops = {
	.owner		= THIS_MODULE,
	.open		= ublk_open,
	.free_disk	= ublk_free_disk,
	.report_zones	= ublk_report_zones,
};

/**
 * ublk_disk_add() - make /dev/ublkbN
 * @dev: in UBLK_DEVICE_STARTING, so that its parameters are valid and stay so
 *
 * Does no I/O: the partition table is read by scan_work, so a server may start its device from
 * the thread that serves it. Only a zoned disk's zones must be known before the disk is there.
 *
 * Return: the disk, which holds a reference to @dev until it is freed, or an ERR_PTR.
 */
struct gendisk *ublk_disk_add(struct ublk_device *dev)
{
	struct queue_limits limits = ublk_params_limits(&dev->params);
	struct gendisk *disk;
	int ret;

	disk = blk_mq_alloc_disk(&dev->tag_set, &limits, NULL);
	if (IS_ERR(disk))
		return disk;

	snprintf(disk->disk_name, sizeof(disk->disk_name), "ublkb%u", dev->id);
	disk->fops = &ublk_disk_fops;
	disk->private_data = dev;
	set_capacity(disk, ublk_params_whole_blocks(&dev->params, dev->params.basic.dev_sectors));
	set_disk_ro(disk, dev->params.basic.attrs & UBLK_ATTR_READ_ONLY);
	set_bit(GD_SUPPRESS_PART_SCAN, &disk->state);

	get_device(&dev->chardev);
	ret = dev->info.flags & UBLK_F_ZONED ? ublk_zoned_revalidate(disk) : 0;
	if (!ret)
		ret = add_disk(disk);
	if (ret) {
		/* A disk that was never added does not call ublk_free_disk(). */
		put_disk(disk);
		put_device(&dev->chardev);
		return ERR_PTR(ret);
	}
	return disk;
}

/* Waits for the I/O under way. A server that is there answers it; one that is gone was aborted. */
void ublk_disk_remove(struct ublk_device *dev, struct gendisk *disk)
{
	bool gone;

	spin_lock(&dev->lock);
	gone = !ublk_device_is_served(dev);
	spin_unlock(&dev->lock);

	if (gone)
		blk_mark_disk_dead(disk);
	del_gendisk(disk);
}

/* Somebody may want the partition table to be read, at once or later. */
void ublk_disk_allow_scan(struct gendisk *disk)
{
	clear_bit(GD_SUPPRESS_PART_SCAN, &disk->state);
}

void ublk_disk_scan_work(struct work_struct *work)
{
	struct ublk_device *dev = container_of(work, struct ublk_device, scan_work);
	struct gendisk *disk;

	spin_lock(&dev->lock);
	disk = dev->disk;
	if (disk)
		get_device(disk_to_dev(disk));
	spin_unlock(&dev->lock);

	if (disk) {
		mutex_lock(&disk->open_mutex);
		bdev_disk_changed(disk, false);
		mutex_unlock(&disk->open_mutex);
		put_disk(disk);
	}
	ublk_device_put(dev);
}
