// SPDX-License-Identifier: GPL-2.0-only
/* Must compile with every kernel: if it does not, every probe would answer "no". */
#include <linux/blk-mq.h>
#include <linux/fs.h>
#include <linux/io_uring/cmd.h>
#include <linux/module.h>
#include <linux/slab.h>
