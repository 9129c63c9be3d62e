// SPDX-License-Identifier: GPL-2.0-only
/*
 * memory_user MIB ROUNDS SEED: uses so much memory and sees, page by page at random, that each is what
 * it was written to be, before it writes something else there. Says what is wrong, if anything is.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096
#define WORDS (PAGE_BYTES / sizeof(uint64_t))

struct memory {
	uint64_t *words;
	unsigned char *rounds;	/* in which each page was written */
	size_t pages;
};

/* No two words are alike, so a page in the wrong place is found. */
static uint64_t word_of(size_t page, unsigned int round, size_t word)
{
	return ((uint64_t)page << 24 | (uint64_t)(round & 0xff) << 16 | word) * 0x9e3779b97f4a7c15ULL;
}

static void write_page(struct memory *memory, size_t page, unsigned int round)
{
	for (size_t i = 0; i < WORDS; i++)
		memory->words[page * WORDS + i] = word_of(page, round, i);
	memory->rounds[page] = round;
}

static int check_page(const struct memory *memory, size_t page)
{
	for (size_t i = 0; i < WORDS; i++) {
		uint64_t found = memory->words[page * WORDS + i];
		uint64_t wanted = word_of(page, memory->rounds[page], i);

		if (found == wanted)
			continue;
		printf("word %zu of page %zu is %#llx, not %#llx\n", i, page,
		       (unsigned long long)found, (unsigned long long)wanted);
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct memory memory;
	unsigned int rounds, seed;

	if (argc != 4) {
		fprintf(stderr, "usage: memory_user MIB ROUNDS SEED\n");
		return 2;
	}
	memory.pages = strtoul(argv[1], NULL, 0) * 256;
	rounds = strtoul(argv[2], NULL, 0);
	seed = strtoul(argv[3], NULL, 0);
	memory.words = mmap(NULL, memory.pages * PAGE_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memory.rounds = calloc(memory.pages, 1);
	if (memory.words == MAP_FAILED || !memory.rounds) {
		perror("memory_user");
		return 1;
	}

	for (size_t page = 0; page < memory.pages; page++)
		write_page(&memory, page, 0);
	for (unsigned int round = 1; round <= rounds; round++) {
		for (size_t i = 0; i < memory.pages; i++) {
			size_t page = rand_r(&seed) % memory.pages;

			if (check_page(&memory, page))
				return 1;
			write_page(&memory, page, round);
		}
	}
	for (size_t page = 0; page < memory.pages; page++) {
		if (check_page(&memory, page))
			return 1;
	}
	return 0;
}
