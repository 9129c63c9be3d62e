// SPDX-License-Identifier: GPL-2.0-only
/* Lets allocations of tasks fail by /proc/PID/fail-nth, of a kernel that is built for that. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "failures.h"
#include "raw.h"

static void add_task(struct failures *failures, pid_t task)
{
	char path[64];
	int file;

	snprintf(path, sizeof(path), "/proc/%d/fail-nth", task);
	file = open(path, O_RDWR | O_CLOEXEC);
	if (file >= 0 && failures->count < FAILURES_TASKS)
		failures->files[failures->count++] = file;
	else if (file >= 0)
		close(file);
}

void failures_add(struct failures *failures, const char *folder, const char *name)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		pid_t task = atoi(entry->d_name);

		if (task > 0 && raw_is_named(task, name))
			add_task(failures, task);
	}
	if (directory)
		closedir(directory);
}

void failures_begin(struct failures *failures, unsigned int nth)
{
	unsigned int i;

	for (i = 0; i < failures->count; i++)
		dprintf(failures->files[i], "%u", nth);
}

void failures_begin_own(struct failures *failures, unsigned int nth)
{
	add_task(failures, gettid());
	failures_begin(failures, nth);
}

bool failures_end(struct failures *failures)
{
	bool failed = false;
	unsigned int i;

	for (i = 0; i < failures->count; i++) {
		char left[16] = "";

		if (pread(failures->files[i], left, sizeof(left) - 1, 0) > 0)
			failed |= atoi(left) == 0;
		dprintf(failures->files[i], "0");
		close(failures->files[i]);
	}
	failures->count = 0;
	return failed;
}

/* Ignored where there is no such failure. */
static void set(const char *failure, const char *attribute, const char *value)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", failure, attribute);
	file = fopen(path, "w");
	if (!file)
		return;
	fputs(value, file);
	fclose(file);
}

/* Every allocation counts, and every access to the server's memory; and not a word in the log. */
static bool failures_can_be_caused(void)
{
	set("failslab", "ignore-gfp-wait", "N");
	set("failslab", "verbose", "0");
	set("fail_page_alloc", "ignore-gfp-wait", "N");
	set("fail_page_alloc", "min-order", "0");
	set("fail_page_alloc", "verbose", "0");
	set("fail_usercopy", "verbose", "0");
	return access("/proc/self/fail-nth", W_OK) == 0;
}

void failures_need(void)
{
	if (failures_can_be_caused())
		return;
	printf("SKIP: no fault injection\n");
	fflush(stdout);
	_exit(4);
}
