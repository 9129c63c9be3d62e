// SPDX-License-Identifier: GPL-2.0-only
/* Userspace block devices: the module. ublk.h maps the other files. */
#include <linux/module.h>

#include "ublk.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init ublk_init(void)
{
	int ret;

	BUILD_BUG_ON(sizeof(struct ublksrv_io_desc) != 24);
	BUILD_BUG_ON(sizeof(struct ublksrv_ctrl_cmd) != 32);
	BUILD_BUG_ON(sizeof(struct ublksrv_ctrl_dev_info) != 64);

	ret = ublk_workqueues_init();
	if (ret)
		return ret;
	ublk_debugfs_init();
	ret = ublk_devices_init();
	if (ret)
		goto err_debugfs;
	ret = ublk_control_init();
	if (ret)
		goto err_devices;
	return 0;

err_devices:
	ublk_devices_exit();
err_debugfs:
	ublk_debugfs_exit();
	ublk_workqueues_exit();
	return ret;
}

static void __exit ublk_exit(void)
{
	ublk_control_exit();
	ublk_devices_exit();
	ublk_debugfs_exit();
	ublk_workqueues_exit();
}

module_init(ublk_init);
module_exit(ublk_exit);

MODULE_DESCRIPTION("Userspace block devices");
/* DKMS takes two modules without a version for the same, and keeps the kernel's own. */
MODULE_VERSION("0.1.0");
MODULE_LICENSE("GPL");
