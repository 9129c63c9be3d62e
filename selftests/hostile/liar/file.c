// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/ublkcN as a file: every system call that takes one, at every position.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/fs.h>

#include "liar.h"

off_t file_position(unsigned int queue, unsigned int tag, unsigned int offset)
{
	return UBLKSRV_IO_BUF_OFFSET + ((off_t)queue << UBLK_QID_OFF) +
	       ((off_t)tag << UBLK_TAG_OFF) + offset;
}

static off_t any_position(struct liar *liar, struct dice *dice)
{
	unsigned int queue = dice_below(dice, 3);
	unsigned int tag = dice_below(dice, liar->handle->info.queue_depth + 1);

	switch (dice_below(dice, 12)) {
	case 0:
		return dice_roll(dice) >> dice_below(dice, 63) & ~UBLKSRV_IO_INTEGRITY_FLAG;
	case 1:
		return PICK(dice, 0, 4096, UBLKSRV_IO_BUF_OFFSET - 1, UBLKSRV_IO_BUF_OFFSET,
			    UBLKSRV_IO_BUF_OFFSET + UBLKSRV_IO_BUF_TOTAL_SIZE);
	case 2:
		return file_position(queue, tag, dice_below(dice, UBLK_IO_BUF_BITS_MASK));
	default:
		return file_position(queue, tag, 512 * dice_below(dice, 16));
	}
}

/* Metadata are not tame, so they go where no data come from. */
static ssize_t move_metadata(int file, off_t position, struct dice *dice)
{
	void *note = memory_note(dice);
	size_t length = dice_below(dice, 2048);

	position |= UBLKSRV_IO_INTEGRITY_FLAG;
	return dice_chance(dice, 50) ? pread(file, note, length, position) :
				       pwrite(file, note, length, position);
}

static ssize_t move_data(int file, off_t position, struct dice *dice)
{
	void *from = (void *)memory_any_data(dice), *to = (void *)memory_any_data(dice);
	size_t length = PICK(dice, 1, 8, 512, 4096, 65536, 1 << 20);
	struct iovec vector[3] = {
		{ from, length }, { (void *)memory_data(dice), 512 }, { to, 4096 },
	};

	switch (dice_below(dice, 6)) {
	case 0:
		return preadv(file, vector, 3, position);
	case 1:
		return pwritev(file, vector, 3, position);
	case 2 ... 3:
		return pread(file, to, length, position);
	default:
		return pwrite(file, from, length, position);
	}
}

static ssize_t map(struct liar *liar, int file, struct dice *dice)
{
	size_t descriptors = (liar->handle->info.queue_depth * 24UL + 4095) & ~4095UL;
	size_t length = dice_chance(dice, 60) ? descriptors : 4096UL << dice_below(dice, 8);
	off_t offset = dice_chance(dice, 60) ? 0x18000 * dice_below(dice, 3) :
					       4096 * (off_t)(dice_roll(dice) >> 20);
	int protection = PICK(dice, PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE,
			      PROT_READ | PROT_EXEC);
	void *place = mmap(NULL, length, protection, PICK(dice, MAP_SHARED, MAP_PRIVATE), file,
			   offset);

	if (place == MAP_FAILED)
		return -1;
	mprotect(place, length, PROT_READ | PROT_WRITE);
	munmap(place, length);
	return 0;
}

/* From or to a pipe, whose pages are the kernel's. */
static ssize_t through_pipe(int file, off_t position, struct dice *dice)
{
	ssize_t done;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return -1;
	if (dice_chance(dice, 50)) {
		done = splice(file, &position, ends[1], NULL, 4096, SPLICE_F_NONBLOCK);
	} else {
		if (write(ends[1], (void *)memory_data(dice), 4096) < 0)
			position = 0;
		done = splice(ends[0], NULL, file, &position, 4096, SPLICE_F_NONBLOCK);
	}
	close(ends[0]);
	close(ends[1]);
	return done;
}

static ssize_t odd_call(struct liar *liar, int file, struct dice *dice)
{
	struct pollfd ready = { .fd = file, .events = POLLIN | POLLOUT };
	int other;

	switch (dice_below(dice, 9)) {
	case 0:
		return poll(&ready, 1, 0);
	case 1:
		return ioctl(file, PICK(dice, BLKGETSIZE64, BLKRRPART, FIONBIO, UBLK_U_IO_FETCH_REQ,
					UBLK_U_CMD_STOP_DEV), memory_note(dice));
	case 2:
		return lseek(file, any_position(liar, dice), SEEK_SET);
	case 3:
		return fsync(file);
	case 4:
		return ftruncate(file, 4096);
	case 5:
		return fallocate(file, 0, 0, 4096);
	case 6:
		return read(file, memory_note(dice), 64);
	case 7: /* another process may be the server: or nobody */
		other = raw_open_char(LIAR_FIRST_ID + dice_below(dice, LIAR_IDS));
		if (other >= 0)
			close(other);
		return other;
	default:
		return sendfile(file, memory_file(), NULL, 4096);
	}
}

static ssize_t any_call(struct liar *liar, struct dice *dice)
{
	int file = atomic_load(&liar->handle->chr);
	off_t position = any_position(liar, dice);

	switch (dice_below(dice, 16)) {
	case 0 ... 1:
		return map(liar, file, dice);
	case 2:
		return through_pipe(file, position, dice);
	case 3 ... 4:
		return odd_call(liar, file, dice);
	case 5:
		return move_metadata(file, position, dice);
	default:
		return move_data(file, position, dice);
	}
}

void file_burst(struct liar *liar, struct dice *dice)
{
	unsigned int count = 1 + dice_below(dice, 8);

	while (count--) {
		report_made(WHAT_FILE, 1);
		if (any_call(liar, dice) >= 0)
			report_good(WHAT_FILE);
	}
}
