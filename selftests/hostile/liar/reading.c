// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a reader may find: what a server or a user made, zeroes, and behind the end of what was read
 * its own prefill. Anything else is the kernel's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "liar.h"

#define POISON_BYTES (2UL << 20)

#define LEAKING_DISK "/dev/nullb0"
#define LEAK_READS 1000

/* Of a disk that the caller has open, so that the number still means that one. */
static bool is_trusted(unsigned int id)
{
	struct ublksrv_ctrl_dev_info info;

	/* Who may not ask has a disk of his own, and no such server. */
	if (raw_get_info(id, &info))
		return false;
	return raw_lends_pages(&info);
}

/*
 * A node is looked up by name and opened by number. In between, its disk can go and another one come
 * that gets the number, because the block layer gives the lowest that is free. An open disk keeps it.
 */
static bool is_disk(int file, unsigned int id)
{
	char link[40], target[PATH_MAX], name[16];
	const char *last;
	struct stat status;
	ssize_t length;

	if (fstat(file, &status))
		return false;
	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", major(status.st_rdev),
		 minor(status.st_rdev));
	length = readlink(link, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = 0;
	last = strrchr(target, '/');
	snprintf(name, sizeof(name), "ublkb%u", id);
	return last && !strcmp(last + 1, name);
}

int reading_open_disk(unsigned int id, int flags)
{
	int file = raw_open_block(id, flags);

	if (file < 0 || is_disk(file, id))
		return file;
	close(file);
	return -ENXIO;
}

int reading_open(unsigned int id, int flags, bool *trusted)
{
	int file = reading_open_disk(id, flags);

	if (file <= 0) {
		raw_pause();
		return 0;
	}
	report_made(WHAT_USE, 1);
	report_good(WHAT_USE);
	*trusted = is_trusted(id);
	return file;
}

static void found(const struct reading *reading, const char *buffer, size_t at, ssize_t result)
{
	uint64_t word;
	size_t from = at & ~7UL;

	memcpy(&word, buffer + from, sizeof(word));
	report_failure("%s%s read of %zu bytes at %lld of disk %u, result %zd: byte %zu is %#x, in "
		       "%016llx, expected %016llx",
		       memchr(buffer, BYTES_MARKER, reading->length) ? "KERNEL MEMORY: " : "",
		       reading->direct ? "direct" : "buffered", reading->length,
		       (long long)reading->offset, reading->id, result, at,
		       (unsigned char)buffer[at], (unsigned long long)word,
		       (unsigned long long)bytes_word(reading->id - LIAR_FIRST_ID,
						      reading->offset + from));
}

/* The honest server fails nothing and delivers exactly what is asked for. */
static void check_honest(const struct reading *reading, const char *buffer, ssize_t result)
{
	size_t right;

	if (result != (ssize_t)reading->length) {
		report_failure("the honest disk: read of %zu bytes at %lld returns %zd",
			       reading->length, (long long)reading->offset, result);
		return;
	}
	right = bytes_exact(buffer, LIAR_HONEST_ID - LIAR_FIRST_ID, reading->offset,
			    reading->length);
	if (right < reading->length)
		found(reading, buffer, right, result);
	atomic_fetch_add_explicit(&shared->honest, reading->length, memory_order_relaxed);
}

/*
 * @buffer was prefilled. Of a server with zero copy the driver does not know what it has written;
 * it is trusted, and its readers can find what they had in their own pages, or in page cache.
 */
void reading_check(const struct reading *reading, char *buffer, ssize_t result)
{
	size_t done = result > 0 ? result : 0, right;

	atomic_fetch_add_explicit(&shared->checked, reading->length, memory_order_relaxed);
	if (staged == STAGED_MARKER && done)
		buffer[done / 2] = (char)BYTES_MARKER;
	if (reading->id == LIAR_HONEST_ID) {
		check_honest(reading, buffer, result);
		return;
	}
	if (reading->trusted && !reading->direct)
		return;
	right = bytes_tame(buffer, done, reading->trusted);
	if (right == done)
		right += bytes_tame(buffer + done, reading->length - done, true);
	if (right < reading->length)
		found(reading, buffer, right, result);
}

/* What the next page that somebody gets has in it, if nobody writes to it. */
void reading_poison(struct dice *dice)
{
	void *memory = mmap(NULL, POISON_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return;
	if (dice_chance(dice, 70))
		madvise(memory, POISON_BYTES, MADV_NOHUGEPAGE);
	memset(memory, BYTES_MARKER, POISON_BYTES);
	munmap(memory, POISON_BYTES);
}

void reading_stage_leak(void)
{
	static char buffer[65536];
	struct dice dice = dice_from(0, 0);
	int disk = open(LEAKING_DISK, O_RDONLY | O_CLOEXEC), i;
	ssize_t done;

	if (disk < 0) {
		report_failure("%s: %s", LEAKING_DISK, strerror(errno));
		return;
	}
	for (i = 0; i < LEAK_READS && !shared->failed; i++) {
		struct reading reading = {
			.offset = i * sizeof(buffer),
			.length = sizeof(buffer),
		};

		reading_poison(&dice);
		posix_fadvise(disk, 0, 0, POSIX_FADV_DONTNEED);
		memset(buffer, BYTES_PREFILL, sizeof(buffer));
		done = pread(disk, buffer, reading.length, reading.offset);
		/* Not only what others have left there. */
		if (memchr(buffer, BYTES_MARKER, sizeof(buffer)))
			reading_check(&reading, buffer, done);
	}
	close(disk);
}
