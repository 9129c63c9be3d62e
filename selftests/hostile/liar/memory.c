// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a liar's addresses point: to memory that is as it should be, that is taken away meanwhile,
 * that nobody may touch, whose pages never come, or that is no memory at all.
 *
 * Data are kept apart from everything else the driver writes (answers, structures), because what
 * is read from a disk comes from there and must be tame.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "liar.h"

#define PIECE (64UL << 10)
#define DATA_PIECES 24
#define DATA_BYTES (PIECE * DATA_PIECES)
#define CORNER_BYTES (4 * PIECE)
#define CORNERS 5
#define NOTES 64
#define NOTE_BYTES 4096UL

/*
 * Behind the data: what each corner of this size is. The last is a hole, like all that follows, and
 * notes are written up to its edge, so nothing before it may be where data come from.
 */
enum corner {
	CORNER_SHORT_FILE,	/* mapped beyond its end */
	CORNER_READ_ONLY,
	CORNER_OWN_DISK,	/* once memory_map_disk() was called: page faults need the server */
	CORNER_NEVER_COMES,	/* its page faults are never answered */
	CORNER_HOLE,
};

static char *area;
static char *notes;
static char *shared_pages;
static int tame_file = -1;

static char *corner(enum corner which)
{
	return area + DATA_BYTES + which * CORNER_BYTES;
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	_exit(1);
}

static void map_fixed(void *place, size_t bytes, int protection, int flags, int file)
{
	must(mmap(place, bytes, protection, MAP_FIXED | flags, file, 0) == place, "mmap");
}

/* Without userfaultfd it is a hole, which is bad enough. */
static void let_nothing_come(void *place, size_t bytes)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (unsigned long)place, .len = bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		return;
	map_fixed(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	must(!ioctl(fd, UFFDIO_REGISTER, &range), "userfaultfd");
}

static void make_tame_file(void)
{
	tame_file = memfd_create("tame", MFD_CLOEXEC);
	must(tame_file >= 0 && pwrite(tame_file, area, CORNER_BYTES, 0) == CORNER_BYTES, "memfd");
}

void memory_set_up(void)
{
	const size_t bytes = DATA_BYTES + CORNERS * CORNER_BYTES;
	int file = memfd_create("short", MFD_CLOEXEC);

	area = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(area != MAP_FAILED, "mmap");
	map_fixed(area, DATA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	bytes_fill(area, 0xf, 0, DATA_BYTES);
	make_tame_file();

	must(file >= 0 && !ftruncate(file, CORNER_BYTES / 2), "memfd");
	map_fixed(corner(CORNER_SHORT_FILE), CORNER_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
		  file);
	close(file);
	map_fixed(corner(CORNER_READ_ONLY), CORNER_BYTES, PROT_READ, MAP_PRIVATE, tame_file);
	let_nothing_come(corner(CORNER_NEVER_COMES), CORNER_BYTES);

	notes = mmap(NULL, NOTES * NOTE_BYTES, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(notes != MAP_FAILED, "mmap");
	memory_share();
}

/* All of it, from the beginning of the file on. */
char *memory_share(void)
{
	if (!shared_pages)
		shared_pages = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				    shared->memory, 0);
	must(shared_pages != MAP_FAILED, "mmap");
	return shared_pages;
}

int memory_file(void)
{
	return tame_file;
}

uint64_t memory_data(struct dice *dice)
{
	return (unsigned long)area + dice_below(dice, DATA_PIECES - MEMORY_ROOM / PIECE) * PIECE;
}

static uint64_t nowhere(struct dice *dice)
{
	static const uint64_t places[] = {
		0, 1, 4096, RAW_KERNEL_ADDRESS, 0xffffffff81000000ULL, 0x8000000000000000ULL,
		0x0000800000000000ULL, 0x00007ffffffff000ULL, ~0ULL, ~0ULL - 4095,
	};

	return dice_pick(dice, places, sizeof(places) / sizeof(places[0])) +
	       (dice_chance(dice, 50) ? dice_below(dice, 1 << 20) : 0);
}

uint64_t memory_any_data(struct dice *dice)
{
	unsigned int offset = dice_below(dice, CORNER_BYTES);

	/* A thread that waits for a page that never comes does nothing else any more. */
	if (!dice_below(dice, 150))
		return (unsigned long)corner(dice_chance(dice, 50) ? CORNER_NEVER_COMES :
								     CORNER_OWN_DISK) + offset;
	switch (dice_below(dice, 16)) {
	case 0:
		return nowhere(dice);
	case 1:
		return (unsigned long)corner(CORNER_SHORT_FILE) + offset;
	case 2:
		return (unsigned long)corner(CORNER_READ_ONLY) + offset;
	case 3:
		return (unsigned long)corner(CORNER_HOLE) + offset;
	case 4: /* the end lies elsewhere */
		return (unsigned long)area + DATA_BYTES - dice_below(dice, 8192);
	case 5 ... 6:
		return memory_data(dice) + dice_below(dice, 8192);
	default:
		return memory_data(dice);
	}
}

uint64_t memory_that_never_comes(struct dice *dice)
{
	return (unsigned long)corner(CORNER_NEVER_COMES) + 4096 * dice_below(dice, 16);
}

uint64_t memory_of_disk(struct dice *dice)
{
	return (unsigned long)corner(CORNER_OWN_DISK) + 4096 * dice_below(dice, 16);
}

void *memory_note(struct dice *dice)
{
	return notes + dice_below(dice, NOTES) * NOTE_BYTES;
}

uint64_t memory_any_note(struct dice *dice, void *note)
{
	switch (dice_below(dice, 24)) {
	case 0:
		return nowhere(dice);
	case 1:
		return (unsigned long)corner(CORNER_HOLE) + dice_below(dice, CORNER_BYTES);
	case 2:
		return (unsigned long)corner(CORNER_READ_ONLY) + dice_below(dice, CORNER_BYTES);
	case 3: /* the last bytes before a hole */
		return (unsigned long)corner(CORNER_HOLE) - dice_below(dice, 256);
	case 4:
		return (unsigned long)note + dice_below(dice, 64);
	default:
		return (unsigned long)note;
	}
}

uint64_t memory_shared(struct dice *dice)
{
	return (unsigned long)shared_pages +
	       dice_below(dice, (SHARED_BYTES - MEMORY_ROOM) / PIECE) * PIECE;
}

void memory_map_disk(unsigned int id, struct dice *dice)
{
	off_t offset = dice_below(dice, RAW_DISK_BYTES / CORNER_BYTES) * CORNER_BYTES;
	int file = reading_open_disk(id, O_RDWR | O_NONBLOCK);

	report_made(WHAT_PROCESS, 1);
	if (file < 0)
		return;
	mmap(corner(CORNER_OWN_DISK), CORNER_BYTES, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_SHARED,
	     file, offset);
	close(file);
}

/* Never leaves a hole in which somebody else's memory could come to lie. */
void memory_change(struct dice *dice)
{
	char *place = area + dice_below(dice, DATA_PIECES) * PIECE;

	switch (dice_below(dice, 12)) {
	case 0:
		mprotect(place, PIECE, PROT_NONE);
		break;
	case 1:
		mprotect(place, PIECE / 2, PROT_READ);
		break;
	case 2:
		madvise(place, PIECE, MADV_DONTNEED);
		break;
	case 3:
		map_fixed(place, PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		break;
	case 4:
		map_fixed(place, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE, tame_file);
		break;
	default:
		map_fixed(place, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		break;
	}
	report_made(WHAT_PROCESS, 1);
}
