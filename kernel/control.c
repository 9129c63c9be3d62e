// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ublk-control: decodes a control command once, checks who may send it, and calls the
 * function that the table names. The work itself is done elsewhere.
 */
#include <linux/capability.h>
#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/miscdevice.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ublk.h"

/* The size of a descriptor, if the server chooses it. */
#define UBLK_MAX_IO_DESC_SIZE	256

/**
 * enum ublk_control_flags - what a command needs
 *
 * @NEEDS_DEVICE:	dev_id names an existing device
 * @NEVER_SLEEPS:	may run where it is submitted, with the ring's lock held
 * @READ_ONLY:		read permission on the device's node is enough
 * @ANYBODY:		it sees for itself who may do what
 * @TAKES_PATH:		the buffer starts with the path of the device's node in any case
 * @UNTIL_FREED:	after success, wait until nobody uses the device any more
 */
enum ublk_control_flags {
	NEEDS_DEVICE	= BIT(0),
	NEVER_SLEEPS	= BIT(1),
	READ_ONLY	= BIT(2),
	ANYBODY		= BIT(3),
	TAKES_PATH	= BIT(4),
	UNTIL_FREED	= BIT(5),
};

/**
 * struct ublk_control_op - one control command
 * @run: returns the command's result
 * @flags: of enum ublk_control_flags
 */
struct ublk_control_op {
	int (*run)(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd);
	unsigned int flags;
};

static void __user *ublk_control_buffer(const struct ublksrv_ctrl_cmd *cmd)
{
	return u64_to_user_ptr(cmd->addr);
}

static int ublk_control_get_features(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	u64 features = ublk_features_supported();

	if (cmd->len != UBLK_FEATURES_LEN || !cmd->addr)
		return -EINVAL;
	return copy_to_user(ublk_control_buffer(cmd), &features, sizeof(features)) ? -EFAULT : 0;
}

static bool ublk_control_desc_size_is_valid(const struct ublksrv_ctrl_dev_info *info)
{
	if (!(info->flags & UBLK_F_IO_DESC_SIZE))
		return true;
	return info->io_desc_size >= sizeof(struct ublksrv_io_desc) &&
	       info->io_desc_size <= UBLK_MAX_IO_DESC_SIZE &&
	       IS_ALIGNED(info->io_desc_size, __alignof__(struct ublksrv_io_desc));
}

static int ublk_control_check_info(const struct ublksrv_ctrl_cmd *cmd,
				   const struct ublksrv_ctrl_dev_info *info)
{
	if (!info->queue_depth || info->queue_depth > UBLK_MAX_QUEUE_DEPTH)
		return -EINVAL;
	if (!info->nr_hw_queues || info->nr_hw_queues > UBLK_MAX_NR_QUEUES)
		return -EINVAL;
	if (!ublk_control_desc_size_is_valid(info))
		return -EINVAL;
	if (info->dev_id != cmd->dev_id)
		return -EINVAL;
	if (info->dev_id != U32_MAX && info->dev_id >= UBLK_MAX_DEVICES)
		return -EINVAL;
	return 0;
}

static int ublk_control_add(struct ublk_device *none, const struct ublksrv_ctrl_cmd *cmd)
{
	struct ublksrv_ctrl_dev_info info;
	struct ublk_device *dev;
	int ret;

	if (cmd->queue_id != U16_MAX || cmd->len < sizeof(info) || !cmd->addr)
		return -EINVAL;
	if (copy_from_user(&info, ublk_control_buffer(cmd), sizeof(info)))
		return -EFAULT;
	ret = ublk_features_grant(info.flags, &info.flags);
	if (!ret)
		ret = ublk_control_check_info(cmd, &info);
	if (ret)
		return ret;

	dev = ublk_device_add(&info);
	if (IS_ERR(dev))
		return PTR_ERR(dev);
	info = ublk_device_info(dev);
	if (copy_to_user(ublk_control_buffer(cmd), &info, sizeof(info))) {
		/* Nobody knows its id. Whoever has guessed it and has a disk may keep both. */
		ublk_device_discard(dev);
		ret = -EFAULT;
	}
	ublk_device_put(dev);
	return ret;
}

static int ublk_control_get_info(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	struct ublksrv_ctrl_dev_info info;

	if (cmd->len < sizeof(info) || !cmd->addr)
		return -EINVAL;
	info = ublk_device_info(dev);
	return copy_to_user(ublk_control_buffer(cmd), &info, sizeof(info)) ? -EFAULT : 0;
}

static int ublk_control_get_affinity(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	const unsigned int *map = dev->tag_set.map[HCTX_TYPE_DEFAULT].mq_map;
	u32 len = min_t(u32, cmd->len, cpumask_size());
	void __user *to = ublk_control_buffer(cmd);
	cpumask_var_t mask;
	unsigned int cpu;
	int ret = 0;

	if (cmd->len * BITS_PER_BYTE < nr_cpu_ids || cmd->len % sizeof(unsigned long) || !cmd->addr)
		return -EINVAL;
	if (cmd->data[0] >= dev->info.nr_hw_queues)
		return -EINVAL;
	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return -ENOMEM;

	for_each_possible_cpu(cpu) {
		if (map[cpu] == cmd->data[0])
			cpumask_set_cpu(cpu, mask);
	}
	if (copy_to_user(to, cpumask_bits(mask), len) || clear_user(to + len, cmd->len - len))
		ret = -EFAULT;
	free_cpumask_var(mask);
	return ret;
}

static int ublk_control_set_params(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return cmd->addr ? ublk_params_set(dev, ublk_control_buffer(cmd), cmd->len) : -EINVAL;
}

static int ublk_control_get_params(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return cmd->addr ? ublk_params_get(dev, ublk_control_buffer(cmd), cmd->len) : -EINVAL;
}

static int ublk_control_start(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_device_start(dev, (pid_t)cmd->data[0]);
}

static int ublk_control_start_recovery(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_device_start_recovery(dev);
}

static int ublk_control_end_recovery(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_device_end_recovery(dev, (pid_t)cmd->data[0]);
}

static int ublk_control_stop(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_device_stop(dev);
}

static int ublk_control_try_stop(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_device_try_stop(dev);
}

static int ublk_control_quiesce(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_device_quiesce(dev, cmd->data[0]);
}

static int ublk_control_resize(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_device_resize(dev, cmd->data[0]);
}

static int ublk_control_del(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_device_delete(dev);
}

static int ublk_control_reg_buf(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_shmem_register(dev, ublk_control_buffer(cmd), cmd->len);
}

static int ublk_control_unreg_buf(struct ublk_device *dev, const struct ublksrv_ctrl_cmd *cmd)
{
	return ublk_shmem_unregister(dev, cmd->data[0]);
}

static const struct ublk_control_op ublk_control_ops[] = {
	[_IOC_NR(UBLK_U_CMD_GET_QUEUE_AFFINITY)] = {
		ublk_control_get_affinity, NEEDS_DEVICE | READ_ONLY | NEVER_SLEEPS
	},
	[_IOC_NR(UBLK_U_CMD_GET_DEV_INFO)] = {
		ublk_control_get_info, NEEDS_DEVICE | READ_ONLY | NEVER_SLEEPS
	},
	[_IOC_NR(UBLK_U_CMD_ADD_DEV)]		= { ublk_control_add, ANYBODY },
	[_IOC_NR(UBLK_U_CMD_DEL_DEV)]		= { ublk_control_del, NEEDS_DEVICE | UNTIL_FREED },
	[_IOC_NR(UBLK_U_CMD_START_DEV)]		= { ublk_control_start, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_STOP_DEV)]		= { ublk_control_stop, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_SET_PARAMS)]	= { ublk_control_set_params, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_GET_PARAMS)] = {
		ublk_control_get_params, NEEDS_DEVICE | READ_ONLY
	},
	[_IOC_NR(UBLK_U_CMD_START_USER_RECOVERY)] = {
		ublk_control_start_recovery, NEEDS_DEVICE | NEVER_SLEEPS
	},
	[_IOC_NR(UBLK_U_CMD_END_USER_RECOVERY)]	= { ublk_control_end_recovery, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_GET_DEV_INFO2)] = {
		ublk_control_get_info, NEEDS_DEVICE | READ_ONLY | TAKES_PATH
	},
	[_IOC_NR(UBLK_U_CMD_GET_FEATURES)] = {
		ublk_control_get_features, NEVER_SLEEPS | ANYBODY
	},
	[_IOC_NR(UBLK_U_CMD_DEL_DEV_ASYNC)]	= { ublk_control_del, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_UPDATE_SIZE)]	= { ublk_control_resize, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_QUIESCE_DEV)]	= { ublk_control_quiesce, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_TRY_STOP_DEV)]	= { ublk_control_try_stop, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_REG_BUF)]		= { ublk_control_reg_buf, NEEDS_DEVICE },
	[_IOC_NR(UBLK_U_CMD_UNREG_BUF)]		= { ublk_control_unreg_buf, NEEDS_DEVICE },
};

/* NULL: there is no such command. */
static const struct ublk_control_op *ublk_control_find_op(u32 cmd_op)
{
	unsigned int nr = _IOC_NR(cmd_op);
	const struct ublk_control_op *op;

	if (_IOC_TYPE(cmd_op) != 'u' && _IOC_TYPE(cmd_op) != 0)
		return NULL;
	if (nr >= ARRAY_SIZE(ublk_control_ops))
		return NULL;
	op = &ublk_control_ops[array_index_nospec(nr, ARRAY_SIZE(ublk_control_ops))];
	return op->run ? op : NULL;
}

/*
 * Do nodes on this mount stand for devices? Where they do not, anybody may be able to make them,
 * and to say who may use them.
 */
static bool ublk_control_has_nodes(const struct path *path)
{
	return !(path->mnt->mnt_flags & MNT_NODEV) &&
	       !(path->mnt->mnt_sb->s_iflags & SB_I_NODEV);
}

/* Does the caller know the node of the device @devt, and may it use it in this way? */
static int ublk_control_check_path(dev_t devt, const char *name, int mask)
{
	struct inode *inode;
	struct path path;
	int ret;

	ret = kern_path(name, LOOKUP_FOLLOW, &path);
	if (ret)
		return ret;
	inode = d_backing_inode(path.dentry);
	if (S_ISCHR(inode->i_mode) && inode->i_rdev == devt && ublk_control_has_nodes(&path))
		ret = inode_permission(&nop_mnt_idmap, inode, mask);
	else
		ret = -EPERM;
	path_put(&path);
	return ret;
}

/* Takes the path off the front of the command's buffer. */
static int ublk_control_take_path(dev_t devt, const struct ublk_control_op *op,
				  struct ublksrv_ctrl_cmd *cmd)
{
	int mask = op->flags & READ_ONLY ? MAY_READ : MAY_READ | MAY_WRITE;
	char *name;
	int ret;

	if (!cmd->dev_path_len || cmd->dev_path_len > PATH_MAX || cmd->dev_path_len > cmd->len)
		return -EINVAL;
	name = memdup_user_nul(ublk_control_buffer(cmd), cmd->dev_path_len);
	if (IS_ERR(name))
		return PTR_ERR(name);
	ret = ublk_control_check_path(devt, name, mask);
	kfree(name);
	if (ret)
		return ret;

	cmd->addr += cmd->dev_path_len;
	cmd->len -= cmd->dev_path_len;
	return 0;
}

/*
 * Who may do what to a device is up to the permissions of its node if it is an unprivileged one.
 * Whoever may do everything need not name the node. Returns whether it is to be looked at, or
 * -EPERM.
 */
static int ublk_control_wants_path(const struct ublk_device *dev, const struct ublk_control_op *op,
				   const struct ublksrv_ctrl_cmd *cmd)
{
	bool unprivileged = dev->info.flags & UBLK_F_UNPRIVILEGED_DEV;

	if (!capable(CAP_SYS_ADMIN))
		return unprivileged ? 1 : -EPERM;
	return (op->flags & TAKES_PATH) || (unprivileged && cmd->dev_path_len);
}

/*
 * Returns the device of a command once the sender may use it, with a reference, or an ERR_PTR.
 * There is none while a path is looked up, which can take as long as whoever serves that file
 * system likes: it would keep the device from being deleted.
 */
static struct ublk_device *ublk_control_get_device(const struct ublk_control_op *op,
						   struct ublksrv_ctrl_cmd *cmd)
{
	struct ublk_device *dev = ublk_device_find(cmd->dev_id);
	u64 serial;
	dev_t devt;
	int ret;

	if (!dev)
		return ERR_PTR(-ENODEV);
	ret = ublk_control_wants_path(dev, op, cmd);
	if (!ret)
		return dev;
	devt = dev->chardev.devt;
	serial = dev->serial;
	ublk_device_put(dev);
	if (ret > 0)
		ret = ublk_control_take_path(devt, op, cmd);
	if (ret)
		return ERR_PTR(ret);

	dev = ublk_device_find(cmd->dev_id);
	if (dev && dev->serial == serial)
		return dev;
	/* Another one has its number now. */
	if (dev)
		ublk_device_put(dev);
	return ERR_PTR(-ENODEV);
}

/* For a command that needs a device. */
static int ublk_control_run_on_device(const struct ublk_control_op *op,
				      struct ublksrv_ctrl_cmd *cmd)
{
	struct ublk_device *dev = ublk_control_get_device(op, cmd);
	u64 serial;
	int ret;

	if (IS_ERR(dev))
		return PTR_ERR(dev);
	serial = dev->serial;
	ret = op->run(dev, cmd);
	ublk_device_put(dev);

	/* Our own reference would have kept it. */
	if (!ret && (op->flags & UNTIL_FREED))
		ret = ublk_device_wait_freed(cmd->dev_id, serial);
	return ret;
}

static int ublk_control_run(const struct ublk_control_op *op, struct ublksrv_ctrl_cmd *cmd)
{
	if (op->flags & NEEDS_DEVICE)
		return ublk_control_run_on_device(op, cmd);
	return op->run(NULL, cmd);
}

static int ublk_control_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	const struct ublk_control_op *op = ublk_control_find_op(cmd->cmd_op);
	const struct ublksrv_ctrl_cmd *payload;
	struct ublksrv_ctrl_cmd copy;
	int ret;

	if (!(issue_flags & IO_URING_F_SQE128))
		return -EINVAL;
	if (!op)
		return -EOPNOTSUPP;
	/* The payload may lie in memory that the sender can change. */
	payload = ublk_cmd_payload128(cmd, struct ublksrv_ctrl_cmd);
	copy = (struct ublksrv_ctrl_cmd) {
		.dev_id = READ_ONCE(payload->dev_id),
		.queue_id = READ_ONCE(payload->queue_id),
		.len = READ_ONCE(payload->len),
		.addr = READ_ONCE(payload->addr),
		.data[0] = READ_ONCE(payload->data[0]),
		.dev_path_len = READ_ONCE(payload->dev_path_len),
	};
	/* io_uring sends it again from a worker thread. Looking up a path may sleep, too. */
	if ((!(op->flags & NEVER_SLEEPS) || copy.dev_path_len) &&
	    (issue_flags & IO_URING_F_NONBLOCK))
		return -EAGAIN;
	/* Nobody waits for the answer, and a worker thread could not be woken any more. */
	if (ublk_task_was_killed())
		return -EINTR;

	ret = ublk_control_run(op, &copy);
	if (ret <= 0)
		return ret;
	/* A worker thread would lose the command: see compat/io_uring.h. */
	io_uring_cmd_done(cmd, ret, issue_flags);
	return -EIOCBQUEUED;
}

static const struct file_operations ublk_control_fops = {
	.owner		= THIS_MODULE,
	.open		= nonseekable_open,
	.uring_cmd	= ublk_control_uring_cmd,
};

static struct miscdevice ublk_control_device = {
	.minor		= MISC_DYNAMIC_MINOR,
	.name		= "ublk-control",
	.fops		= &ublk_control_fops,
};

int ublk_control_init(void)
{
	return misc_register(&ublk_control_device);
}

void ublk_control_exit(void)
{
	misc_deregister(&ublk_control_device);
}
