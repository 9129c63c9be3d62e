// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all processes share: how much was done, and the first thing that was found. And how a
 * process that hangs is shown.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "liar.h"

struct shared *shared;
enum staged staged;

static const char *const what_names[WHAT_COUNT] = {
	[WHAT_CONTROL] = "control commands",
	[WHAT_COMMAND] = "I/O commands",
	[WHAT_BATCH] = "batches and buffers",
	[WHAT_FILE] = "/dev/ublkcN as a file",
	[WHAT_DISK] = "reads and writes",
	[WHAT_USE] = "other uses of a disk",
	[WHAT_PROCESS] = "processes, rings, memory",
};

static const char *const command_names[LIAR_NUMBERS] = {
	[0] = "unknown",
	[UBLK_CMD_GET_QUEUE_AFFINITY] = "GET_QUEUE_AFFINITY",
	[UBLK_CMD_GET_DEV_INFO] = "GET_DEV_INFO",
	[UBLK_CMD_ADD_DEV] = "ADD_DEV",
	[UBLK_CMD_DEL_DEV] = "DEL_DEV",
	[UBLK_CMD_START_DEV] = "START_DEV",
	[UBLK_CMD_STOP_DEV] = "STOP_DEV",
	[UBLK_CMD_SET_PARAMS] = "SET_PARAMS",
	[UBLK_CMD_GET_PARAMS] = "GET_PARAMS",
	[UBLK_CMD_START_USER_RECOVERY] = "START_USER_RECOVERY",
	[UBLK_CMD_END_USER_RECOVERY] = "END_USER_RECOVERY",
	[UBLK_CMD_GET_DEV_INFO2] = "GET_DEV_INFO2",
	[_IOC_NR(UBLK_U_CMD_GET_FEATURES)] = "GET_FEATURES",
	[_IOC_NR(UBLK_U_CMD_DEL_DEV_ASYNC)] = "DEL_DEV_ASYNC",
	[_IOC_NR(UBLK_U_CMD_UPDATE_SIZE)] = "UPDATE_SIZE",
	[_IOC_NR(UBLK_U_CMD_QUIESCE_DEV)] = "QUIESCE_DEV",
	[_IOC_NR(UBLK_U_CMD_TRY_STOP_DEV)] = "TRY_STOP_DEV",
	[_IOC_NR(UBLK_U_CMD_REG_BUF)] = "REG_BUF",
	[_IOC_NR(UBLK_U_CMD_UNREG_BUF)] = "UNREG_BUF",
	[UBLK_IO_FETCH_REQ] = "FETCH_REQ",
	[UBLK_IO_COMMIT_AND_FETCH_REQ] = "COMMIT_AND_FETCH_REQ",
	[UBLK_IO_NEED_GET_DATA] = "NEED_GET_DATA",
	[_IOC_NR(UBLK_U_IO_REGISTER_IO_BUF)] = "REGISTER_IO_BUF",
	[_IOC_NR(UBLK_U_IO_UNREGISTER_IO_BUF)] = "UNREGISTER_IO_BUF",
	[_IOC_NR(UBLK_U_IO_PREP_IO_CMDS)] = "PREP_IO_CMDS",
	[_IOC_NR(UBLK_U_IO_COMMIT_IO_CMDS)] = "COMMIT_IO_CMDS",
	[_IOC_NR(UBLK_U_IO_FETCH_IO_CMDS)] = "FETCH_IO_CMDS",
};

int report_set_up(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		return -1;
	strcpy(shared->failure, "who found something died before it could tell what");
	shared->memory = memfd_create("shared", MFD_CLOEXEC);
	return shared->memory < 0 || ftruncate(shared->memory, SHARED_BYTES) ? -1 : 0;
}

void report_made(enum what what, unsigned int count)
{
	atomic_fetch_add_explicit(&shared->made[what], count, memory_order_relaxed);
}

void report_good(enum what what)
{
	atomic_fetch_add_explicit(&shared->good[what], 1, memory_order_relaxed);
}

static unsigned int row_of(unsigned int number)
{
	return number < LIAR_NUMBERS && command_names[number] ? number : 0;
}

void report_sent(unsigned int number)
{
	atomic_fetch_add_explicit(&shared->sent[row_of(number)], 1, memory_order_relaxed);
}

void report_result(unsigned int number, int result)
{
	unsigned int row = row_of(number);
	atomic_ulong *counter = &shared->accepted[row];

	if (result < 0)
		counter = &shared->refused[row][result > -REPORT_ERRORS ? -result : 0];
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

unsigned long report_total(void)
{
	unsigned long total = 0;
	unsigned int what;

	for (what = 0; what < WHAT_COUNT; what++)
		total += atomic_load_explicit(&shared->made[what], memory_order_relaxed);
	return total;
}

/* The first failure counts; those that follow are its consequences, or come again. */
void report_failure(const char *format, ...)
{
	int expected = FAILED_NOT;
	va_list arguments;

	if (!atomic_compare_exchange_strong(&shared->failed, &expected, FAILED_UNTOLD))
		return;
	va_start(arguments, format);
	vsnprintf(shared->failure, sizeof(shared->failure), format, arguments);
	va_end(arguments);
	atomic_store(&shared->failed, FAILED);
}

void report_complaint(const char *format, ...)
{
	char text[sizeof(shared->complaint)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (!atomic_fetch_add(&shared->complaints, 1))
		memcpy(shared->complaint, text, sizeof(text));
}

/* Before anybody is ended: who found something may still be writing, or has died over it. */
void report_await(void)
{
	long long end = raw_now_ms() + 2000;

	while (atomic_load(&shared->failed) == FAILED_UNTOLD && raw_now_ms() < end)
		raw_pause();
}

static void print_row(const char *name, unsigned long done, unsigned long accepted)
{
	if (done)
		printf("# %-26s %10lu %10lu\n", name, done, accepted);
}

/* The errors that came most often, apart from those that came less than once in @total / 50. */
static void print_errors(const atomic_ulong *refused, unsigned long total)
{
	unsigned long below = ~0UL, most;
	unsigned int i, which;

	do {
		for (i = most = 0; i < REPORT_ERRORS; i++) {
			if (refused[i] <= most || refused[i] >= below)
				continue;
			most = refused[i];
			which = i;
		}
		if (most)
			printf(" %s %lu", which ? strerrorname_np(which) : "other", most);
		below = most;
	} while (most > total / 50);
}

static void print_command(unsigned int number)
{
	unsigned long sent = atomic_load(&shared->sent[number]);

	if (!sent)
		return;
	printf("# %-26s %10lu %10lu ", command_names[number], sent,
	       atomic_load(&shared->accepted[number]));
	print_errors(shared->refused[number], sent);
	printf("\n");
}

void report_print(const char *title)
{
	unsigned int i;

	printf("# %s\n# %-26s %10s %10s  errors\n", title, "", "done", "accepted");
	for (i = 0; i < LIAR_NUMBERS; i++)
		print_command(i);
	printf("#\n");
	for (i = 0; i < WHAT_COUNT; i++)
		print_row(what_names[i], atomic_load(&shared->made[i]),
			  atomic_load(&shared->good[i]));
	printf("# %-26s %10lu\n", "all operations", report_total());
	printf("# %lu flips of entries; %lu KiB read and looked at, %lu of them exactly\n",
	       atomic_load(&shared->flips), atomic_load(&shared->checked) >> 10,
	       atomic_load(&shared->honest) >> 10);
	printf("# %lu disks with parameters at the edges; %lu commands by a forged node\n",
	       atomic_load(&shared->edges), atomic_load(&shared->forged));
	printf("# %lu %% of the time a liar's disk was live\n",
	       shared->looks ? shared->alive * 100 / shared->looks : 0);
	fflush(stdout);
}

static const char *missing_kind(void)
{
	unsigned int i;

	for (i = 0; i < WHAT_COUNT; i++)
		if (!shared->made[i] && i != WHAT_BATCH)
			return what_names[i];
	return NULL;
}

/* Those on which everything else depends. */
static const char *missing_command(void)
{
	static const unsigned int needed[] = {
		UBLK_CMD_ADD_DEV, UBLK_CMD_SET_PARAMS, UBLK_CMD_START_DEV, UBLK_IO_FETCH_REQ,
		UBLK_IO_COMMIT_AND_FETCH_REQ,
	};
	unsigned int i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!shared->accepted[needed[i]])
			return command_names[needed[i]];
	return NULL;
}

/* What must have been done before a run proves anything, on every kernel; NULL if all of it was. */
const char *report_missing(void)
{
	if (missing_kind())
		return missing_kind();
	if (missing_command())
		return missing_command();
	if (!shared->good[WHAT_DISK] || !shared->checked || !shared->honest)
		return "byte was read and looked at";
	if (!shared->forged)
		return "forged node was shown";
	if (!shared->edges)
		return "disk had parameters at the edges";
	if (!shared->flips)
		return "entry was changed while it was read";
	return NULL;
}

void report_check(void)
{
	const char *missing = report_missing();

	if (missing)
		report_failure("this proves nothing: no %s", missing);
}

bool report_found(uint64_t seed, unsigned long operations, unsigned int epoch)
{
	if (!shared->failed)
		return false;
	report_await();
	printf("# seed %" PRIu64 ", epoch %u: %s\n"
	       "# again: scripts/run-liar --seed %" PRIu64 " --operations %lu\n",
	       seed, epoch, shared->failure, seed, operations);
	fflush(stdout);
	return true;
}

bool report_complaints(uint64_t seed, unsigned long operations)
{
	unsigned long count = atomic_load(&shared->complaints);

	if (!count)
		return false;
	printf("# %s (%lu times)\n"
	       "# again: scripts/run-liar --seed %" PRIu64 " --operations %lu\n",
	       shared->complaint, count, seed, operations);
	return true;
}

static bool read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	size_t length;

	if (!file)
		return false;
	length = fread(text, 1, size - 1, file);
	text[length] = 0;
	fclose(file);
	return length > 0;
}

/* The letter after the name in parentheses, which may itself have some. */
static char state_of(const char *stat)
{
	const char *end = strrchr(stat, ')');

	return end && end[1] ? end[2] : '?';
}

/* Tasks that wait uninterruptibly, and all of a process that should have ended. */
static void print_task(const char *process, const char *task, bool any)
{
	char path[600], stat[512], stack[4096];

	snprintf(path, sizeof(path), "/proc/%s/task/%s/stat", process, task);
	if (!read_file(path, stat, sizeof(stat)) || (!any && state_of(stat) != 'D'))
		return;
	snprintf(path, sizeof(path), "/proc/%s/task/%s/stack", process, task);
	if (!read_file(path, stack, sizeof(stack)))
		stack[0] = 0;
	fprintf(stderr, "%.60s\n%s", stat, stack);
}

static void print_process(const char *process, bool any)
{
	struct dirent *entry;
	char path[300];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%s/task", process);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			print_task(process, entry->d_name, any);
	if (tasks)
		closedir(tasks);
}

static bool is_among(const char *process, const pid_t *pids, unsigned int count)
{
	while (count--)
		if (pids[count] == atoi(process))
			return true;
	return false;
}

/* Who hangs is not always who is to blame, so all are shown that wait in the kernel. */
void report_stacks(const pid_t *dying, unsigned int count)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes)))
		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
			print_process(entry->d_name, is_among(entry->d_name, dying, count));
	if (processes)
		closedir(processes);
}
