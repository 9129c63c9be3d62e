// SPDX-License-Identifier: GPL-2.0-only
/* The file /dev/ublkcN: open, close, mapping, and who gets the commands that come in. */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/pid.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#include "ublk.h"

/* One server at a time, and not at any time. */
static int ublk_server_let_in(struct ublk_server *server)
{
	struct ublk_device *dev = server->dev;

	guard(spinlock)(&dev->lock);

	if (dev->state == UBLK_DEVICE_DELETED)
		return -ENODEV;
	if (!ublk_device_lets_server_in(dev))
		return -EBUSY;
	dev->server = server;
	return 0;
}

static int ublk_server_open(struct inode *inode, struct file *file)
{
	struct ublk_device *dev = container_of(inode->i_cdev, struct ublk_device, cdev);
	struct ublk_server *server;
	int ret;

	if (!current->mm)
		return -EINVAL;
	server = kzalloc_obj(*server, GFP_KERNEL_ACCOUNT);
	if (!server)
		return -ENOMEM;
	server->dev = dev;
	server->mm = current->mm;
	server->pid = get_pid(task_tgid(current));
	server->privileged = capable(CAP_SYS_ADMIN);
	INIT_LIST_HEAD(&server->rings);
	INIT_DELAYED_WORK(&server->poll, ublk_server_poll_work);

	ret = ublk_server_watch(server);
	if (ret)
		goto err_free;
	/* From here on it can be sent away, and nothing can fail any more. */
	ret = ublk_server_let_in(server);
	if (ret)
		goto err_unwatch;
	ublk_server_start_polling(server);

	file->private_data = server;
	/* User copy waits for nothing but page faults: io_uring needs no worker thread for it. */
	file->f_mode |= FMODE_NOWAIT;
	return 0;

err_unwatch:
	ublk_server_unwatch(server);
err_free:
	put_pid(server->pid);
	kfree(server);
	return ret;
}

/* The last reference: no command is left, because each holds one. */
static int ublk_server_release(struct inode *inode, struct file *file)
{
	struct ublk_server *server = file->private_data;

	ublk_server_retire(server);
	put_pid(server->pid);
	kfree(server);
	return 0;
}

/* One process only: descriptors tell what the users of the disk do. */
static int ublk_server_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct ublk_server *server = file->private_data;

	if (vma->vm_mm != server->mm)
		return -EINVAL;
	return ublk_queue_mmap(server->dev, vma);
}

const struct file_operations ublk_server_fops = {
	.owner		= THIS_MODULE,
	.open		= ublk_server_open,
	.release	= ublk_server_release,
	.mmap		= ublk_server_mmap,
	/* At positions that name requests: there is no current one, so no .llseek. */
	.read_iter	= ublk_user_copy_read,
	.write_iter	= ublk_user_copy_write,
	.uring_cmd	= ublk_server_uring_cmd,
};
