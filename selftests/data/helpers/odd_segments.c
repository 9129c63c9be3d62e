// SPDX-License-Identifier: GPL-2.0-or-later
// Writes 8 MiB of a disk by pwritev and reads them by preadv with O_DIRECT, from memory cut into many
// pieces of uneven length and address, and compares every byte: odd_segments DISK ALIGNMENT BLOCK
// Addresses are multiples of ALIGNMENT, lengths of BLOCK.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REQUEST = 512 * 1024, REQUESTS = 16, MOST_PIECES = 1000, MEMORY = 4 * REQUEST };

static uint32_t state = 1;

static uint32_t next_random(void)
{
	state = state * 1664525u + 1013904223u;
	return state >> 8;
}

// One or two blocks each, with gaps between them; the last piece takes the rest.
static int cut(struct iovec *pieces, unsigned char *memory, size_t alignment, size_t block)
{
	size_t left = REQUEST, at = alignment;
	int count = 0;

	while (left > 0) {
		size_t length = block * (1 + next_random() % 2);

		if (length > left || count == MOST_PIECES - 1)
			length = left;
		pieces[count++] = (struct iovec){ memory + at, length };
		at += length + alignment * (next_random() % 5);
		left -= length;
	}
	return count;
}

static unsigned char byte_at(size_t offset)
{
	return (unsigned char)((offset * 2654435761u) >> 13 ^ offset >> 9);
}

static void fill(const struct iovec *pieces, int count, size_t offset)
{
	for (int i = 0; i < count; i++)
		for (size_t j = 0; j < pieces[i].iov_len; j++)
			((unsigned char *)pieces[i].iov_base)[j] = byte_at(offset++);
}

static int compare(const struct iovec *pieces, int count, size_t offset)
{
	for (int i = 0; i < count; i++) {
		const unsigned char *piece = pieces[i].iov_base;

		for (size_t j = 0; j < pieces[i].iov_len; j++, offset++) {
			if (piece[j] == byte_at(offset))
				continue;
			fprintf(stderr, "byte %zu (piece %d of %d, length %zu) is %02x, not %02x\n",
				offset, i, count, pieces[i].iov_len, piece[j], byte_at(offset));
			return -1;
		}
	}
	return 0;
}

static int transfer(int fd, int write, const struct iovec *pieces, int count, off_t offset)
{
	ssize_t done = write ? pwritev(fd, pieces, count, offset) :
			       preadv(fd, pieces, count, offset);

	if (done == REQUEST)
		return 0;
	fprintf(stderr, "%s of %d pieces at %jd: %zd (%s)\n", write ? "write" : "read", count,
		(intmax_t)offset, done, done < 0 ? strerror(errno) : "short");
	return -1;
}

int main(int argc, char **argv)
{
	static struct iovec pieces[MOST_PIECES];
	unsigned char *memory = NULL;
	size_t alignment, block;
	int fd, count;

	if (argc != 4)
		return 2;
	fd = open(argv[1], O_RDWR | O_DIRECT);
	alignment = strtoul(argv[2], NULL, 10);
	block = strtoul(argv[3], NULL, 10);
	if (fd < 0 || !alignment || !block || posix_memalign((void **)&memory, 4096, MEMORY)) {
		perror(argv[1]);
		return 2;
	}
	for (int pass = 0; pass < 2; pass++) {
		for (off_t offset = 0; offset < REQUESTS * REQUEST; offset += REQUEST) {
			memset(memory, 0x5a, MEMORY);
			count = cut(pieces, memory, alignment, block);
			if (pass == 0)
				fill(pieces, count, (size_t)offset);
			if (transfer(fd, pass == 0, pieces, count, offset))
				return 1;
			if (pass == 1 && compare(pieces, count, (size_t)offset))
				return 1;
		}
	}
	return 0;
}
