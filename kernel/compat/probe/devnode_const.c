// SPDX-License-Identifier: GPL-2.0-only
/* v6.2: a class's ->devnode() gets a const device */
#include <linux/device.h>

static char *devnode(const struct device *dev, umode_t *mode)
{
	return NULL;
}

const struct class probe = { .devnode = devnode };
