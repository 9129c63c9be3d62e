// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O commands about one tag, right and wrong: of any task, on any ring, for any tag.
 */
#include <limits.h>
#include <string.h>

#include "liar.h"

/* Headers of 6.1 do not have what came later; older kernels refuse it. */
#define COMMAND_MULTISHOT (1U << 1)

int command_any_result(struct dice *dice)
{
	static const uint64_t results[] = {
		0, 1, 511, 512, 513, 4095, 4096, 8192, 65536, 1 << 20, INT_MAX, -1, -2, -5, -11,
		-28, -61, -84, -512, -4095, -4096, INT_MIN,
	};

	return dice_pick(dice, results, sizeof(results) / sizeof(results[0]));
}

struct liar_ring *liar_any_ring(struct liar *liar, struct dice *dice)
{
	return &liar->rings[dice_below(dice, LIAR_RINGS)];
}

void command_set(struct io_uring_sqe *sqe, unsigned int queue, unsigned int tag, int result,
		 uint64_t address)
{
	struct ublksrv_io_cmd command = {
		.q_id = queue,
		.tag = tag,
		.result = result,
		.addr = address,
	};

	memcpy(sqe->cmd, &command, sizeof(command));
}

/* An entry for @op, whose payload is still to be set; NULL if there is no place. */
struct io_uring_sqe *command_sqe(struct liar *liar, struct liar_ring *ring, unsigned int op,
				 uint64_t token)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	if (!sqe)
		return NULL;
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = ring->fixed_file ? 0 : atomic_load(&liar->handle->chr);
	sqe->flags = ring->fixed_file ? IOSQE_FIXED_FILE : 0;
	sqe->cmd_op = op;
	sqe->user_data = ring_token_of(token, op);
	return sqe;
}

/* As an honest server begins; with some tags left out if @dice say so. */
void command_fetch_all(struct liar *liar, struct liar_ring *ring, struct dice *dice)
{
	const struct ublksrv_ctrl_dev_info *info = &liar->handle->info;
	bool wanted = raw_wants_addresses(info);
	unsigned int spare = dice_chance(dice, 85) ? 0 : 1 + dice_below(dice, 3);
	unsigned int queue, tag;
	struct io_uring_sqe *sqe;

	for (queue = 0; queue < info->nr_hw_queues; queue++) {
		for (tag = spare; tag < info->queue_depth; tag++) {
			sqe = command_sqe(liar, ring, UBLK_U_IO_FETCH_REQ,
					  ring_token(TOKEN_TAG, WHAT_COMMAND, queue, tag));
			if (!sqe)
				return;
			command_set(sqe, queue, tag, 0, wanted ? liar_data(liar, dice) : 0);
			if (info->flags & UBLK_F_AUTO_BUF_REG)
				sqe->addr = (tag & 15) | (uint64_t)dice_below(dice, 2) << 16;
		}
	}
}

static unsigned int any_opcode(struct dice *dice)
{
	static const unsigned char weights[] = { 12, 40, 10, 6, 5 };
	unsigned int number = UBLK_IO_FETCH_REQ + dice_weighted(dice, weights, sizeof(weights));

	if (dice_chance(dice, 3))
		number = dice_below(dice, 256);
	if (dice_chance(dice, 2))
		return dice_roll(dice);
	return dice_chance(dice, 75) ? _IOWR('u', number, struct ublksrv_io_cmd) : number;
}

static unsigned int any_of(struct dice *dice, unsigned int count)
{
	if (dice_chance(dice, 3))
		return PICK(dice, count, count + 1, 255, 4095, 4096, 65535);
	return dice_below(dice, count ? count : 1);
}

static void any_flags(struct io_uring_sqe *sqe, struct dice *dice)
{
	if (dice_chance(dice, 15))
		sqe->flags |= PICK(dice, IOSQE_ASYNC, IOSQE_ASYNC, IOSQE_IO_LINK, IOSQE_IO_DRAIN,
				   IOSQE_IO_HARDLINK, IOSQE_CQE_SKIP_SUCCESS, IOSQE_BUFFER_SELECT,
				   IOSQE_ASYNC | IOSQE_IO_LINK);
	if (dice_chance(dice, 4))
		sqe->rw_flags = PICK(dice, IORING_URING_CMD_FIXED, COMMAND_MULTISHOT, ~0);
	if (dice_chance(dice, 10))
		sqe->addr = memory_any_data(dice);
	if (dice_chance(dice, 4))
		sqe->buf_index = dice_below(dice, 20);
}

static void any_command(struct liar *liar, struct liar_ring *ring, struct dice *dice)
{
	const struct ublksrv_ctrl_dev_info *info = &liar->handle->info;
	unsigned int queue = any_of(dice, info->nr_hw_queues);
	unsigned int tag = any_of(dice, info->queue_depth);
	bool wanted = raw_wants_addresses(info);
	struct io_uring_sqe *sqe = command_sqe(liar, ring, any_opcode(dice),
					       ring_token(TOKEN_TAG, WHAT_COMMAND, queue, tag));
	uint64_t address = memory_any_data(dice);

	if (!sqe)
		return;
	if (!wanted && dice_chance(dice, 80))
		address = dice_chance(dice, 50) ? 0 : dice_below(dice, 20);
	command_set(sqe, queue, tag, command_any_result(dice), address);
	if (info->flags & UBLK_F_AUTO_BUF_REG)
		sqe->addr = dice_chance(dice, 80) ? dice_below(dice, 20) : dice_roll(dice);
	any_flags(sqe, dice);
}

void command_burst(struct liar *liar, struct dice *dice)
{
	struct liar_ring *ring = liar_any_ring(liar, dice);
	unsigned int count = 1 + dice_below(dice, 12);

	while (count--)
		any_command(liar, ring, dice);
	answer_reap(liar, ring);
}
