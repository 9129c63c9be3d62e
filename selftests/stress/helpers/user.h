/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A user of a disk who remembers what he wrote: each block has a version, and a read must find the
 * last one that was acknowledged, or one that was tried since.
 */
#ifndef STRESS_USER_H
#define STRESS_USER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <linux/types.h>

#define USER_BLOCKS 64
#define USER_BLOCK 4096

struct user {
	pid_t pid;
	int id;
	unsigned int seed;
	unsigned int first;		/* block on the disk */
	atomic_bool stop;
	atomic_bool tolerant;		/* errors are to be expected */
	atomic_int done;		/* transfers that succeeded */
	atomic_int errors;		/* those that did not */
	atomic_bool failed;		/* an error that was not to be expected, or wrong data */
	char complaint[160];
	__u32 acknowledged[USER_BLOCKS];
	__u32 tried[USER_BLOCKS];
};

/* In a process of its own, so that nobody else has the disk open; NULL if there is none. */
struct user *user_start(int id, unsigned int first, unsigned int seed);
/* Wait until so many more transfers have succeeded: false after the deadline or a complaint. */
bool user_does(struct user *user, int transfers);
/* Returns whether all was well; prints what was not. */
bool user_end(struct user *user);

#endif
