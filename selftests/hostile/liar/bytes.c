// SPDX-License-Identifier: GPL-2.0-only
/*
 * The alphabet of the data on liars' disks. Every byte that a server or a user makes is 0x90 to
 * 0x9f, or zero, so that anything else is seen wherever it appears, at any alignment, and half a
 * word is as good as a whole one. The low halves of eight bytes say which disk and place.
 */
#include <string.h>

#include "liar.h"

#define EACH_BYTE 0x0101010101010101ULL

uint64_t bytes_word(unsigned int disk, uint64_t offset)
{
	uint64_t halves = disk << 28 | (offset >> 3 & 0x0fffffff);

	halves = (halves | halves << 16) & 0x0000ffff0000ffffULL;
	halves = (halves | halves << 8) & 0x00ff00ff00ff00ffULL;
	halves = (halves | halves << 4) & 0x0f0f0f0f0f0f0f0fULL;
	return halves | EACH_BYTE * 0x90;
}

void bytes_fill(void *buffer, unsigned int disk, uint64_t offset, size_t length)
{
	uint64_t *words = buffer;
	size_t i;

	for (i = 0; i < length / 8; i++)
		words[i] = bytes_word(disk, offset + 8 * i);
}

size_t bytes_exact(const void *buffer, unsigned int disk, uint64_t offset, size_t length)
{
	const uint64_t *words = buffer;
	size_t i;

	for (i = 0; i < length / 8; i++)
		if (words[i] != bytes_word(disk, offset + 8 * i))
			return 8 * i;
	return length;
}

/* All eight at once: the upper half of each byte is 9, or the byte is zero. */
static bool word_is_tame(uint64_t word)
{
	uint64_t made = word >> 7 & EACH_BYTE;

	return (word & EACH_BYTE * 0xf0) == made * 0x90 &&
	       !(word & EACH_BYTE * 0x0f & ~(made * 0x0f));
}

static bool byte_is_tame(unsigned char byte, bool prefill)
{
	return !byte || (byte & 0xf0) == 0x90 || (prefill && byte == BYTES_PREFILL);
}

size_t bytes_tame(const void *buffer, size_t length, bool prefill)
{
	const unsigned char *bytes = buffer;
	uint64_t word;
	size_t i, k;

	for (i = 0; i + 8 <= length; i += 8) {
		memcpy(&word, bytes + i, 8);
		if (word_is_tame(word) || (prefill && word == EACH_BYTE * BYTES_PREFILL))
			continue;
		for (k = 0; k < 8; k++)
			if (!byte_is_tame(bytes[i + k], prefill))
				return i + k;
	}
	return length;
}
