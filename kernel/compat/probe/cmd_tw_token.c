// SPDX-License-Identifier: GPL-2.0-only
/* v6.19: task work gets a struct io_tw_req and a token that says "cancel" */
#include <linux/io_uring/cmd.h>

static void work(struct io_tw_req req, io_tw_token_t tw)
{
	io_uring_cmd_done(io_uring_cmd_from_tw(req), tw.cancel, IO_URING_CMD_TASK_WORK_ISSUE_FLAGS);
}

void probe(struct io_uring_cmd *cmd)
{
	io_uring_cmd_complete_in_task(cmd, work);
}
