// SPDX-License-Identifier: GPL-2.0-only
/* A server that is told of many requests at once; see raw_batch.h. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "raw_batch.h"

/* Headers for programs are older than the kernel that has it. */
#define MULTISHOT (1U << 1)

#define GROUP 7

#define FETCH_DATA 1
#define PROVIDE_DATA 2
#define COMMAND_DATA 3

int batch_open(struct batch_server *server, struct raw_device *device)
{
	memset(server, 0, sizeof(*server));
	server->device = device;
	server->ring.fd = -1;
	server->chr = raw_open_char(device->id);
	if (server->chr < 0)
		return server->chr;
	server->buffers = raw_pages(RAW_BATCH_DEPTH * RAW_BATCH_BYTES);
	server->tags = raw_pages(RAW_BATCH_BYTES);
	return raw_ring_open(&server->ring, 32, 0);
}

void batch_close(struct batch_server *server)
{
	raw_ring_close(&server->ring);
	if (server->chr >= 0)
		close(server->chr);
	server->chr = -1;
}

static void handle(struct batch_server *server, const struct io_uring_cqe *cqe)
{
	unsigned int count = cqe->res > 0 ? cqe->res / sizeof(__u16) : 0, i;
	const __u16 *tags = server->tags +
			    (cqe->flags >> IORING_CQE_BUFFER_SHIFT) * RAW_BATCH_TAGS;

	if (cqe->user_data != FETCH_DATA)
		return;
	if (cqe->res > 0) {
		server->spare--;
		server->used++;
	}
	for (i = 0; i < count && server->caught < RAW_BATCH_DEPTH; i++)
		server->queue[server->caught++] = tags[i];
	if (!(cqe->flags & IORING_CQE_F_MORE)) {
		server->fetching = false;
		server->fetch_result = cqe->res;
	}
}

void batch_pump(struct batch_server *server, int wait_ms)
{
	struct io_uring_cqe cqe;

	raw_ring_submit(&server->ring, wait_ms);
	while (raw_ring_next(&server->ring, &cqe))
		handle(server, &cqe);
}

struct io_uring_sqe *batch_sqe(struct raw_ring *ring, int chr, unsigned int op,
			       const struct ublk_batch_io *header, const void *elements)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(ring);

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = chr;
	sqe->cmd_op = op;
	sqe->addr = (unsigned long)elements;
	sqe->user_data = COMMAND_DATA;
	memcpy(sqe->cmd, header, sizeof(*header));
	return sqe;
}

int batch_command(struct batch_server *server, unsigned int op,
		  const struct ublk_batch_io *header, const void *elements)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	struct io_uring_cqe cqe;

	batch_sqe(&server->ring, server->chr, op, header, elements);
	while (raw_now_ms() < end) {
		raw_ring_submit(&server->ring, 20);
		while (raw_ring_next(&server->ring, &cqe)) {
			if (cqe.user_data == COMMAND_DATA)
				return cqe.res;
			handle(server, &cqe);
		}
	}
	return -ETIME;
}

struct ublk_batch_io batch_header(unsigned int count)
{
	return (struct ublk_batch_io) {
		.nr_elem = count,
		.flags = UBLK_BATCH_F_HAS_BUF_ADDR,
		.elem_bytes = sizeof(struct batch_element),
	};
}

struct batch_element batch_element(struct batch_server *server, unsigned int tag, int result)
{
	return (struct batch_element) {
		.header = { .tag = tag, .result = result },
		.address = (unsigned long)(server->buffers + tag % RAW_BATCH_DEPTH * RAW_BATCH_BYTES),
	};
}

int batch_prep(struct batch_server *server, unsigned int first, unsigned int count)
{
	struct ublk_batch_io header = batch_header(count);
	struct batch_element elements[RAW_BATCH_DEPTH];
	unsigned int i;

	for (i = 0; i < count; i++)
		elements[i] = batch_element(server, first + i, 0);
	return batch_command(server, UBLK_U_IO_PREP_IO_CMDS, &header, elements);
}

int batch_commit(struct batch_server *server, unsigned int tag, int result)
{
	struct ublk_batch_io header = batch_header(1);
	struct batch_element element = batch_element(server, tag, result);

	return batch_command(server, UBLK_U_IO_COMMIT_IO_CMDS, &header, &element);
}

static void provide(struct batch_server *server, unsigned int number, void *memory,
		    unsigned int bytes)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(&server->ring);

	sqe->opcode = IORING_OP_PROVIDE_BUFFERS;
	sqe->fd = 1;
	sqe->off = number;
	sqe->addr = (unsigned long)memory;
	sqe->len = bytes;
	sqe->buf_group = GROUP;
	sqe->user_data = PROVIDE_DATA;
	server->spare++;
	raw_ring_submit(&server->ring, 0);
}

void batch_provide(struct batch_server *server, void *memory, unsigned int bytes)
{
	provide(server, 0, memory, bytes);
}

void batch_provide_many(struct batch_server *server, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		provide(server, i, server->tags + i * RAW_BATCH_TAGS,
			RAW_BATCH_TAGS * sizeof(__u16));
		/* Each is completed, too. */
		batch_pump(server, 100);
	}
}

void batch_fetch(struct batch_server *server)
{
	struct ublk_batch_io header = { .elem_bytes = sizeof(__u16) };
	struct io_uring_sqe *sqe;

	sqe = batch_sqe(&server->ring, server->chr, UBLK_U_IO_FETCH_IO_CMDS, &header, NULL);
	sqe->rw_flags = MULTISHOT;
	sqe->flags = IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	sqe->user_data = FETCH_DATA;
	server->fetching = true;
	raw_ring_submit(&server->ring, 0);
}

int batch_commit_all(struct batch_server *server, int result)
{
	int ret = 0;

	while (server->caught && ret >= 0)
		ret = batch_commit(server, server->queue[--server->caught], result);
	return ret;
}

void batch_keep_fetching(struct batch_server *server)
{
	if (server->spare <= 0)
		batch_provide(server, server->tags, RAW_BATCH_BYTES);
	if (!server->fetching)
		batch_fetch(server);
}

void batch_serve(struct batch_server *server, int wait_ms)
{
	batch_pump(server, wait_ms);
	batch_commit_all(server, RAW_BATCH_BYTES);
	batch_keep_fetching(server);
}

int batch_go(struct batch_server *server)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(server->device->id);
	struct raw_control control;
	int ret = -ETIME, quiet = 0;
	long long end = raw_now_ms() + RAW_DEADLINE;

	batch_keep_fetching(server);
	command.data[0] = getpid();
	if (raw_control_begin(&control, UBLK_U_CMD_START_DEV, &command))
		return -EIO;
	while (!raw_control_poll(&control, &ret) && raw_now_ms() < end)
		batch_serve(server, 5);
	raw_control_end(&control);
	/* The search for partitions goes on behind START. */
	while (!ret && quiet < 300 && raw_now_ms() < end) {
		long long before = raw_now_ms();

		unsigned int used = server->used;

		batch_serve(server, 50);
		quiet = server->used == used ? quiet + raw_now_ms() - before : 0;
	}
	return ret;
}

bool batch_caught(struct batch_server *server)
{
	long long end = raw_now_ms() + RAW_DEADLINE;

	while (!server->caught && raw_now_ms() < end) {
		batch_keep_fetching(server);
		batch_pump(server, 20);
	}
	return server->caught;
}
