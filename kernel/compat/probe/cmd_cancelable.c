// SPDX-License-Identifier: GPL-2.0-only
/* v6.7: io_uring asks a driver to cancel its commands (IO_URING_F_CANCEL) */
#include <linux/io_uring/cmd.h>

unsigned int probe(struct io_uring_cmd *cmd)
{
	io_uring_cmd_mark_cancelable(cmd, 0);
	return IO_URING_F_CANCEL;
}
