// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server the test drives: it answers the kernel's own requests honestly and leaves those in the
 * test's part of the disk to the test.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "raw.h"

/* The parts of user_data; a sequence number tells one command from all others. */
#define USER_DATA(sequence, queue, tag) \
	((__u64)(sequence) << 32 | (__u64)(queue) << 16 | (tag))

size_t raw_descriptor_bytes(unsigned int depth)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (depth * sizeof(struct ublksrv_io_desc) + page - 1) / page * page;
}

off_t raw_descriptor_offset(unsigned int queue)
{
	return UBLKSRV_CMD_BUF_OFFSET + (off_t)queue * raw_descriptor_bytes(UBLK_MAX_QUEUE_DEPTH);
}

/* How much of a map the descriptors of one of the server's queues take. */
static size_t map_bytes(const struct raw_server *server, unsigned int depth)
{
	size_t page = sysconf(_SC_PAGESIZE);

	return (depth * server->device->info.io_desc_size + page - 1) / page * page;
}

const struct ublksrv_io_desc *raw_descriptor(const struct raw_server *server, unsigned int queue,
					     unsigned int tag)
{
	return (const void *)(server->descriptors[queue] +
			      (size_t)tag * server->device->info.io_desc_size);
}

static int map_descriptors(struct raw_server *server)
{
	off_t stride = map_bytes(server, UBLK_MAX_QUEUE_DEPTH);
	unsigned int queue;

	server->descriptors = calloc(server->queues, sizeof(*server->descriptors));
	if (!server->descriptors)
		return -ENOMEM;
	for (queue = 0; queue < server->queues; queue++) {
		void *map = mmap(NULL, map_bytes(server, server->depth), PROT_READ, MAP_SHARED,
				 server->chr, UBLKSRV_CMD_BUF_OFFSET + queue * stride);

		if (map == MAP_FAILED)
			return -errno;
		server->descriptors[queue] = map;
	}
	return 0;
}

void raw_none(struct raw_device *device, struct raw_server *server)
{
	device->id = -1;
	if (!server)
		return;
	memset(server, 0, sizeof(*server));
	server->chr = -1;
	server->ring.fd = -1;
}

int raw_finish(struct raw_device *device, struct raw_server *server)
{
	raw_server_close(server);
	return raw_destroy(device);
}

int raw_server_open(struct raw_server *server, struct raw_device *device, unsigned int flags)
{
	unsigned int tags, entries = 8;
	int ret;

	memset(server, 0, sizeof(*server));
	server->ring.fd = -1;
	server->device = device;
	server->queues = device->info.nr_hw_queues;
	server->depth = device->info.queue_depth;
	server->buffer_size = device->info.max_io_buf_bytes;
	server->chr = raw_open_char(device->id);
	if (server->chr < 0)
		return server->chr;

	ret = map_descriptors(server);
	if (ret)
		goto fail;
	tags = server->queues * server->depth;
	server->buffers = raw_pages(tags * server->buffer_size);
	server->caught = calloc(tags, sizeof(*server->caught));
	ret = -ENOMEM;
	if (!server->buffers || !server->caught)
		goto fail;
	while (entries < tags + 8)
		entries *= 2;
	ret = raw_ring_open(&server->ring, entries, flags);
	if (ret)
		goto fail;
	return 0;

fail:
	raw_server_close(server);
	return ret;
}

int raw_server_open_next(struct raw_server *server, struct raw_device *device)
{
	long long end = raw_now_ms() + RAW_DEATH_DEADLINE;
	int ret;

	while ((ret = raw_server_open(server, device, 0)) == -EBUSY && raw_now_ms() < end)
		raw_pause();
	return ret;
}

int raw_server_register_file(struct raw_server *server)
{
	if (syscall(__NR_io_uring_register, server->ring.fd, IORING_REGISTER_FILES, &server->chr,
		    1))
		return -errno;
	close(server->chr);
	server->chr = -1;
	server->sqe_flags |= IOSQE_FIXED_FILE;
	return 0;
}

int raw_server_open_style(struct raw_server *server, struct raw_device *device,
			  const struct raw_style *style)
{
	int ret = raw_server_open(server, device, style->ring_flags);

	if (ret)
		return ret;
	server->sqe_flags = style->sqe_flags;
	server->hold_all = style->hold_all;
	server->answer_all = style->answer_all;
	return style->registered_file ? raw_server_register_file(server) : 0;
}

/* Drop everything the server has, in the order an honest exit would. */
void raw_server_close(struct raw_server *server)
{
	unsigned int queue;

	raw_ring_close(&server->ring);
	for (queue = 0; server->descriptors && queue < server->queues; queue++) {
		if (server->descriptors[queue])
			munmap((void *)server->descriptors[queue],
			       map_bytes(server, server->depth));
	}
	free(server->descriptors);
	server->descriptors = NULL;
	free(server->caught);
	server->caught = NULL;
	if (server->buffers)
		munmap(server->buffers,
		       server->queues * server->depth * server->buffer_size);
	server->buffers = NULL;
	if (server->chr >= 0)
		close(server->chr);
	server->chr = -1;
}

void *raw_buffer(struct raw_server *server, unsigned int queue, unsigned int tag)
{
	return server->buffers + ((size_t)queue * server->depth + tag) * server->buffer_size;
}

__u64 raw_address(struct raw_server *server, unsigned int queue, unsigned int tag)
{
	if (!raw_wants_addresses(&server->device->info))
		return 0;
	return (unsigned long)raw_buffer(server, queue, tag);
}

void raw_io_queue(struct raw_server *server, unsigned int op, unsigned int queue,
		  unsigned int tag, int result, __u64 address)
{
	struct ublksrv_io_cmd command = {
		.q_id = queue,
		.tag = tag,
		.result = result,
		.addr = address,
	};
	struct io_uring_sqe *sqe;

	while (!(sqe = raw_ring_sqe(&server->ring)))
		raw_ring_submit(&server->ring, 0);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = server->sqe_flags & IOSQE_FIXED_FILE ? 0 : server->chr;
	sqe->flags = server->sqe_flags;
	sqe->cmd_op = op;
	sqe->addr = server->sqe_addr;
	sqe->user_data = USER_DATA(++server->sequence, queue, tag);
	memcpy(sqe->cmd, &command, sizeof(command));
	server->parked++;
}

int raw_request_bytes(const struct raw_request *request)
{
	switch (ublksrv_get_op(&request->descriptor)) {
	case UBLK_IO_OP_READ:
	case UBLK_IO_OP_WRITE:
		return request->descriptor.nr_sectors << 9;
	default:
		return 0;
	}
}

static bool for_test(const struct raw_server *server, const struct ublksrv_io_desc *descriptor)
{
	__u64 start = descriptor->start_sector << 9;

	if (server->answer_all)
		return false;
	if (server->hold_all)
		return true;
	if (ublksrv_get_op(descriptor) == UBLK_IO_OP_FLUSH)
		return true;
	return start >= RAW_TEST_OFFSET && start < RAW_TEST_OFFSET + RAW_TEST_BYTES;
}

static void deliver(struct raw_server *server, unsigned int queue, unsigned int tag, bool offered)
{
	struct raw_request request = { .queue = queue, .tag = tag };
	unsigned int slot;

	memcpy(&request.descriptor, raw_descriptor(server, queue, tag),
	       sizeof(request.descriptor));
	request.offered = offered;
	if (offered && !server->hold_offers) {
		raw_io_queue(server, UBLK_U_IO_NEED_GET_DATA, queue, tag, 0,
			     (unsigned long)raw_buffer(server, queue, tag));
		return;
	}
	if (!for_test(server, &request.descriptor)) {
		memset(raw_buffer(server, queue, tag), 0, server->buffer_size);
		/* The buffer that the test chose for the tag's next request stays. */
		raw_io_queue(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, queue, tag,
			     raw_request_bytes(&request),
			     request.descriptor.addr ?: raw_address(server, queue, tag));
		return;
	}
	slot = (server->caught_first + server->caught_count++) % (server->queues * server->depth);
	server->caught[slot] = request;
}

static void completed(struct raw_server *server, const struct io_uring_cqe *cqe)
{
	bool probe = server->probe && cqe->user_data >> 32 == server->probe;
	unsigned int queue = cqe->user_data >> 16 & 0xffff;
	unsigned int tag = cqe->user_data & 0xffff;

	server->parked--;
	if (probe) {
		server->probe = 0;
		server->probe_result = cqe->res;
	}
	if ((cqe->res == UBLK_IO_RES_OK || cqe->res == UBLK_IO_RES_NEED_GET_DATA) &&
	    queue < server->queues && tag < server->depth)
		deliver(server, queue, tag, cqe->res == UBLK_IO_RES_NEED_GET_DATA);
	else if (cqe->res == UBLK_IO_RES_ABORT)
		server->aborted++;
	else if (!probe && !server->fault)
		server->fault = cqe->res;
}

/* Submit what is queued and handle every completion; waits for the first. Returns their number. */
int raw_pump(struct raw_server *server, int wait_ms)
{
	struct io_uring_cqe cqe;
	int count = 0;

	raw_ring_submit(&server->ring, wait_ms);
	while (raw_ring_next(&server->ring, &cqe)) {
		completed(server, &cqe);
		count++;
	}
	if (server->ring.unsubmitted)
		raw_ring_submit(&server->ring, 0);
	return count;
}

int raw_io_command(struct raw_server *server, unsigned int op, unsigned int queue,
		   unsigned int tag, int result, __u64 address)
{
	/* A refusal is there when io_uring_enter() returns; one that parks costs this long. */
	long long end = raw_now_ms() + 60;

	raw_io_queue(server, op, queue, tag, result, address);
	server->probe = server->sequence;
	while (server->probe) {
		int left = end - raw_now_ms();

		if (left <= 0)
			break;
		raw_pump(server, left);
	}
	/* The kernel may have had a request for the tag at once. */
	if (!server->probe && server->probe_result != UBLK_IO_RES_OK &&
	    server->probe_result != UBLK_IO_RES_NEED_GET_DATA)
		return server->probe_result;
	server->probe = 0;
	return RAW_PARKED;
}

int raw_fetch(struct raw_server *server, unsigned int queue, unsigned int tag)
{
	return raw_io_command(server, UBLK_U_IO_FETCH_REQ, queue, tag, 0,
			      raw_address(server, queue, tag));
}

void raw_fetch_all(struct raw_server *server)
{
	unsigned int queue, tag;

	for (queue = 0; queue < server->queues; queue++)
		for (tag = 0; tag < server->depth; tag++)
			raw_io_queue(server, UBLK_U_IO_FETCH_REQ, queue, tag, 0,
				     raw_address(server, queue, tag));
}

int raw_serve_control(struct raw_server *server, struct raw_control *control)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	int result = -ETIME;

	while (!raw_control_poll(control, &result)) {
		if (raw_now_ms() > end)
			break;
		raw_pump(server, 5);
	}
	raw_control_end(control);
	return result;
}

int raw_server_go(struct raw_server *server)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(server->device->id);
	struct raw_control control;
	int ret;

	command.data[0] = getpid();
	ret = raw_control_begin(&control, UBLK_U_CMD_START_DEV, &command);
	return ret ? ret : raw_serve_control(server, &control);
}

int raw_server_start(struct raw_server *server)
{
	raw_fetch_all(server);
	raw_pump(server, 0);
	return server->fault ? server->fault : raw_server_go(server);
}

/* Serve until the test has a request: false after the deadline. */
bool raw_catch(struct raw_server *server, struct raw_request *request)
{
	long long end = raw_now_ms() + RAW_DEADLINE;

	while (!server->caught_count) {
		if (raw_now_ms() > end)
			return false;
		raw_pump(server, 50);
	}
	*request = server->caught[server->caught_first];
	server->caught_first = (server->caught_first + 1) % (server->queues * server->depth);
	server->caught_count--;
	return true;
}

/* An honest commit with any result: what raw_io_command() says. */
int raw_commit(struct raw_server *server, const struct raw_request *request, int result)
{
	return raw_io_command(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request->queue, request->tag,
			      result, raw_address(server, request->queue, request->tag));
}

int raw_single_command(int chr, unsigned int op, const struct ublksrv_io_cmd *command,
		       int wait_ms)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe cqe;
	struct raw_ring ring;
	int ret = raw_ring_open(&ring, 4, 0);

	if (ret)
		return ret;
	sqe = raw_ring_sqe(&ring);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = chr;
	sqe->cmd_op = op;
	memcpy(sqe->cmd, command, sizeof(*command));
	ret = raw_ring_wait(&ring, &cqe, wait_ms);
	raw_ring_close(&ring);
	if (ret == -ETIME)
		return RAW_PARKED;
	return ret ? ret : cqe.res;
}
