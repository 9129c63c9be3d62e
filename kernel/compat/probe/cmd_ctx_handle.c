// SPDX-License-Identifier: GPL-2.0-only
/* v6.16: io_uring_cmd_ctx_handle() */
#include <linux/io_uring/cmd.h>

void *probe(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_ctx_handle(cmd);
}
