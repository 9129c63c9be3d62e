// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line: so many operations from each of so many seeds.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "liar.h"

#define MORE_SEEDS 5

struct options {
	uint64_t seed;
	unsigned long seeds;
	unsigned long operations;	/* of each seed */
	unsigned long print;
	bool coverage;
	const char *folder;		/* for what coverage keeps */
	const char *kept;		/* from such a folder */
};

static int usage(void)
{
	fprintf(stderr,
		"usage: liar [OPTION]...\n"
		"  --seed N         the first seed (default 1)\n"
		"  --seeds N        how many of them, one after the other (default 1)\n"
		"  --operations N   how many of each (default 10000)\n"
		"  --print N        only print the first N acts of every thread\n"
		"  --coverage       do more of what reaches new code, and tell how much was\n"
		"                   reached; only on kernels that are built for it\n"
		"  --folder DIR     for what was kept of that, as it was before each seed\n"
		"  --kept FILE      begin with what was kept before\n"
		"  --stage WHAT     let something be wrong, to see that it is found: marker,\n"
		"                   wrong, deaf, device, forged, idle, leak (which needs null_blk)\n"
		"Ends with 0 if the driver withstood all of it.\n");
	return 2;
}

static bool parse_stage(const char *word)
{
	static const char *const words[] = {
		[STAGED_MARKER] = "marker",
		[STAGED_WRONG] = "wrong",
		[STAGED_DEAF] = "deaf",
		[STAGED_DEVICE] = "device",
		[STAGED_FORGED] = "forged",
		[STAGED_IDLE] = "idle",
		[STAGED_LEAK] = "leak",
	};
	unsigned int i;

	for (i = STAGED_MARKER; i < STAGED_COUNT; i++)
		if (!strcmp(word, words[i]))
			staged = i;
	return staged != STAGED_NOTHING;
}

static bool parse(int count, char **arguments, struct options *options)
{
	static const struct option names[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "operations", required_argument, NULL, 'o' },
		{ "print", required_argument, NULL, 'p' },
		{ "stage", required_argument, NULL, 'g' },
		{ "coverage", no_argument, NULL, 'c' },
		{ "folder", required_argument, NULL, 'f' },
		{ "kept", required_argument, NULL, 'k' },
		{ NULL }
	};
	int letter;

	while ((letter = getopt_long(count, arguments, "", names, NULL)) != -1) {
		switch (letter) {
		case 's':
			options->seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			options->seeds = strtoul(optarg, NULL, 0);
			break;
		case 'o':
			options->operations = strtoul(optarg, NULL, 0);
			break;
		case 'p':
			options->print = strtoul(optarg, NULL, 0);
			break;
		case 'c':
			options->coverage = true;
			break;
		case 'f':
			options->folder = optarg;
			break;
		case 'k':
			options->kept = optarg;
			break;
		case 'g':
			if (!parse_stage(optarg))
				return false;
			break;
		default:
			return false;
		}
	}
	return optind == count;
}

static void run_seed(const struct options *options, uint64_t seed)
{
	unsigned long before = report_total();
	struct run run = { .seed = seed, .operations = before + options->operations };
	long long start = raw_now_ms(), took;

	printf("# seed %" PRIu64 "\n", seed);
	fflush(stdout);
	coverage_next_seed(options->folder, seed);
	supervise(&run);
	took = raw_now_ms() - start;
	printf("# seed %" PRIu64 ": %lu operations in %u epochs, %lld.%lld s, %lld a second\n",
	       seed, report_total() - before, run.epochs, took / 1000, took % 1000 / 100,
	       (report_total() - before) * 1000LL / (took + 1));
	if (report_found(seed, options->operations, run.epochs) && options->folder)
		printf("# and with what was kept before it: --kept kept-%" PRIu64 "\n", seed);
}

/*
 * Returns whether something was found. What a seed's processes come to do within its operations depends
 * on their speed, too: one that refuses itself quickly can use up all of them. Such a run goes on for
 * some seeds more until it proves something.
 */
static bool run_all(const struct options *options)
{
	long long start = raw_now_ms();
	unsigned long i;

	for (i = 0; i < options->seeds && !shared->failed; i++)
		run_seed(options, options->seed + i);
	for (; i < options->seeds + MORE_SEEDS && !shared->failed && report_missing(); i++)
		run_seed(options, options->seed + i);
	printf("# %lu seeds in %lld s\n", i, (raw_now_ms() - start) / 1000);
	if (shared->failed)
		return true;
	report_check();
	return report_found(options->seed, options->operations, 0);
}

/* What was kept is of use without KCOV, too: the same acts again. */
static bool set_coverage_up(const struct options *options)
{
	if (!options->coverage && !options->kept)
		return true;
	if (!coverage_set_up(options->coverage)) {
		fprintf(stderr, "this kernel does not tell what code is reached (KCOV)\n");
		return false;
	}
	if (options->kept && !coverage_read(options->kept)) {
		fprintf(stderr, "%s: nothing that was kept\n", options->kept);
		return false;
	}
	return true;
}

int main(int count, char **arguments)
{
	struct options options = { .seed = 1, .seeds = 1, .operations = 10000 };
	bool found;

	if (!parse(count, arguments, &options))
		return usage();
	if (!set_coverage_up(&options))
		return 2;
	if (options.print) {
		coverage_next_seed(NULL, options.seed);
		seat_print(options.seed, options.print);
		return 0;
	}
	if (report_set_up())
		return 1;
	if (staged == STAGED_LEAK) {
		reading_stage_leak();
		return report_found(options.seed, 0, 0);
	}
	if (supervise_set_up())
		return 1;
	found = run_all(&options);
	found |= report_complaints(options.seed, options.operations);
	coverage_print();
	supervise_end();
	report_print(found ? "FAILED" : "nothing was found");
	return found;
}
