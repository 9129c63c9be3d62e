/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A zoned disk in memory and its server, which runs in a process of its own and lies if told to.
 */
#ifndef PATHS_ZONED_SERVER_H
#define PATHS_ZONED_SERVER_H

#include <linux/blkzoned.h>

#include "raw.h"

#define ZONES 16
#define CONVENTIONAL 2
#define ZONE_SECTORS 2048
#define DEPTH 8

/* What the server lies about. */
enum lie {
	HONEST,
	START,		/* a zone begins elsewhere */
	LEN,		/* it is shorter */
	CAPACITY,	/* more fits in than it has */
	NO_CAPACITY,
	TYPE,
	COND,		/* a state that does not exist */
	COND_OF_OTHERS,	/* a conventional zone with a write pointer */
	POINTER,	/* it points behind the zone */
	POINTER_BEFORE,
	FEW,		/* it leaves zones out */
	NONE,
	ERROR,
	APPEND_BEFORE,	/* data went to the zone before */
	APPEND_BEHIND,
	APPEND_ASKEW,	/* in the middle of a block */
	APPEND_SHORT,
};

struct zone {
	__u64 wp;
	__u8 cond;
};

/* Shared by server and test. */
struct disk {
	struct raw_shared shared;
	enum lie lie;
	struct zone zones[ZONES];
	atomic_int operations[256];
	atomic_int hang;	/* do not answer reports */
	char data[ZONES * (ZONE_SECTORS << 9)];
};

__u64 zone_start(unsigned int zone);
/* Add a zoned device and fork its server, which has fetched every tag then: 0 or -errno. */
int zoned_add(struct raw_device *device, struct disk **disk, pid_t *server);
/* Stop the device, kill the server, delete the device: 0 if all of that worked. */
int zoned_remove(struct raw_device *device, pid_t server);

#endif
