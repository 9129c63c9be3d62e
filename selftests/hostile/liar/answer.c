// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of a request that a liar got: an answer, no answer, a wrong one, two.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/blkzoned.h>

#include "liar.h"

#define ZONE_SECTORS 8192	/* as in params_any() */

struct request {
	struct ublksrv_io_desc descriptor;
	unsigned int op;
	unsigned int bytes;
};

/* A mapping that is not there any more is somebody's who closed the device meanwhile. */
static struct request look_up(const struct liar *liar, const struct caught *caught)
{
	const struct handle *handle = liar->handle;
	struct request request = { .descriptor = { .nr_sectors = 8 } };
	const char *map = caught->queue < LIAR_QUEUES ? handle->maps[caught->queue] : NULL;

	if (map && caught->tag < handle->info.queue_depth)
		memcpy(&request.descriptor, map + caught->tag * handle->info.io_desc_size,
		       sizeof(request.descriptor));
	request.op = ublksrv_get_op(&request.descriptor);
	if (request.op == UBLK_IO_OP_READ || request.op == UBLK_IO_OP_WRITE ||
	    request.op == UBLK_IO_OP_ZONE_APPEND)
		request.bytes = request.descriptor.nr_sectors << 9;
	return request;
}

/* Zones as they were on the first day. Returns their bytes. */
static unsigned int write_report(struct blk_zone *zones, const struct request *request)
{
	unsigned int count = request->descriptor.nr_zones < 16 ? request->descriptor.nr_zones : 16;
	unsigned int i;

	for (i = 0; i < count; i++) {
		__u64 start = request->descriptor.start_sector + i * ZONE_SECTORS;

		zones[i] = (struct blk_zone) {
			.start = start,
			.len = ZONE_SECTORS,
			.capacity = ZONE_SECTORS,
			.wp = start,
			.type = BLK_ZONE_TYPE_SEQWRITE_REQ,
			.cond = BLK_ZONE_COND_EMPTY,
		};
	}
	return count * sizeof(*zones);
}

static void move(struct liar_ring *ring, unsigned char op, int file, off_t position,
		 uint64_t address, unsigned int bytes, unsigned int index)
{
	struct io_uring_sqe *sqe = ring_sqe(ring);

	if (!sqe)
		return;
	sqe->opcode = op;
	sqe->fd = file;
	sqe->off = position;
	sqe->addr = address;
	sqe->len = bytes;
	sqe->buf_index = index;
	sqe->user_data = ring_token(TOKEN_OTHER, WHAT_FILE, 0, 0);
	report_made(WHAT_FILE, 1);
}

/* Through the file, on a device where the server moves data itself; a liar moves some of it. */
static void move_data(struct liar *liar, struct liar_ring *ring, const struct caught *caught,
		      const struct request *request, struct dice *dice)
{
	bool lie = dice_chance(dice, liar->lies);
	unsigned int skip = lie ? 512 * dice_below(dice, 4) : 0;
	off_t position = file_position(caught->queue, caught->tag, skip);
	unsigned int bytes = lie ? 512 * (1 + dice_below(dice, 16)) : request->bytes;
	unsigned int again = lie ? dice_below(dice, 4) : 1;
	int file = atomic_load(&liar->handle->chr);
	void *zones = memory_note(dice);

	if (request->op == UBLK_IO_OP_REPORT_ZONES) {
		move(ring, IORING_OP_WRITE, file, position, (unsigned long)zones,
		     write_report(zones, request), 0);
		return;
	}
	while (again--)
		move(ring, request->op == UBLK_IO_OP_READ ? IORING_OP_WRITE : IORING_OP_READ,
		     file, position, liar_data(liar, dice), bytes, 0);
}

static void move_buffer(struct liar *liar, struct liar_ring *ring, unsigned int op,
			const struct caught *caught, unsigned int index)
{
	struct io_uring_sqe *sqe = command_sqe(liar, ring, op,
					       ring_token(TOKEN_OTHER, WHAT_BATCH, 0, 0));

	if (sqe)
		command_set(sqe, caught->queue, caught->tag, 0, index);
}

/* From a file into the pages that the ring has in its table. */
static void move_registered(struct liar *liar, struct liar_ring *ring,
			    const struct caught *caught, const struct request *request,
			    struct dice *dice)
{
	bool automatic = liar->handle->info.flags & UBLK_F_AUTO_BUF_REG;
	unsigned int index = caught->tag & 15;

	if (!automatic)
		move_buffer(liar, ring, UBLK_U_IO_REGISTER_IO_BUF, caught, index);
	if (request->op == UBLK_IO_OP_READ)
		move(ring, IORING_OP_READ_FIXED, memory_file(), 0, 0, request->bytes, index);
	if (!automatic && !dice_chance(dice, liar->lies))
		move_buffer(liar, ring, UBLK_U_IO_UNREGISTER_IO_BUF, caught, index);
}

static void commit(struct liar *liar, struct liar_ring *ring, const struct caught *caught,
		   int result, uint64_t address, struct dice *dice)
{
	const struct ublksrv_ctrl_dev_info *info = &liar->handle->info;
	struct io_uring_sqe *sqe = command_sqe(liar, ring, UBLK_U_IO_COMMIT_AND_FETCH_REQ,
					       ring_token(TOKEN_TAG, WHAT_COMMAND, caught->queue,
							  caught->tag));

	if (!sqe)
		return;
	if (!raw_wants_addresses(info))
		address = 0;
	command_set(sqe, caught->queue, caught->tag, result, address);
	if (info->flags & UBLK_F_AUTO_BUF_REG)
		sqe->addr = (caught->tag & 15) | (uint64_t)dice_below(dice, 2) << 16;
}

/* The data of an announced WRITE, wanted somewhere. */
static void get_data(struct liar *liar, struct liar_ring *ring, const struct caught *caught,
		     uint64_t address)
{
	struct io_uring_sqe *sqe = command_sqe(liar, ring, UBLK_U_IO_NEED_GET_DATA,
					       ring_token(TOKEN_DATA, WHAT_COMMAND, caught->queue,
							  caught->tag));

	if (sqe)
		command_set(sqe, caught->queue, caught->tag, 0, address);
}

static void answer_right(struct liar *liar, struct liar_ring *ring, const struct caught *caught,
			 struct dice *dice)
{
	struct request request = look_up(liar, caught);
	const struct ublksrv_ctrl_dev_info *info = &liar->handle->info;

	if (caught->offered) {
		get_data(liar, ring, caught, liar_data(liar, dice));
		return;
	}
	if (info->flags & UBLK_F_USER_COPY)
		move_data(liar, ring, caught, &request, dice);
	else if (raw_lends_pages(info))
		move_registered(liar, ring, caught, &request, dice);
	commit(liar, ring, caught, request.bytes, liar_data(liar, dice), dice);
}

static struct caught neighbour(const struct liar *liar, const struct caught *caught,
			       struct dice *dice)
{
	struct caught other = *caught;

	other.tag = dice_below(dice, liar->handle->info.queue_depth + 1);
	if (dice_chance(dice, 20))
		other.queue = dice_below(dice, LIAR_QUEUES);
	return other;
}

static void answer_wrong(struct liar *liar, struct liar_ring *ring, const struct caught *caught,
			 struct dice *dice)
{
	struct request request = look_up(liar, caught);
	struct caught other = neighbour(liar, caught, dice);
	uint64_t address = liar_data(liar, dice);
	int bytes = request.bytes;

	switch (dice_below(dice, 12)) {
	case 0: /* never */
		break;
	case 1: /* short */
		commit(liar, ring, caught, dice_below(dice, bytes + 1), address, dice);
		break;
	case 2: /* too long */
		commit(liar, ring, caught, bytes + dice_below(dice, 1 << 20), address, dice);
		break;
	case 3: /* twice */
		commit(liar, ring, caught, bytes, address, dice);
		commit(liar, ring, caught, bytes, address, dice);
		break;
	case 4: /* for another */
		commit(liar, ring, &other, bytes, address, dice);
		break;
	case 5: /* on another ring */
		ring = liar_any_ring(liar, dice);
		answer_right(liar, ring, caught, dice);
		ring_submit(ring, 0);
		break;
	case 6:
		get_data(liar, ring, caught, memory_any_data(dice));
		break;
	case 7: /* data from nowhere */
	case 8:
		commit(liar, ring, caught, bytes, memory_any_data(dice), dice);
		break;
	case 9: /* some data, then an error */
		if (liar->handle->info.flags & UBLK_F_USER_COPY)
			move_data(liar, ring, caught, &request, dice);
		commit(liar, ring, caught, -5, address, dice);
		break;
	default:
		commit(liar, ring, caught, command_any_result(dice), address, dice);
		break;
	}
}

static void completed(struct liar *liar, struct liar_ring *ring, const struct io_uring_cqe *cqe)
{
	unsigned int token = cqe->user_data >> 56;

	ring_judge(cqe);
	if (token == TOKEN_BATCH)
		batch_completed(liar, ring, cqe);
	if (cqe->res == UBLK_IO_RES_ABORT)
		liar->sent_away = true;
	if (token != TOKEN_TAG && token != TOKEN_DATA)
		return;
	if (cqe->res != UBLK_IO_RES_OK && cqe->res != UBLK_IO_RES_NEED_GET_DATA)
		return;
	if (ring->caught_count < RING_CAUGHT)
		ring->caught[ring->caught_count++] = (struct caught) {
			.queue = cqe->user_data >> 16,
			.tag = cqe->user_data,
			.offered = cqe->res == UBLK_IO_RES_NEED_GET_DATA,
		};
}

/* Submit what is queued, and see what came. */
void answer_reap(struct liar *liar, struct liar_ring *ring)
{
	struct io_uring_cqe cqe;

	if (ring->raw.fd < 0)
		return;
	ring_submit(ring, 0);
	while (raw_ring_next(&ring->raw, &cqe))
		completed(liar, ring, &cqe);
}

static void answer_all(struct liar *liar, struct liar_ring *ring, struct dice *dice)
{
	struct caught caught[RING_CAUGHT];
	unsigned int count = ring->caught_count, i;

	memcpy(caught, ring->caught, count * sizeof(caught[0]));
	ring->caught_count = 0;
	if (count && (liar->handle->info.flags & UBLK_F_BATCH_IO)) {
		batch_commit(liar, ring, dice, caught, count);
		return;
	}
	for (i = 0; i < count; i++) {
		if (dice_chance(dice, liar->lies))
			answer_wrong(liar, ring, &caught[i], dice);
		else
			answer_right(liar, ring, &caught[i], dice);
	}
}

/* With nothing to do it leaves the processor to those who make something. */
void answer_serve(struct liar *liar, struct dice *dice)
{
	bool wait = dice_chance(dice, 50);
	unsigned int i;

	for (i = 0; i < LIAR_RINGS; i++) {
		struct liar_ring *ring = &liar->rings[i];

		if (liar->handle->habit == HABIT_NARROW && dice_chance(dice, 80))
			continue;
		answer_reap(liar, ring);
		wait &= !ring->caught_count;
		answer_all(liar, ring, dice);
		ring_submit(ring, wait ? 2 : 0);
	}
	control_reap(liar);
}
