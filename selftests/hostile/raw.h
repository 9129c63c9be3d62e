/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a hostile server needs: io_uring by bare system calls, single control and I/O commands with
 * every field under the test's control, and a server that the test drives step by step.
 */
#ifndef HOSTILE_RAW_H
#define HOSTILE_RAW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <linux/io_uring.h>
#include <linux/ioctl.h>
#include <linux/ublk_cmd.h>

/* A command that was accepted and waits in the driver; no errno has this value. */
#define RAW_PARKED 1000

/* How long anything that must end may take, in milliseconds. */
#define RAW_DEADLINE patience(20000)

/* The bound for an I/O whose server died. */
#define RAW_DEATH_DEADLINE patience(5000)

/*
 * Requests that start in this part of the disk belong to the test, all others (the kernel looking
 * for partitions) are answered as by an honest server.
 */
#define RAW_DISK_BYTES (64ULL << 20)
#define RAW_TEST_OFFSET (40000ULL << 9)
#define RAW_TEST_BYTES (16ULL << 20)

/* An address no user may own. */
#define RAW_KERNEL_ADDRESS 0xffff888000000000ULL

/* --- io_uring --- */

struct raw_ring {
	int fd;
	unsigned int flags;
	size_t sqe_size;
	void *rings;
	size_t rings_size;
	void *sqes;
	size_t sqes_size;
	unsigned int *sq_head;
	unsigned int *sq_tail;
	unsigned int *sq_flags;
	unsigned int *sq_array;
	unsigned int sq_mask;
	unsigned int *cq_head;
	unsigned int *cq_tail;
	unsigned int cq_mask;
	struct io_uring_cqe *cqes;
	unsigned int unsubmitted;
};

int raw_ring_open(struct raw_ring *ring, unsigned int entries, unsigned int flags);
void raw_ring_close(struct raw_ring *ring);
struct io_uring_sqe *raw_ring_sqe(struct raw_ring *ring);
int raw_ring_submit(struct raw_ring *ring, int wait_ms);
bool raw_ring_next(struct raw_ring *ring, struct io_uring_cqe *cqe);
int raw_ring_wait(struct raw_ring *ring, struct io_uring_cqe *cqe, int wait_ms);

/* --- control commands --- */

/* A control command under way; raw_control_finish() gives its result or -ETIME. */
struct raw_control {
	int fd;
	struct raw_ring ring;
};

int raw_control_begin(struct raw_control *control, unsigned int op,
		      const struct ublksrv_ctrl_cmd *command);
bool raw_control_poll(struct raw_control *control, int *result);
int raw_control_wait(struct raw_control *control, int wait_ms);
int raw_control_cancel(struct raw_control *control);
void raw_control_end(struct raw_control *control);
int raw_control(unsigned int op, const struct ublksrv_ctrl_cmd *command);

/* @id with everything else as a command without queue and buffer wants it. */
struct ublksrv_ctrl_cmd raw_command_for(__u32 id);

/* --- devices --- */

struct raw_server;

struct raw_device {
	int id;			/* -1: there is none */
	struct ublksrv_ctrl_dev_info info;
	struct ublk_params params;
};

struct ublksrv_ctrl_dev_info raw_info(unsigned int queues, unsigned int depth);
int raw_add_info(struct ublksrv_ctrl_dev_info *info);
int raw_add(struct raw_device *device, unsigned int queues, unsigned int depth);
/* The same from an info of one's own; device->info.flags tells which features were granted. */
int raw_add_with(struct raw_device *device, const struct ublksrv_ctrl_dev_info *info);
int raw_set_params(int id, const struct ublk_params *params);
int raw_get_params(int id, struct ublk_params *params);
int raw_get_info(int id, struct ublksrv_ctrl_dev_info *info);
struct ublk_params raw_params(const struct ublksrv_ctrl_dev_info *info);
/* The server's ring gets the pages of requests. */
bool raw_lends_pages(const struct ublksrv_ctrl_dev_info *info);
/* Commands give the address of a buffer, which the driver copies from and to. */
bool raw_wants_addresses(const struct ublksrv_ctrl_dev_info *info);
int raw_start(int id, pid_t pid);
int raw_stop(int id);
int raw_delete(int id);
/* Stop and delete what is there; 0 if the device is gone afterwards. */
int raw_destroy(struct raw_device *device);
/* Close the server, if there is one, then delete the device. */
int raw_finish(struct raw_device *device, struct raw_server *server);
/*
 * Kill the process of the server, if there is one, then delete the device: 0 once its id is free,
 * -ETIME if the process does not end, or why the device cannot be deleted or its id used again.
 */
int raw_kill(struct raw_device *device, pid_t server);
/* The id is free: it can be added again, and is deleted again. */
int raw_reuse(int id);
int raw_open_char(int id);
int raw_open_block(int id, int flags);

/* --- a server, driven by the thread that opened it --- */

struct raw_request {
	unsigned int queue;
	unsigned int tag;
	bool offered;				/* it waits for NEED_GET_DATA */
	struct ublksrv_io_desc descriptor;	/* copied when it was delivered */
};

struct raw_server {
	struct raw_device *device;
	int chr;
	struct raw_ring ring;
	const char **descriptors;
	char *buffers;
	size_t buffer_size;
	unsigned int queues;
	unsigned int depth;
	unsigned int parked;	/* commands the driver holds */
	unsigned int aborted;	/* commands that came back with UBLK_IO_RES_ABORT */
	int fault;		/* first result nothing asked for */
	bool answer_all;	/* the test wants no request for itself */
	bool hold_all;		/* it wants every one, the partition scan's too */
	bool hold_offers;	/* it sends NEED_GET_DATA itself */
	unsigned char sqe_flags;	/* IOSQE_* of every command */
	__u64 sqe_addr;		/* and the address beside its payload */
	struct raw_request *caught;	/* FIFO of requests that await the test */
	unsigned int caught_first;
	unsigned int caught_count;
	__u32 sequence;
	__u32 probe;		/* sequence raw_io_command() waits for, 0: none */
	int probe_result;
};

/* A fixture's members start as zero, which is a valid descriptor: say that there is nothing. */
void raw_none(struct raw_device *device, struct raw_server *server);
int raw_server_open(struct raw_server *server, struct raw_device *device, unsigned int flags);
/* The same after another server, whose ring may be taken down, with its files, after its end. */
int raw_server_open_next(struct raw_server *server, struct raw_device *device);
/* From now on the ring alone has the file, as a registered one. */
int raw_server_register_file(struct raw_server *server);
void raw_server_close(struct raw_server *server);
void *raw_buffer(struct raw_server *server, unsigned int queue, unsigned int tag);
/* What an honest command of this device has as its address: the buffer, or 0. */
__u64 raw_address(struct raw_server *server, unsigned int queue, unsigned int tag);
const struct ublksrv_io_desc *raw_descriptor(const struct raw_server *server, unsigned int queue,
					     unsigned int tag);
size_t raw_descriptor_bytes(unsigned int depth);
off_t raw_descriptor_offset(unsigned int queue);

/* Queue a command without submitting it; the next pump or command does. */
void raw_io_queue(struct raw_server *server, unsigned int op, unsigned int queue,
		  unsigned int tag, int result, __u64 address);
/* One command: its result, or RAW_PARKED. */
int raw_io_command(struct raw_server *server, unsigned int op, unsigned int queue,
		   unsigned int tag, int result, __u64 address);
/* FETCH one tag, with its own buffer; FETCH all. */
int raw_fetch(struct raw_server *server, unsigned int queue, unsigned int tag);
void raw_fetch_all(struct raw_server *server);
int raw_pump(struct raw_server *server, int wait_ms);
/* START_DEV for this process, serving the partition scan meanwhile. */
int raw_server_go(struct raw_server *server);
/* The same with every tag fetched before. */
int raw_server_start(struct raw_server *server);
/* Serve until a control command ends: -ETIME after the deadline. */
int raw_serve_control(struct raw_server *server, struct raw_control *control);
bool raw_catch(struct raw_server *server, struct raw_request *request);
int raw_commit(struct raw_server *server, const struct raw_request *request, int result);
int raw_request_bytes(const struct raw_request *request);

/* What the disk holds: raw_fill() as a server would read it, raw_matches() as a user checks it. */
void raw_fill(void *buffer, __u64 offset, size_t length);
bool raw_matches(const void *buffer, __u64 offset, size_t length);

/* A command on any ring and file, for threads and files that are not the server's. */
int raw_single_command(int chr, unsigned int op, const struct ublksrv_io_cmd *command,
		       int wait_ms);

/* --- users of the disk --- */

enum raw_io_kind {
	RAW_READ,
	RAW_WRITE,
	RAW_SYNC,
	RAW_DISCARD,
};

struct raw_io {
	pthread_t thread;
	int id;
	enum raw_io_kind kind;
	void *buffer;
	size_t length;
	off_t offset;
	ssize_t result;
	atomic_bool done;
};

int raw_io_start(struct raw_io *io, const struct raw_device *device, enum raw_io_kind kind,
		 void *buffer, size_t length, off_t offset);
/* Serve (if @server) until the I/O ended: bytes, -errno, or -ETIME after @wait_ms. */
ssize_t raw_io_wait(struct raw_io *io, struct raw_server *server, int wait_ms);
/* Wait until so many reads have left for the server, which need not know: 0 or -ETIME. */
int raw_await_reads(const struct raw_device *device, unsigned int reads);

/* --- other processes --- */

/* What a server in another process tells, and is told. */
struct raw_shared {
	atomic_int fetched;	/* tags armed */
	atomic_int caught;	/* requests of the test it holds */
	atomic_int go;		/* free for the test */
	atomic_int child;	/* its child, if it has one */
};

struct raw_shared *raw_share(void);
/* Wait until a counter reaches a value: 0 or -ETIME. */
int raw_await(atomic_int *counter, int value, int wait_ms);
/* How a server in another process works. */
struct raw_style {
	unsigned int ring_flags;
	unsigned char sqe_flags;
	bool registered_file;
	bool hold_all;
	bool answer_all;
};

int raw_server_open_style(struct raw_server *server, struct raw_device *device,
			  const struct raw_style *style);
/* Serve @device and hold the test's requests for ever; for a child process. */
void raw_server_main(struct raw_device *device, struct raw_shared *shared,
		     const struct raw_style *style) __attribute__((noreturn));
/* Fork a child that dies with its parent and runs raw_server_main(). */
pid_t raw_server_fork(struct raw_device *device, struct raw_shared *shared,
		      const struct raw_style *style);
/* Fork a child that dies with its parent; returns as fork() does. */
pid_t raw_fork(void);
/* Wait for a child: its wait status, or -ETIME. */
int raw_reap(pid_t pid, int wait_ms);
/* Would ps show a task in this state, 'T' for stopped? */
bool raw_is_in_state(pid_t task, char state);
/* Wait until it would: 0 or -ETIME. */
int raw_await_state(pid_t pid, char state);
/* Does the name of a task, as ps shows it, begin like this? */
bool raw_is_named(pid_t task, const char *name);

/* Skip the whole program, before the harness starts, if the driver lacks a feature. */
void raw_require_feature(__u64 feature, const char *name);

/* How much is done of something: @full if UBLK_TEST_STRESS asks for all of it. */
unsigned int raw_amount(unsigned int normal, unsigned int full);
/* Let the kernel log tell what everybody waits for; for tests that have failed. */
void raw_show_waiters(void);
long long raw_now_ms(void);
void raw_pause(void);
void *raw_pages(size_t bytes);
/* Pages that never come: -1 without them, or a file that tells when they are missed. */
int raw_no_pages(void *place, size_t bytes);

#endif
