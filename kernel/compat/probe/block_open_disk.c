// SPDX-License-Identifier: GPL-2.0-only
/* v6.5: ->open() gets the disk and a blk_mode_t, ->release() no mode */
#include <linux/blkdev.h>

static int open(struct gendisk *disk, blk_mode_t mode)
{
	return mode & BLK_OPEN_WRITE ? -EROFS : 0;
}

static void release(struct gendisk *disk)
{
}

const struct block_device_operations probe = { .open = open, .release = release };
