// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes a zonefs on a zoned disk: make_zonefs DEV. Its tools are in no Debian 12 package, and all there
 * is to make is a superblock in the first zone, which mounting finds.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC 0x5a4f4653	/* "SFOZ", little-endian */
#define SIZE 4096

struct superblock {
	uint32_t magic;
	uint32_t crc;
	char label[64];
	uint8_t uuid[16];
	uint64_t features;
	uint32_t uid;
	uint32_t gid;
	uint32_t permissions;
	uint8_t reserved[SIZE - 108];
} __attribute__((packed));

_Static_assert(sizeof(struct superblock) == SIZE, "a superblock is one block");

/* As the kernel's crc32_le() does, with all bits set at first and as they are at the end. */
static uint32_t crc32(const void *data, size_t length)
{
	const uint8_t *byte = data;
	uint32_t crc = ~0U;

	while (length--) {
		crc ^= *byte++;
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

int main(int argc, char **argv)
{
	struct superblock *super = aligned_alloc(SIZE, SIZE);
	int fd;

	if (argc != 2 || !super)
		errx(2, "usage: make_zonefs DEV");
	memset(super, 0, SIZE);
	super->magic = MAGIC;
	super->uuid[0] = 1;	/* none at all is not allowed */
	super->permissions = 0640;
	super->crc = crc32(super, SIZE);

	fd = open(argv[1], O_WRONLY | O_DIRECT);
	if (fd < 0)
		err(1, "open %s", argv[1]);
	if (pwrite(fd, super, SIZE, 0) != SIZE)
		err(1, "write the superblock");
	if (close(fd))
		err(1, "close %s", argv[1]);
	return 0;
}
