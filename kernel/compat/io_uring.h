/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * io_uring commands. Two rules of 6.1 that no shim can lift hold for the driver everywhere:
 * ->uring_cmd() returns 0, -EIOCBQUEUED or an error, never a positive number (a worker thread
 * would lose the request), and a command that is completed from a context that did not get issue
 * flags from io_uring is completed with IO_URING_F_UNLOCKED from process context.
 */
#ifndef COMPAT_IO_URING_H
#define COMPAT_IO_URING_H

#include <linux/io_uring/cmd.h>
#include <linux/percpu-refcount.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

#if !COMPAT_HAVE_CMD_DONE_3_ARGS	/* v6.18 */
/*
 * 6.1 completes a command right here, and looks at the ring once more when that has let go of the
 * command's reference. Outside of a task of the ring, which is where it is unlocked, that could be
 * the last one.
 */
static inline void compat_io_uring_cmd_done(struct io_uring_cmd *cmd, s32 result,
					    unsigned int issue_flags)
{
	struct percpu_ref *ring = &cmd_to_io_kiocb(cmd)->ctx->refs;
	bool unlocked = issue_flags & IO_URING_F_UNLOCKED;

	if (unlocked)
		percpu_ref_get(ring);
	io_uring_cmd_done(cmd, result, 0, issue_flags);
	if (unlocked)
		percpu_ref_put(ring);
}

#define io_uring_cmd_done(cmd, result, issue_flags) \
	compat_io_uring_cmd_done(cmd, result, issue_flags)
#endif

/*
 * io_uring_cmd_complete_in_task() for those who have nothing else that keeps the ring: io_uring
 * looks at it once more when the command can have been completed already, with the ring's last
 * reference.
 */
#define ublk_cmd_send_to_task(cmd, callback) do {				\
	struct percpu_ref *ring = &cmd_to_io_kiocb(cmd)->ctx->refs;		\
										\
	percpu_ref_get(ring);							\
	io_uring_cmd_complete_in_task(cmd, callback);				\
	percpu_ref_put(ring);							\
} while (0)

/*
 * ublk_cmd_payload(cmd, type): the command bytes of a 64-byte SQE; ublk_cmd_payload128() those
 * of a 128-byte one, only for a command issued with IO_URING_F_SQE128. Userspace may change them
 * at any time: read each byte once. Both are valid during ->uring_cmd() only.
 */
static inline const void *compat_cmd_payload(const struct io_uring_cmd *cmd)
{
#if COMPAT_HAVE_CMD_SQE		/* v6.5 */
	return cmd->sqe->cmd;
#else
	return cmd->cmd;
#endif
}

#define COMPAT_SQE_PAYLOAD	(sizeof(struct io_uring_sqe) - offsetof(struct io_uring_sqe, cmd))

#define ublk_cmd_payload(cmd, type) ({						\
	BUILD_BUG_ON(sizeof(type) > COMPAT_SQE_PAYLOAD);			\
	(const type *)compat_cmd_payload(cmd);					\
})

#define ublk_cmd_payload128(cmd, type) ({					\
	BUILD_BUG_ON(sizeof(type) > COMPAT_SQE_PAYLOAD + sizeof(struct io_uring_sqe));	\
	(const type *)compat_cmd_payload(cmd);					\
})

/* sqe->addr of a command. Features that use it need kernels newer than the one that gave access. */
static inline u64 ublk_cmd_sqe_addr(struct io_uring_cmd *cmd)
{
#if COMPAT_HAVE_CMD_SQE		/* v6.5 */
	return READ_ONCE(cmd->sqe->addr);
#else
	return 0;
#endif
}

#if !COMPAT_HAVE_CMD_TO_PDU	/* v6.10 */
#define io_uring_cmd_to_pdu(cmd, type) ({					\
	BUILD_BUG_ON(sizeof(type) > sizeof_field(struct io_uring_cmd, pdu));	\
	(type *)&(cmd)->pdu;							\
})
#endif

#if !COMPAT_HAVE_CMD_CTX_HANDLE	/* v6.16 */
static inline void *io_uring_cmd_ctx_handle(struct io_uring_cmd *cmd)
{
	return cmd_to_io_kiocb(cmd)->ctx;
}
#endif

#if !COMPAT_HAVE_CMD_CANCELABLE	/* v6.7 */
/* No bit: "issue_flags & IO_URING_F_CANCEL" is false and the compiler drops what it guards. */
#define IO_URING_F_CANCEL	0U

static inline void io_uring_cmd_mark_cancelable(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
}
#endif

#if !COMPAT_HAVE_IO_BUFFER_REGISTER	/* v6.15 */
/* Not reached: UBLK_CAN_ZERO_COPY keeps the features away that need them. */
static inline int io_buffer_register_request(struct io_uring_cmd *cmd, struct request *rq,
					     void (*release)(void *), unsigned int index,
					     unsigned int issue_flags)
{
	return -EOPNOTSUPP;
}

static inline int io_buffer_unregister(struct io_uring_cmd *cmd, unsigned int index,
				       unsigned int issue_flags)
{
	return -EOPNOTSUPP;
}
#endif

#if !COMPAT_HAVE_CMD_MULTISHOT		/* v6.18 */
/* Not reached: UBLK_CAN_BATCH keeps the feature away that needs them. */
struct io_br_sel {
	void *buf_list;
	union {
		void __user *addr;
		ssize_t val;
	};
};

static inline struct io_br_sel io_uring_cmd_buffer_select(struct io_uring_cmd *cmd,
							  unsigned int group, size_t *len,
							  unsigned int issue_flags)
{
	return (struct io_br_sel) { .val = -EOPNOTSUPP };
}

static inline bool io_uring_mshot_cmd_post_cqe(struct io_uring_cmd *cmd, struct io_br_sel *sel,
					       unsigned int issue_flags)
{
	return true;
}
#endif

/* What a command that posts many completions was submitted with. */
static inline bool ublk_cmd_is_multishot(const struct io_uring_cmd *cmd)
{
#if COMPAT_HAVE_CMD_MULTISHOT		/* v6.18 */
	return cmd->flags & IORING_URING_CMD_MULTISHOT;
#else
	return false;
#endif
}

static inline u16 ublk_cmd_buf_group(const struct io_uring_cmd *cmd)
{
#if COMPAT_HAVE_CMD_MULTISHOT		/* v6.18 */
	return READ_ONCE(cmd->sqe->buf_index);
#else
	return 0;
#endif
}

/**
 * ublk_task_was_killed() - has the current task's process got its last signal?
 *
 * io_uring runs task work and the work of its worker threads in such tasks, too, some of which have
 * taken the signal off. Then nothing wakes them any more from a page fault that is never answered,
 * so they must not touch the process's memory.
 */
static inline bool ublk_task_was_killed(void)
{
	return READ_ONCE(current->signal->flags) & SIGNAL_GROUP_EXIT;
}

/**
 * UBLK_DEFINE_CMD_TASK_WORK() - define a callback for io_uring_cmd_complete_in_task()
 * @name: the callback's name
 * @body: what it calls: void body(struct io_uring_cmd *cmd, unsigned int issue_flags, bool dead)
 *
 * @body completes the command with the given issue flags. If dead, it does not run in the task
 * that issued the command, or that task is exiting, or the ring is going away: the task's memory
 * must not be touched, and nobody will see the completion.
 *
 * 7.3 says "dead" in the token, 6.12 with IO_URING_F_TASK_DEAD, 6.1 nowhere. All run task work in
 * one of two places: in the task itself, with PF_EXITING set if do_exit() runs it, or after
 * task_work_add() failed in a work item, thus in a PF_KTHREAD task (which an SQPOLL thread is
 * not). That is the test 6.12 and 7.3 make themselves, so it serves where there is no token.
 *
 * None of them notices an SQPOLL thread that was killed, which runs task work while it waits for
 * its commands: see ublk_task_was_killed(). A task that waits in exec still runs task work and is
 * not dead by these tests: its memory is there, but it will not commit what it gets.
 */
#if COMPAT_HAVE_CMD_TW_TOKEN	/* v6.19 */
#define UBLK_DEFINE_CMD_TASK_WORK(name, body)					\
static void name(struct io_tw_req tw_req, io_tw_token_t tw)			\
{										\
	body(io_uring_cmd_from_tw(tw_req), IO_URING_CMD_TASK_WORK_ISSUE_FLAGS,		\
	     tw.cancel || ublk_task_was_killed());				\
}
#else
static inline bool compat_cmd_task_work_is_dead(struct io_uring_cmd *cmd)
{
	return (current->flags & (PF_EXITING | PF_KTHREAD)) || ublk_task_was_killed() ||
	       percpu_ref_is_dying(&cmd_to_io_kiocb(cmd)->ctx->refs);
}

#define UBLK_DEFINE_CMD_TASK_WORK(name, body)					\
static void name(struct io_uring_cmd *cmd, unsigned int issue_flags)		\
{										\
	body(cmd, issue_flags, compat_cmd_task_work_is_dead(cmd));		\
}
#endif

#endif
