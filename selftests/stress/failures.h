/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory runs out on demand: the n-th allocation of some tasks fails, counted from a moment on. So
 * does their n-th access to user memory; both are counted together.
 */
#ifndef STRESS_FAILURES_H
#define STRESS_FAILURES_H

#include <stdbool.h>

/* More than any command has; a test that comes here does not end by itself. */
#define FAILURES_MOST 2000

#define FAILURES_TASKS 256

/* The tasks whose allocations are counted; none if all is zero. */
struct failures {
	int files[FAILURES_TASKS];
	unsigned int count;
};

/* Count those of the tasks in a folder of /proc with such a name, too. */
void failures_add(struct failures *failures, const char *folder, const char *name);
/* Of each task the @nth from now on fails. */
void failures_begin(struct failures *failures, unsigned int nth);
/* The same of the caller's, which is added. */
void failures_begin_own(struct failures *failures, unsigned int nth);
/* Nothing fails any more, and no task is counted. Returns whether something has failed. */
bool failures_end(struct failures *failures);
/* Ends a test as skipped where the kernel does not do that. */
void failures_need(void);

#endif
