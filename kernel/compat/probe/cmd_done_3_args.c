// SPDX-License-Identifier: GPL-2.0-only
/* v6.18: io_uring_cmd_done() lost res2 */
#include <linux/io_uring/cmd.h>

void probe(struct io_uring_cmd *cmd)
{
	io_uring_cmd_done(cmd, 0, 0);
}
