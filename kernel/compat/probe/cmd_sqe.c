// SPDX-License-Identifier: GPL-2.0-only
/* v6.5: struct io_uring_cmd points to the whole SQE, not only to its payload */
#include <linux/io_uring/cmd.h>

const void *probe(struct io_uring_cmd *cmd)
{
	return cmd->sqe;
}
