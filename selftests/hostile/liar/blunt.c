// SPDX-License-Identifier: GPL-2.0-only
/*
 * Users of disks who wait for every system call, for ever if need be: partition tables, page cache,
 * maps, discards, the settings of a queue.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/blkpg.h>
#include <linux/blkzoned.h>
#include <linux/fs.h>

#include "liar.h"

#define MOST (64UL << 10)

struct blunt {
	int file;
	unsigned int id;
	bool trusted;
	char buffer[MOST] __attribute__((aligned(4096)));
};

static struct blunt blunts[LIAR_MAX_THREADS];

static struct reading any_reading(const struct blunt *blunt, struct dice *dice)
{
	return (struct reading) {
		.id = blunt->id,
		.trusted = blunt->trusted,
		.offset = 4096 * (off_t)dice_below(dice, (RAW_DISK_BYTES - MOST) / 4096),
		.length = 4096 << dice_below(dice, 5),
	};
}

static void read_buffered(struct blunt *blunt, struct dice *dice)
{
	struct reading reading = any_reading(blunt, dice);
	ssize_t done;

	if (dice_chance(dice, 50))
		reading_poison(dice);
	posix_fadvise(blunt->file, 0, 0, POSIX_FADV_DONTNEED);
	memset(blunt->buffer, BYTES_PREFILL, reading.length);
	report_made(WHAT_DISK, 1);
	done = pread(blunt->file, blunt->buffer, reading.length, reading.offset);
	if (done > 0)
		report_good(WHAT_DISK);
	reading_check(&reading, blunt->buffer, done);
}

static void write_buffered(struct blunt *blunt, struct dice *dice)
{
	struct reading writing = any_reading(blunt, dice);

	bytes_fill(blunt->buffer, blunt->id - LIAR_FIRST_ID, writing.offset, writing.length);
	report_made(WHAT_DISK, 1);
	if (pwrite(blunt->file, blunt->buffer, writing.length, writing.offset) > 0)
		report_good(WHAT_DISK);
	if (dice_chance(dice, 40))
		fsync(blunt->file);
}

/* By a system call: what the page fault cannot get is an error then, not a signal. */
static void read_mapped(struct blunt *blunt, struct dice *dice)
{
	struct reading reading = any_reading(blunt, dice);
	char *map = mmap(NULL, reading.length, PROT_READ, MAP_SHARED, blunt->file, reading.offset);
	int copy = memfd_create("copy", MFD_CLOEXEC);
	ssize_t done = -1;

	report_made(WHAT_USE, 1);
	memset(blunt->buffer, BYTES_PREFILL, reading.length);
	if (map != MAP_FAILED && copy >= 0) {
		done = pwrite(copy, map, reading.length, 0);
		munmap(map, reading.length);
	}
	if (done > 0) {
		report_good(WHAT_USE);
		done = pread(copy, blunt->buffer, done, 0);
	}
	if (copy >= 0)
		close(copy);
	reading_check(&reading, blunt->buffer, done);
}

static int change_partitions(int file, struct dice *dice)
{
	struct blkpg_partition partition = {
		.start = dice_below(dice, 64) << 20,
		.length = dice_below(dice, 64) << 20,
		.pno = 1 + dice_below(dice, 4),
	};
	struct blkpg_ioctl_arg argument = {
		.op = PICK(dice, BLKPG_ADD_PARTITION, BLKPG_DEL_PARTITION, BLKPG_RESIZE_PARTITION),
		.datalen = sizeof(partition),
		.data = &partition,
	};

	return ioctl(file, BLKPG, &argument);
}

/* Not for the honest disk, whose contents and size do not change. */
static int any_ioctl(int file, struct dice *dice)
{
	__u64 range[2] = {
		dice_chance(dice, 30) ? 0 : 4096ULL * dice_below(dice, 1 << 14),
		4096ULL << dice_below(dice, 15),
	};
	struct blk_zone_range zones = { .sector = range[0] >> 9, .nr_sectors = 8192 };
	int number = dice_below(dice, 2);

	switch (dice_below(dice, 12)) {
	case 0 ... 1:
		return ioctl(file, BLKDISCARD, range);
	case 2 ... 3:
		return ioctl(file, BLKZEROOUT, range);
	case 4:
		return ioctl(file, BLKSECDISCARD, range);
	case 5:
		return ioctl(file, BLKRRPART);
	case 6:
		return ioctl(file, BLKFLSBUF);
	case 7:
		return change_partitions(file, dice);
	case 8:
		return ioctl(file, BLKROSET, &number);
	case 9:
		return ioctl(file, PICK(dice, BLKRESETZONE, BLKOPENZONE, BLKCLOSEZONE,
					BLKFINISHZONE), &zones);
	case 10:
		number = 512 << dice_below(dice, 4);
		return ioctl(file, BLKBSZSET, &number);
	default:
		return fallocate(file, PICK(dice, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
					    FALLOC_FL_ZERO_RANGE), range[0], range[1]);
	}
}

/* The scheduler is changed while requests are under way, for example. */
static void change_setting(const struct blunt *blunt, struct dice *dice)
{
	static const struct {
		const char *name;
		const char *values[3];
	} settings[] = {
		{ "scheduler", { "none", "mq-deadline", "mq-deadline" } },
		{ "nr_requests", { "4", "32", "256" } },
		{ "read_ahead_kb", { "0", "128", "4096" } },
		{ "max_sectors_kb", { "4", "16", "64" } },
		{ "nomerges", { "0", "1", "2" } },
		{ "rq_affinity", { "0", "1", "2" } },
		{ "write_cache", { "write through", "write back", "write back" } },
		{ "io_timeout", { "30000", "30000", "60000" } },
	};
	unsigned int which = dice_below(dice, sizeof(settings) / sizeof(settings[0]));
	const char *value = settings[which].values[dice_below(dice, 3)];
	char path[100];
	int file;

	snprintf(path, sizeof(path), "/sys/block/ublkb%u/queue/%s", blunt->id,
		 settings[which].name);
	file = open(path, O_WRONLY | O_CLOEXEC);
	report_made(WHAT_USE, 1);
	if (file < 0)
		return;
	if (write(file, value, strlen(value)) > 0)
		report_good(WHAT_USE);
	close(file);
}

static void open_any(struct blunt *blunt, struct dice *dice)
{
	int flags = PICK(dice, O_RDWR, O_RDWR, O_RDONLY, O_RDWR | O_EXCL, O_RDWR | O_SYNC);

	if (blunt->file > 0)
		close(blunt->file);
	blunt->id = dice_chance(dice, 20) ? LIAR_HONEST_ID :
					    LIAR_FIRST_ID + dice_below(dice, LIAR_IDS);
	if (blunt->id == LIAR_HONEST_ID)
		flags &= ~O_EXCL;
	blunt->file = reading_open(blunt->id, flags, &blunt->trusted);
}

static void use(struct liar *liar, struct dice *dice)
{
	struct blunt *blunt = &blunts[liar->number];
	bool honest;

	if (blunt->file <= 0 || dice_chance(dice, 15))
		open_any(blunt, dice);
	honest = blunt->id == LIAR_HONEST_ID;
	if (blunt->file <= 0)
		return;
	switch (dice_below(dice, honest ? 7 : 12)) {
	case 0 ... 3:
		read_buffered(blunt, dice);
		break;
	case 4:
		read_mapped(blunt, dice);
		break;
	case 5 ... 6:
		write_buffered(blunt, dice);
		break;
	case 7:
		change_setting(blunt, dice);
		break;
	default:
		report_made(WHAT_USE, 1);
		if (any_ioctl(blunt->file, dice) >= 0)
			report_good(WHAT_USE);
		break;
	}
}

static const struct act blunt_acts[] = {
	{ "use", use, 1 },
	{ NULL }
};

const struct role role_blunt_user = { "blunt user", blunt_acts };
