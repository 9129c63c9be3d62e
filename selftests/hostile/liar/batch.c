// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands about many tags, and what feeds them: elements, which others change while they are read,
 * and buffers for tags.
 */
#include <errno.h>
#include <string.h>

#include "liar.h"

#define COMMAND_MULTISHOT (1U << 1)

#define GROUP 7
#define TAG_BUFFERS 4
#define TAG_BUFFER_BYTES 128
#define ELEMENTS 32

struct element {
	struct ublk_elem_header header;
	uint64_t address;
};

/* Not static: the others' as well, so one thread's tags are another's lies. */
static uint16_t tag_buffers[LIAR_MAX_THREADS][TAG_BUFFERS][TAG_BUFFER_BYTES / 2];

static unsigned int element_bytes(const struct liar *liar)
{
	return raw_wants_addresses(&liar->handle->info) ? sizeof(struct element) :
							  sizeof(struct ublk_elem_header);
}

static struct io_uring_sqe *batch_sqe(struct liar *liar, struct liar_ring *ring, unsigned int op,
				      const struct ublk_batch_io *header, uint64_t elements)
{
	struct io_uring_sqe *sqe = command_sqe(liar, ring, op,
					       ring_token(TOKEN_OTHER, WHAT_BATCH, 0, 0));

	if (!sqe)
		return NULL;
	sqe->addr = elements;
	memcpy(sqe->cmd, header, sizeof(*header));
	return sqe;
}

/* Without an address where the device has none. Returns the bytes of one element. */
static unsigned int put_element(const struct liar *liar, void *elements, unsigned int index,
				unsigned int tag, int result, uint64_t address)
{
	unsigned int bytes = element_bytes(liar);
	struct element element = {
		.header = { .tag = tag, .buf_index = tag & 15, .result = result },
		.address = address,
	};

	memcpy((char *)elements + index * bytes, &element, bytes);
	return bytes;
}

static struct ublk_batch_io header_for(const struct liar *liar, unsigned int queue,
				       unsigned int count)
{
	return (struct ublk_batch_io) {
		.q_id = queue,
		.nr_elem = count,
		.flags = raw_wants_addresses(&liar->handle->info) ? UBLK_BATCH_F_HAS_BUF_ADDR : 0,
		.elem_bytes = element_bytes(liar),
	};
}

/* With a ring whose entries others change, memory of any kind could be given away. */
static bool may_provide(const struct liar_ring *ring)
{
	return ring->raw.fd >= 0 && !ring->flips;
}

static void provide(struct liar *liar, struct liar_ring *ring)
{
	struct io_uring_sqe *sqe = may_provide(ring) ? ring_sqe(ring) : NULL;

	if (!sqe)
		return;
	sqe->opcode = IORING_OP_PROVIDE_BUFFERS;
	sqe->fd = TAG_BUFFERS;
	sqe->addr = (unsigned long)tag_buffers[liar->number];
	sqe->len = TAG_BUFFER_BYTES;
	sqe->buf_group = GROUP;
	sqe->user_data = ring_token(TOKEN_OTHER, WHAT_BATCH, 0, 0);
	report_made(WHAT_BATCH, 1);
}

static void fetch(struct liar *liar, struct liar_ring *ring, unsigned int queue)
{
	struct ublk_batch_io header = { .q_id = queue, .elem_bytes = sizeof(uint16_t) };
	struct io_uring_sqe *sqe = batch_sqe(liar, ring, UBLK_U_IO_FETCH_IO_CMDS, &header, 0);

	if (!sqe)
		return;
	sqe->rw_flags = COMMAND_MULTISHOT;
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	/* Its number is in there already. */
	sqe->user_data |= ring_token(TOKEN_BATCH, 0, queue, 0);
}

/* One that can bring requests, if there is one: @ring or the first. */
struct liar_ring *batch_ring(struct liar *liar, struct liar_ring *ring)
{
	return !may_provide(ring) && may_provide(&liar->rings[0]) ? &liar->rings[0] : ring;
}

/* PREP of every tag, and a FETCH for each queue. */
void batch_arm(struct liar *liar, struct liar_ring *ring, struct dice *dice)
{
	const struct ublksrv_ctrl_dev_info *info = &liar->handle->info;
	unsigned int queue, tag;

	provide(liar, ring);
	for (queue = 0; queue < info->nr_hw_queues; queue++) {
		unsigned int count = info->queue_depth < ELEMENTS ? info->queue_depth : ELEMENTS;
		struct ublk_batch_io header = header_for(liar, queue, count);
		void *elements = memory_note(dice);

		for (tag = 0; tag < count; tag++)
			put_element(liar, elements, tag, tag, 0, liar_data(liar, dice));
		batch_sqe(liar, ring, UBLK_U_IO_PREP_IO_CMDS, &header, (unsigned long)elements);
		fetch(liar, ring, queue);
	}
}

/* What was caught of one queue, at once. */
void batch_commit(struct liar *liar, struct liar_ring *ring, struct dice *dice,
		  const struct caught *caught, unsigned int count)
{
	void *elements = memory_note(dice);
	struct ublk_batch_io header;
	unsigned int i, k = 0;

	for (i = 0; i < count && k < ELEMENTS; i++)
		if (caught[i].queue == caught[0].queue)
			put_element(liar, elements, k++, caught[i].tag,
				    dice_chance(dice, liar->lies) ? command_any_result(dice) :
								    64 << 10,
				    liar_data(liar, dice));
	header = header_for(liar, caught[0].queue, k);
	batch_sqe(liar, ring, UBLK_U_IO_COMMIT_IO_CMDS, &header, (unsigned long)elements);
}

static void catch(struct liar_ring *ring, unsigned int queue, unsigned int tag)
{
	if (ring->caught_count < RING_CAUGHT)
		ring->caught[ring->caught_count++] = (struct caught) {
			.queue = queue,
			.tag = tag,
		};
}

/* Which buffer has the tags is in the completion's flags. */
void batch_completed(struct liar *liar, struct liar_ring *ring, const struct io_uring_cqe *cqe)
{
	unsigned int buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	unsigned int queue = cqe->user_data >> 16 & 0xffff;
	int i;

	for (i = 0; buffer < TAG_BUFFERS && i < cqe->res / 2; i++)
		catch(ring, queue, tag_buffers[liar->number][buffer][i]);
	if (cqe->flags & IORING_CQE_F_MORE || (cqe->res < 0 && cqe->res != -ENOBUFS))
		return;
	provide(liar, ring);
	fetch(liar, ring, queue);
}

static void any_batch(struct liar *liar, struct liar_ring *ring, struct dice *dice)
{
	const struct ublksrv_ctrl_dev_info *info = &liar->handle->info;
	unsigned int count = 1 + dice_below(dice, ELEMENTS), i;
	struct ublk_batch_io header = header_for(liar, dice_below(dice, 3), count);
	void *elements = memory_note(dice);
	struct io_uring_sqe *sqe;

	for (i = 0; i < count; i++)
		put_element(liar, elements, i, dice_below(dice, info->queue_depth + 2),
			    command_any_result(dice), memory_any_data(dice));
	if (dice_chance(dice, 10))
		header.nr_elem = dice_roll(dice);
	if (dice_chance(dice, 10))
		header.flags = dice_below(dice, 16);
	if (dice_chance(dice, 10))
		header.elem_bytes = dice_below(dice, 64);
	sqe = batch_sqe(liar, ring,
			PICK(dice, UBLK_U_IO_PREP_IO_CMDS, UBLK_U_IO_COMMIT_IO_CMDS,
			     UBLK_U_IO_COMMIT_IO_CMDS, UBLK_U_IO_FETCH_IO_CMDS),
			&header, memory_any_note(dice, elements));
	if (sqe && dice_chance(dice, 10))
		sqe->flags |= PICK(dice, IOSQE_ASYNC, IOSQE_IO_LINK, IOSQE_BUFFER_SELECT);
	if (sqe && dice_chance(dice, 10))
		sqe->rw_flags = COMMAND_MULTISHOT;
}

void batch_burst(struct liar *liar, struct dice *dice)
{
	struct liar_ring *ring = liar_any_ring(liar, dice);
	unsigned int count = 1 + dice_below(dice, 6);

	while (count--) {
		if (dice_chance(dice, 15))
			provide(liar, ring);
		else if (dice_chance(dice, 15))
			fetch(liar, ring, dice_below(dice, 3));
		else
			any_batch(liar, ring, dice);
	}
	answer_reap(liar, ring);
}
