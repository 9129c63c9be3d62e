// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which code of the driver the acts reach (KCOV, on kernels that look for bugs), and what is made of
 * that: an act that reached a way nobody had gone before is kept, and done again, and its like.
 *
 * What is kept serves from the next seed on, and stays as it is during that seed, so the sequence of
 * acts follows from the seed and the file that is named beside it. Only what a liar's own system calls
 * do is seen, not what workers of the kernel do for it.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "liar.h"

#define KCOV "/sys/kernel/debug/kcov"
#define KCOV_INIT_TRACE _IOR('c', 1, unsigned long)
#define KCOV_ENABLE _IO('c', 100)
#define KCOV_TRACE_PC 0

#define TRACE_WORDS (64UL << 10)
#define WAYS (1U << 16)			/* from one place to the next, by their hash */
#define PLACES (1U << 15)
#define KEPT 2048
#define SYMBOLS 4096

/* Percent of the acts that are taken from what was kept; half of those with dice of their own. */
#define AGAIN 40

struct kept {
	const struct role *role;
	const struct act *act;
	uint64_t dice;
};

/* Shared by all processes. */
static struct {
	atomic_bool ways[WAYS];
	atomic_uint way_count;
	_Atomic uint64_t places[PLACES];
	atomic_uint place_count;
	struct kept kept[KEPT];
	atomic_uint kept_count;
	unsigned int in_use;		/* of those kept, during this seed */
	bool trace;			/* or only do what was kept */
} *coverage;

struct trace {
	int file;
	uint64_t *words;		/* how many, then the places */
};

static struct trace traces[LIAR_MAX_THREADS];
static _Thread_local struct trace *own_trace;

bool coverage_set_up(bool trace)
{
	void *memory = mmap(NULL, sizeof(*coverage), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || (trace && access(KCOV, R_OK | W_OK)))
		return false;
	coverage = memory;
	coverage->trace = trace;
	return true;
}

/* Before the process gives up its rights. */
void coverage_prepare(void)
{
	unsigned int i;

	for (i = 0; coverage && coverage->trace && i < LIAR_MAX_THREADS; i++) {
		struct trace *trace = &traces[i];

		trace->file = open(KCOV, O_RDWR | O_CLOEXEC);
		if (trace->file < 0 || ioctl(trace->file, KCOV_INIT_TRACE, TRACE_WORDS))
			_exit(1);
		trace->words = mmap(NULL, TRACE_WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED,
				    trace->file, 0);
		if (trace->words == MAP_FAILED)
			_exit(1);
	}
}

void coverage_begin(unsigned int thread)
{
	if (!coverage || !coverage->trace)
		return;
	own_trace = &traces[thread];
	if (ioctl(own_trace->file, KCOV_ENABLE, KCOV_TRACE_PC))
		_exit(1);
}

static void note_place(uint64_t place)
{
	unsigned int i = place * 0x9e3779b97f4a7c15ULL >> 49, tries;
	uint64_t found;

	for (tries = 0; tries < PLACES; tries++, i++) {
		found = 0;
		if (atomic_compare_exchange_strong(&coverage->places[i % PLACES], &found, place)) {
			atomic_fetch_add(&coverage->place_count, 1);
			return;
		}
		if (found == place)
			return;
	}
}

static bool note_way(uint64_t from, uint64_t to)
{
	uint64_t hash = (from * 31 + to) * 0x9e3779b97f4a7c15ULL;

	if (atomic_exchange_explicit(&coverage->ways[hash >> 48], true, memory_order_relaxed))
		return false;
	atomic_fetch_add(&coverage->way_count, 1);
	return true;
}

static void keep(const struct role *role, const struct act *act, uint64_t dice)
{
	unsigned int i = atomic_fetch_add(&coverage->kept_count, 1);

	if (i < KEPT)
		coverage->kept[i] = (struct kept) { .role = role, .act = act, .dice = dice };
}

void coverage_acted(const struct role *role, const struct act *act, uint64_t dice)
{
	uint64_t count, i, last = 0;
	bool is_new = false;

	if (!own_trace)
		return;
	count = __atomic_load_n(own_trace->words, __ATOMIC_RELAXED);
	for (i = 1; i <= count; i++) {
		if (note_way(last, own_trace->words[i])) {
			note_place(own_trace->words[i]);
			is_new = true;
		}
		last = own_trace->words[i];
	}
	__atomic_store_n(own_trace->words, 0, __ATOMIC_RELAXED);
	if (is_new)
		keep(role, act, dice);
}

/* Another choice than that of the stream, or not. Nothing is rolled if nothing is in use. */
const struct act *coverage_choose(const struct role *role, const struct act *act,
				  struct dice *stream, struct dice *dice)
{
	const struct kept *kept;

	if (!coverage || !coverage->in_use || !dice_chance(stream, AGAIN))
		return act;
	kept = &coverage->kept[dice_below(stream, coverage->in_use)];
	if (kept->role != role || !kept->act)
		return act;
	if (dice_chance(stream, 50))
		dice->state = kept->dice;
	return kept->act;
}

static unsigned int count_kept(void)
{
	unsigned int count = atomic_load(&coverage->kept_count);

	return count < KEPT ? count : KEPT;
}

static void write_kept(const char *path)
{
	FILE *file = fopen(path, "w");
	unsigned int i;

	if (!file) {
		report_failure("cannot write %s", path);
		return;
	}
	for (i = 0; i < coverage->in_use; i++) {
		const struct kept *kept = &coverage->kept[i];

		/* Whoever had it may have died over it. */
		if (kept->act)
			fprintf(file, "%s/%s %016" PRIx64 "\n", kept->role->name,
				kept->act->name, kept->dice);
	}
	fclose(file);
}

/* What was found so far is in use from here on, and in a file of @folder by the seed's number. */
void coverage_next_seed(const char *folder, uint64_t seed)
{
	char path[300];

	if (!coverage)
		return;
	coverage->in_use = count_kept();
	if (!folder)
		return;
	snprintf(path, sizeof(path), "%s/kept-%" PRIu64, folder, seed);
	write_kept(path);
}

static bool find_act(const char *name, struct kept *kept)
{
	unsigned int seat, thread;
	const struct act *act;
	char both[64];

	for (seat = 0; seat < seat_count; seat++) {
		for (thread = 0; thread < LIAR_MAX_THREADS; thread++) {
			kept->role = seats[seat].threads[thread];
			for (act = kept->role ? kept->role->acts : NULL; act && act->name; act++) {
				kept->act = act;
				snprintf(both, sizeof(both), "%s/%s", kept->role->name, act->name);
				if (!strcmp(both, name))
					return true;
			}
		}
	}
	return false;
}

/* As coverage_next_seed() wrote it. */
bool coverage_read(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[100], name[64];
	struct kept kept;

	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		/* The names of roles have spaces. */
		char *dice = strrchr(line, ' ');

		if (!dice || dice - line >= (long)sizeof(name))
			break;
		snprintf(name, sizeof(name), "%.*s", (int)(dice - line), line);
		kept.dice = strtoull(dice, NULL, 16);
		if (!find_act(name, &kept))
			break;
		keep(kept.role, kept.act, kept.dice);
	}
	fclose(file);
	return count_kept();
}

/* --- what was reached, in words --- */

struct symbol {
	uint64_t address;
	bool reached;
};

static int compare_symbols(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

static unsigned int read_symbols(struct symbol *symbols)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	unsigned int count = 0;
	char line[300], type;

	while (file && fgets(line, sizeof(line), file) && count < SYMBOLS) {
		if (!strstr(line, "[ublk_drv]") ||
		    sscanf(line, "%" SCNx64 " %c", &symbols[count].address, &type) != 2)
			continue;
		count += type == 't' || type == 'T';
	}
	if (file)
		fclose(file);
	qsort(symbols, count, sizeof(symbols[0]), compare_symbols);
	return count;
}

static void reach(struct symbol *symbols, unsigned int count, uint64_t place)
{
	unsigned int i;

	for (i = count; i > 0 && symbols[i - 1].address > place; i--)
		continue;
	if (i > 0)
		symbols[i - 1].reached = true;
}

void coverage_print(void)
{
	static struct symbol symbols[SYMBOLS];
	unsigned int count, reached = 0, i;

	if (!coverage || !atomic_load(&coverage->place_count))
		return;
	count = read_symbols(symbols);
	for (i = 0; i < PLACES; i++)
		if (coverage->places[i])
			reach(symbols, count, coverage->places[i]);
	for (i = 0; i < count; i++)
		reached += symbols[i].reached;
	printf("# KCOV: %u functions of %u, %u places, %u ways from one to the next; %u acts kept\n",
	       reached, count, atomic_load(&coverage->place_count),
	       atomic_load(&coverage->way_count), count_kept());
}
