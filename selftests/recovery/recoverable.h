/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of recovery share: devices with features, servers in other processes that keep
 * the disk's data in memory they share with the test, and the way from one server to the next.
 */
#ifndef RECOVERY_RECOVERABLE_H
#define RECOVERY_RECOVERABLE_H

#include "raw.h"

/* A device with parameters, and what its servers have in common. */
struct recoverable {
	struct raw_device device;
	char *disk;			/* RAW_DISK_BYTES, shared with every server */
	struct raw_shared *shared;
	pid_t pid;			/* the server's process, -1: none */
};

/* How far a server in another process goes. */
enum recoverable_server {
	SERVES,		/* answers everything, from the shared memory */
	HOLDS,		/* keeps the test's requests for ever, and answers others */
	HOLDS_ALL,	/* keeps every request for ever */
	FETCHES_SOME,	/* and then does nothing */
	OPENS_DISK,	/* and then nothing before the disk is open */
	LEAVES,		/* serves until shared->go, then closes its ring with a request in hand */
};

int recoverable_add(struct recoverable *self, __u64 features, unsigned int queues,
		    unsigned int depth);
/* Kills the server, deletes the device and unmaps what was shared: 0 if both are gone. */
int recoverable_end(struct recoverable *self);
/* Fork a server, shared->child: 0 once it has fetched what it is to fetch; -ECHILD: it has ended. */
int recoverable_serve(struct recoverable *self, enum recoverable_server server);
/* The same, then START_DEV. */
int recoverable_start(struct recoverable *self, enum recoverable_server server);
/* kill -9 and reap: 0 or -ETIME. */
int recoverable_kill(struct recoverable *self);
/* Wait until the device has a state, UBLK_S_DEV_*: 0 or -ETIME. */
int recoverable_await_state(struct recoverable *self, int state);
int recoverable_begin_recovery(struct recoverable *self);
int recoverable_end_recovery(struct recoverable *self, pid_t pid);
/* From a device that has lost its server to one that has another. */
int recoverable_recover(struct recoverable *self, enum recoverable_server server);
int recoverable_quiesce(struct recoverable *self, __u64 timeout_ms);

/* A control command with nothing but a number. */
int recoverable_command(int id, unsigned int op, __u64 data);

#endif
