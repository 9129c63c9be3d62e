// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands that come back because their server is gone. To answer one takes the uring_lock of its
 * ring, and who holds that may wait for anything, even for a request of this disk or for the very
 * one who wants to answer. So only the task of a command answers it, which has the lock when it is
 * its turn; everybody else sends it there and goes on.
 */
#include <linux/io_uring/cmd.h>

#include "ublk.h"

static void ublk_answer_in_task(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead)
{
	io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, issue_flags);
}

UBLK_DEFINE_CMD_TASK_WORK(ublk_answer_work, ublk_answer_in_task)

/**
 * ublk_answer_abort() - answer a command with UBLK_IO_RES_ABORT
 * @cmd: the caller's; not on its way to its task already
 * @issue_flags: IO_URING_F_UNLOCKED: the caller need not be in the command's task
 *
 * Context: any but hard interrupt with IO_URING_F_UNLOCKED; does not sleep.
 */
void ublk_answer_abort(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	if (issue_flags & IO_URING_F_UNLOCKED)
		ublk_cmd_send_to_task(cmd, ublk_answer_work);
	else
		io_uring_cmd_done(cmd, UBLK_IO_RES_ABORT, issue_flags);
}
