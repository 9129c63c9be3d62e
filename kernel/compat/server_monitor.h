/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Signs that commands parked with the driver have lost their server, for kernels whose io_uring
 * does not ask a driver to cancel commands (before v6.7). There the kernel waits, uninterruptibly
 * in effect, for the driver to complete them; so the driver has to look for itself.
 */
#ifndef COMPAT_SERVER_MONITOR_H
#define COMPAT_SERVER_MONITOR_H

struct io_uring_cmd;
struct task_struct;

#if !COMPAT_HAVE_CMD_CANCELABLE		/* v6.7 */
bool ublk_task_abandons_commands(struct task_struct *task);
bool ublk_ring_is_dying(struct io_uring_cmd *cmd);
#else
static inline bool ublk_task_abandons_commands(struct task_struct *task)
{
	return false;
}

static inline bool ublk_ring_is_dying(struct io_uring_cmd *cmd)
{
	return false;
}
#endif

#endif
