// SPDX-License-Identifier: GPL-2.0-only
/* v6.15: a request's pages can be put into a ring's buffer table */
#include <linux/io_uring/cmd.h>

int probe(struct io_uring_cmd *cmd, struct request *rq, void (*release)(void *))
{
	return io_buffer_register_request(cmd, rq, release, 0, 0);
}
