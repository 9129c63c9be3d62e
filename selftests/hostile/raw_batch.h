/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A server of a device with UBLK_F_BATCH_IO and one queue, driven by the test: single commands about
 * many tags, or all that is needed to serve whatever comes.
 */
#ifndef HOSTILE_RAW_BATCH_H
#define HOSTILE_RAW_BATCH_H

#include "raw.h"

/* The largest depth, and the size of the largest request. */
#define RAW_BATCH_DEPTH 8
#define RAW_BATCH_BYTES 4096
/* How many tags a small buffer takes. */
#define RAW_BATCH_TAGS 32

struct batch_element {
	struct ublk_elem_header header;
	__u64 address;
};

struct batch_server {
	struct raw_device *device;
	struct raw_ring ring;
	int chr;
	char *buffers;
	__u16 *tags;		/* where the driver writes what it delivers */
	bool fetching;		/* a FETCH is parked */
	int spare;		/* buffers that the driver has for tags */
	unsigned int used;	/* buffers that came back with tags */
	int fetch_result;	/* how the last one ended */
	struct raw_shared *shared;	/* of a server in another process */
	unsigned int caught;	/* tags delivered and not taken by the test */
	__u16 queue[RAW_BATCH_DEPTH];
};

int batch_open(struct batch_server *server, struct raw_device *device);
void batch_close(struct batch_server *server);
void batch_pump(struct batch_server *server, int wait_ms);
/* On any ring; batch_pump() and raw_ring_submit() submit it. */
struct io_uring_sqe *batch_sqe(struct raw_ring *ring, int chr, unsigned int op,
			       const struct ublk_batch_io *header, const void *elements);
/* A command that does not park: its result. */
int batch_command(struct batch_server *server, unsigned int op,
		  const struct ublk_batch_io *header, const void *elements);
/* Of @count elements with buffers. */
struct ublk_batch_io batch_header(unsigned int count);
struct batch_element batch_element(struct batch_server *server, unsigned int tag, int result);
/* Of @count tags from @first on, and of one tag: bytes done or -errno. */
int batch_prep(struct batch_server *server, unsigned int first, unsigned int count);
int batch_commit(struct batch_server *server, unsigned int tag, int result);
void batch_provide(struct batch_server *server, void *memory, unsigned int bytes);
/* Small ones, one behind the other in server.tags. */
void batch_provide_many(struct batch_server *server, unsigned int count);
void batch_fetch(struct batch_server *server);
/* The descriptors are not needed: the one request of the test is known. */
int batch_commit_all(struct batch_server *server, int result);
/* One buffer at a time, so that no tag is overwritten before it was read. */
void batch_keep_fetching(struct batch_server *server);
/* Serve whatever comes: the kernel's look for partitions. */
void batch_serve(struct batch_server *server, int wait_ms);
/* START_DEV for this process, serving the partition scan meanwhile. */
int batch_go(struct batch_server *server);
/* Until the test has a request in server.queue. */
bool batch_caught(struct batch_server *server);

#endif
