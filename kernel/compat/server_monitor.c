// SPDX-License-Identifier: GPL-2.0-only
/* Finds out that a server is gone by looking at its task and its ring; see server_monitor.h. */
#include <linux/atomic.h>
#include <linux/io_uring/cmd.h>
#include <linux/percpu-refcount.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "server_monitor.h"

#if !COMPAT_HAVE_CMD_CANCELABLE		/* v6.7 */
/**
 * ublk_task_abandons_commands() - will a task never again take care of its commands?
 * @task: the task that issued the commands, referenced by the caller
 *
 * One of @task's commands must be pending and stay so during the call: it keeps @task->io_uring,
 * which exec frees as soon as the last command is done.
 *
 * One sign alone is not enough. PF_EXITING comes only after io_uring has waited for an SQPOLL
 * thread's commands, and an exec never sets it. A fatal signal sets SIGNAL_GROUP_EXIT at once,
 * but exec and the exit of one thread do not. io_uring counts in_idle up before it waits in exec,
 * in exit and in an SQPOLL thread, and down only when all commands are done.
 */
bool ublk_task_abandons_commands(struct task_struct *task)
{
	struct io_uring_task *tctx = READ_ONCE(task->io_uring);

	return (READ_ONCE(task->flags) & PF_EXITING) ||
	       (READ_ONCE(task->signal->flags) & SIGNAL_GROUP_EXIT) ||
	       (tctx && atomic_read(&tctx->in_idle));
}

/**
 * ublk_ring_is_dying() - has the last reference to a command's ring been closed?
 * @cmd: a command that is pending and stays so during the call
 */
bool ublk_ring_is_dying(struct io_uring_cmd *cmd)
{
	return percpu_ref_is_dying(&cmd_to_io_kiocb(cmd)->ctx->refs);
}
#endif
