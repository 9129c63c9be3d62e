// SPDX-License-Identifier: GPL-2.0-only
/* v6.18: one uring_cmd can post many completions into selected buffers */
#include <linux/io_uring/cmd.h>

bool probe(struct io_uring_cmd *cmd, size_t *len)
{
	struct io_br_sel sel = io_uring_cmd_buffer_select(cmd, 0, len, 0);

	return io_uring_mshot_cmd_post_cqe(cmd, &sel, 0);
}
