// SPDX-License-Identifier: GPL-2.0-only
/* v6.10: io_uring_cmd_to_pdu() */
#include <linux/io_uring/cmd.h>

int *probe(struct io_uring_cmd *cmd)
{
	return io_uring_cmd_to_pdu(cmd, int);
}
