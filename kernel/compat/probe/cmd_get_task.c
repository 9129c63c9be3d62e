// SPDX-License-Identifier: GPL-2.0-only
/* v6.7: io_uring_cmd_get_task() */
#include <linux/io_uring/cmd.h>

struct task_struct *probe(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_get_task(cmd);
}
