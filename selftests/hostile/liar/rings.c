// SPDX-License-Identifier: GPL-2.0-only
/*
 * A liar's io_urings: every way to set one up, entries that others change while the kernel reads
 * them, and what completions are about.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "liar.h"

#define RING_ENTRIES 64
#define RING_TABLE 16

/* Who changes entries holds it, and so does who maps or unmaps a ring. */
static pthread_mutex_t rings_lock = PTHREAD_MUTEX_INITIALIZER;

uint64_t ring_token(enum token token, enum what what, unsigned int queue, unsigned int tag)
{
	return (uint64_t)token << 56 | (uint64_t)what << 48 | (uint64_t)(queue & 0xffff) << 16 |
	       (tag & 0xffff);
}

/* The same for a command, which is counted. */
uint64_t ring_token_of(uint64_t token, unsigned int op)
{
	report_made(token >> 48 & 0xff, 1);
	report_sent(_IOC_NR(op));
	return token | (uint64_t)_IOC_NR(op) << 40;
}

void ring_judge(const struct io_uring_cqe *cqe)
{
	if (cqe->user_data >> 40 & 0xff)
		report_result(cqe->user_data >> 40 & 0xff, cqe->res);
	if (cqe->res >= 0)
		report_good(cqe->user_data >> 48 & 0xff);
}

static unsigned int any_setup(struct dice *dice)
{
	static const uint64_t setups[] = {
		0,
		0,
		IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_CQE32,
		IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_COOP_TASKRUN,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_SQE128,
		IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
		IORING_SETUP_CQE32,
		IORING_SETUP_R_DISABLED,
		IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER,
		IORING_SETUP_IOPOLL,
		IORING_SETUP_SQPOLL,
		IORING_SETUP_CLAMP,
	};
	unsigned int flags = dice_pick(dice, setups, sizeof(setups) / sizeof(setups[0]));

	/* Otherwise one bad entry keeps those behind it from being submitted. */
	return dice_chance(dice, 90) ? flags | IORING_SETUP_SUBMIT_ALL : flags;
}

void ring_open_with(struct liar_ring *ring, unsigned int entries, unsigned int flags)
{
	pthread_mutex_lock(&rings_lock);
	memset(ring, 0, sizeof(*ring));
	if (raw_ring_open(&ring->raw, entries, flags))
		ring->raw.fd = -1;
	pthread_mutex_unlock(&rings_lock);
	report_made(WHAT_PROCESS, 1);
}

static void make_table(struct liar_ring *ring)
{
	struct io_uring_rsrc_register table = {
		.nr = RING_TABLE,
		.flags = IORING_RSRC_REGISTER_SPARSE,
	};

	ring->table = !syscall(__NR_io_uring_register, ring->raw.fd, IORING_REGISTER_BUFFERS2,
			       &table, sizeof(table));
}

void ring_open(struct liar_ring *ring, struct dice *dice, enum ring_use use)
{
	bool control = use == RING_CONTROL, narrow = use == RING_NARROW || dice_chance(dice, 3);
	unsigned int flags = any_setup(dice);

	/* Who asks waits for the answer, so most of them can get one. */
	if (control && dice_chance(dice, 95))
		flags = (flags & ~(IORING_SETUP_R_DISABLED | IORING_SETUP_IOPOLL)) |
			IORING_SETUP_SQE128;
	ring_open_with(ring, !control && narrow ? PICK(dice, 1, 1, 2, 4) : RING_ENTRIES, flags);
	if (ring->raw.fd < 0)
		return;
	ring->flips = dice_chance(dice, 50);
	if (!control && dice_chance(dice, 70))
		make_table(ring);
	if ((flags & IORING_SETUP_R_DISABLED) && dice_chance(dice, 80))
		syscall(__NR_io_uring_register, ring->raw.fd, IORING_REGISTER_ENABLE_RINGS, NULL,
			0);
}

/*
 * The io_uring of 6.1 takes task work off such a ring's list twice at once, and crashes, when the
 * ring is closed just before its task exits or execs. No driver can help that.
 */
static bool may_be_closed(const struct liar_ring *ring)
{
	struct utsname name;

	return !(ring->raw.flags & IORING_SETUP_DEFER_TASKRUN) || uname(&name) ||
	       strncmp(name.release, "6.1.", 4) != 0;
}

void ring_close(struct liar_ring *ring)
{
	pthread_mutex_lock(&rings_lock);
	/* Otherwise the process keeps it, until its end. */
	if (may_be_closed(ring))
		raw_ring_close(&ring->raw);
	ring->raw.fd = -1;
	pthread_mutex_unlock(&rings_lock);
	ring->caught_count = 0;
	ring->fixed_file = false;
	report_made(WHAT_PROCESS, 1);
}

struct io_uring_sqe *ring_sqe(struct liar_ring *ring)
{
	struct io_uring_sqe *sqe;

	if (ring->raw.fd < 0)
		return NULL;
	sqe = raw_ring_sqe(&ring->raw);
	if (sqe)
		return sqe;
	ring_submit(ring, 0);
	return raw_ring_sqe(&ring->raw);
}

bool ring_submit(struct liar_ring *ring, int wait_ms)
{
	bool taken;

	if (ring->raw.fd < 0)
		return false;
	seat_enter();
	taken = !raw_ring_submit(&ring->raw, wait_ms);
	seat_leave();
	return taken;
}

/* Also values that only mean something to the other kind of ring. */
static void flip_payload(void *payload, struct dice *dice, bool control)
{
	struct ublksrv_ctrl_cmd *command = payload;
	struct ublksrv_io_cmd *io = payload;

	if (!control) {
		io->q_id = dice_below(dice, 3);
		io->tag = dice_below(dice, 16);
		if (dice_chance(dice, 30))
			io->result = command_any_result(dice);
		if (dice_chance(dice, 30))
			io->addr = memory_any_data(dice);
		return;
	}
	command->dev_id = control_any_id(dice);
	if (dice_chance(dice, 30))
		command->len = dice_below(dice, 1024);
	if (dice_chance(dice, 30))
		command->addr = memory_any_note(dice, memory_note(dice));
	if (dice_chance(dice, 30))
		command->data[0] = dice_below(dice, 3);
	if (dice_chance(dice, 10))
		command->dev_path_len = dice_below(dice, 20);
}

static void flip_entry(struct io_uring_sqe *sqe, struct dice *dice, bool control)
{
	switch (dice_below(dice, 8)) {
	case 0:
		sqe->cmd_op = control ? _IOWR('u', dice_below(dice, 0x1a), struct ublksrv_ctrl_cmd) :
				_IOWR('u', 0x20 + dice_below(dice, 6), struct ublksrv_io_cmd);
		break;
	case 1:
		if (!control)
			sqe->addr = memory_any_data(dice);
		break;
	case 2:
		sqe->buf_index = dice_below(dice, 20);
		break;
	default:
		flip_payload(sqe->cmd, dice, control);
		break;
	}
}

void rings_flip(struct dice *dice)
{
	struct liar *liar = &liars[dice_below(dice, LIAR_MAX_THREADS)];
	unsigned int which = dice_below(dice, LIAR_RINGS + 1);
	bool control = which == LIAR_RINGS;
	struct liar_ring *ring = control ? &liar->control : &liar->rings[which];
	unsigned int flips = 1 + dice_below(dice, 32), i, index;

	pthread_mutex_lock(&rings_lock);
	for (i = 0; ring->raw.fd >= 0 && ring->flips && i < flips; i++) {
		/* those that are next */
		index = (*ring->raw.sq_head + dice_below(dice, 4)) & ring->raw.sq_mask;
		flip_entry((void *)((char *)ring->raw.sqes + index * ring->raw.sqe_size), dice,
			   control);
		atomic_fetch_add_explicit(&shared->flips, 1, memory_order_relaxed);
	}
	pthread_mutex_unlock(&rings_lock);
}
