// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users of disks who never wait: much I/O at the same time through io_uring, whatever becomes of
 * each.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "liar.h"

#define BUFFERS 24
#define BUFFER_BYTES (64UL << 10)
#define DISKS 6

struct disk {
	int file;		/* 0: none */
	unsigned int id;
	bool direct;
	bool trusted;
};

struct buffer {
	char *memory;		/* one's own */
	char *place;		/* where the data go: there, or in memory that all share */
	bool busy;
	bool reads;
	struct reading reading;
};

struct reader {
	struct liar_ring ring;
	struct disk disks[DISKS];
	struct buffer buffers[BUFFERS];
	bool ready;
};

static struct reader readers[LIAR_MAX_THREADS];

static char *new_memory(void)
{
	return mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
}

/*
 * What is on its way goes on although the ring is gone: its memory is given up, but stays, so that
 * nothing else comes to lie there.
 */
static void new_ring(struct reader *reader, struct dice *dice)
{
	unsigned int i;

	if (reader->ready)
		ring_close(&reader->ring);
	for (i = 0; i < BUFFERS; i++) {
		struct buffer *buffer = &reader->buffers[i];

		if (buffer->memory && !buffer->busy)
			continue;
		buffer->memory = new_memory();
		buffer->busy = false;
	}
	ring_open_with(&reader->ring, BUFFERS,
		       PICK(dice, 0, IORING_SETUP_COOP_TASKRUN,
			    IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SINGLE_ISSUER));
	reader->ready = true;
}

static struct reader *reader_of(struct liar *liar, struct dice *dice)
{
	struct reader *reader = &readers[liar->number];

	if (!reader->ready || reader->ring.raw.fd < 0)
		new_ring(reader, dice);
	return reader;
}

static void open_disk(struct liar *liar, struct dice *dice)
{
	struct disk *disk = &reader_of(liar, dice)->disks[dice_below(dice, DISKS)];
	int flags = O_RDWR;

	if (disk->file > 0)
		close(disk->file);
	disk->id = dice_chance(dice, 12) ? LIAR_HONEST_ID : LIAR_FIRST_ID + dice_below(dice, LIAR_IDS);
	disk->direct = dice_chance(dice, 70);
	if (disk->direct)
		flags |= O_DIRECT;
	if (dice_chance(dice, 5) && disk->id != LIAR_HONEST_ID)
		flags |= PICK(dice, O_EXCL, O_SYNC, O_NONBLOCK);
	disk->file = reading_open(disk->id, flags, &disk->trusted);
}

/* One that is open; NULL if there is none. */
static struct disk *any_disk(struct reader *reader, struct dice *dice)
{
	unsigned int first = dice_below(dice, DISKS), i;

	for (i = 0; i < DISKS; i++) {
		struct disk *disk = &reader->disks[(first + i) % DISKS];

		if (disk->file > 0)
			return disk;
	}
	return NULL;
}

static struct buffer *free_buffer(struct reader *reader)
{
	unsigned int i;

	for (i = 0; i < BUFFERS; i++)
		if (!reader->buffers[i].busy)
			return &reader->buffers[i];
	return NULL;
}

static struct reading any_reading(const struct disk *disk, struct dice *dice)
{
	size_t length = PICK(dice, 512, 1024, 4096, 4096, 4096, 8192, 16384, 65536);
	size_t unit = dice_chance(dice, 80) ? 4096 : 512;

	if (disk->id == LIAR_HONEST_ID && length < unit)
		length = unit;
	return (struct reading) {
		.id = disk->id,
		.direct = disk->direct,
		.trusted = disk->trusted,
		.offset = dice_below(dice, (RAW_DISK_BYTES - BUFFER_BYTES) / unit) * unit,
		.length = length,
	};
}

/* Memory that may be registered with the server, where everybody writes. */
static void share(struct buffer *buffer, struct dice *dice)
{
	size_t room = SHARED_BYTES - BUFFER_BYTES;

	buffer->place = memory_share() + dice_below(dice, room / 4096) * 4096;
	buffer->reading.trusted = true;
}

static void prepare(struct buffer *buffer, const struct disk *disk, struct dice *dice)
{
	buffer->busy = true;
	buffer->reads = dice_chance(dice, 60);
	buffer->reading = any_reading(disk, dice);
	buffer->place = buffer->memory;
	if (disk->direct && disk->id != LIAR_HONEST_ID && dice_chance(dice, 50))
		share(buffer, dice);
	/* Not where everybody writes to disks from, for what is on disks must be tame. */
	if (buffer->reads && buffer->place == buffer->memory)
		memset(buffer->place, BYTES_PREFILL, buffer->reading.length);
	else if (!buffer->reads)
		bytes_fill(buffer->place, disk->id - LIAR_FIRST_ID, buffer->reading.offset,
			   buffer->reading.length);
	if (buffer->reads && !disk->direct)
		posix_fadvise(disk->file, buffer->reading.offset, buffer->reading.length,
			      POSIX_FADV_DONTNEED);
}

static void any_io(struct reader *reader, struct dice *dice)
{
	struct disk *disk = any_disk(reader, dice);
	struct buffer *buffer = free_buffer(reader);
	struct io_uring_sqe *sqe;

	if (!disk || !buffer)
		return;
	sqe = ring_sqe(&reader->ring);
	if (!sqe)
		return;
	sqe->fd = disk->file;
	report_made(WHAT_DISK, 1);
	if (dice_chance(dice, 4)) {
		sqe->opcode = IORING_OP_FSYNC;
		sqe->user_data = ring_token(TOKEN_OTHER, WHAT_DISK, 0, 0);
		return;
	}
	prepare(buffer, disk, dice);
	sqe->opcode = buffer->reads ? IORING_OP_READ : IORING_OP_WRITE;
	sqe->off = buffer->reading.offset;
	sqe->addr = (unsigned long)buffer->place;
	sqe->len = buffer->reading.length;
	sqe->user_data = ring_token(TOKEN_BUFFER, WHAT_DISK, 0, buffer - reader->buffers);
	/* A link would fail what is behind a failure, also on the honest disk. */
	if (dice_chance(dice, 10))
		sqe->flags |= IOSQE_ASYNC;
}

static void check_write(const struct reading *writing, ssize_t result)
{
	if (writing->id == LIAR_HONEST_ID && result != (ssize_t)writing->length)
		report_failure("the honest disk: write of %zu bytes at %lld returns %zd",
			       writing->length, (long long)writing->offset, result);
}

static void reap(struct reader *reader, int wait_ms)
{
	struct io_uring_cqe cqe;

	ring_submit(&reader->ring, wait_ms);
	while (raw_ring_next(&reader->ring.raw, &cqe)) {
		struct buffer *buffer = &reader->buffers[cqe.user_data & 0xffff];

		ring_judge(&cqe);
		if (cqe.user_data >> 56 != TOKEN_BUFFER)
			continue;
		buffer->busy = false;
		if (buffer->reads)
			reading_check(&buffer->reading, buffer->place, cqe.res);
		else
			check_write(&buffer->reading, cqe.res);
	}
}

static void do_io(struct liar *liar, struct dice *dice)
{
	struct reader *reader = reader_of(liar, dice);
	unsigned int count = 1 + dice_below(dice, 12);

	if (!any_disk(reader, dice))
		open_disk(liar, dice);
	if (dice_chance(dice, 10))
		reading_poison(dice);
	/* Liars answer not all of it, and who waits for them reads nothing any more. */
	if (!free_buffer(reader) && dice_chance(dice, 10))
		new_ring(reader, dice);
	while (count--)
		any_io(reader, dice);
	reap(reader, dice_chance(dice, 50) ? 2 : 0);
}

static void change_ring(struct liar *liar, struct dice *dice)
{
	new_ring(reader_of(liar, dice), dice);
}

static void end(struct liar *liar, struct dice *dice)
{
	report_made(WHAT_PROCESS, 1);
	_exit(dice_below(dice, 2));
}

static const struct act reader_acts[] = {
	{ "io", do_io, 200 },
	{ "open", open_disk, 40 },
	{ "ring", change_ring, 2 },
	{ "end", end, 1 },
	{ NULL }
};

const struct role role_reader = { "reader", reader_acts };
