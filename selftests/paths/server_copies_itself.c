// SPDX-License-Identifier: GPL-2.0-only
/*
 * UBLK_F_USER_COPY: the server moves data with pread() and pwrite() on its device. The right bytes
 * move, from any of its threads; wrong positions, directions and times are refused; nothing that
 * the server left out reaches a reader.
 */
// # timeout: 240
#include <kselftest_harness.h>

#include <sys/mman.h>

#include "raw.h"

#define LENGTH 16384
#define DEPTH 2
#define POISON 0xee

FIXTURE(copy)
{
	struct raw_device device;
	struct raw_server server;
	char *memory;
	char *buffer;
};

FIXTURE_SETUP(copy)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, DEPTH);

	raw_none(&self->device, &self->server);
	self->memory = raw_pages(LENGTH);
	self->buffer = raw_pages(LENGTH + 8192);
	/* GET_DATA is dropped beside it. */
	info.flags = UBLK_F_USER_COPY | UBLK_F_NEED_GET_DATA;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_TRUE(self->device.info.flags & UBLK_F_USER_COPY);
	ASSERT_FALSE(self->device.info.flags & UBLK_F_NEED_GET_DATA);
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
}

FIXTURE_TEARDOWN(copy)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static off_t position(unsigned int queue, unsigned int tag, unsigned int offset)
{
	return UBLKSRV_IO_BUF_OFFSET + ((off_t)queue << UBLK_QID_OFF) +
	       ((off_t)tag << UBLK_TAG_OFF) + offset;
}

static ssize_t get(const struct raw_server *server, const struct raw_request *request, void *to,
		   size_t length, unsigned int offset)
{
	ssize_t got = pread(server->chr, to, length,
			    position(request->queue, request->tag, offset));

	return got < 0 ? -errno : got;
}

static ssize_t put(const struct raw_server *server, const struct raw_request *request,
		   const void *from, size_t length, unsigned int offset)
{
	ssize_t got = pwrite(server->chr, from, length,
			     position(request->queue, request->tag, offset));

	return got < 0 ? -errno : got;
}

static void obtain(struct __test_metadata *_metadata, FIXTURE_DATA(copy) *self, struct raw_io *io,
		   enum raw_io_kind kind, struct raw_request *request)
{
	if (kind == RAW_WRITE)
		raw_fill(self->memory, RAW_TEST_OFFSET, LENGTH);
	else
		memset(self->memory, POISON, LENGTH);
	ASSERT_EQ(0, raw_io_start(io, &self->device, kind, self->memory, LENGTH, RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, request));
	ASSERT_EQ(LENGTH, raw_request_bytes(request));
	EXPECT_EQ(0, request->descriptor.addr);
}

static void finish(struct __test_metadata *_metadata, FIXTURE_DATA(copy) *self, struct raw_io *io,
		   const struct raw_request *request)
{
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, request, LENGTH));
	EXPECT_EQ(LENGTH, raw_io_wait(io, &self->server, RAW_DEADLINE));
}

TEST_F(copy, what_is_written_arrives_in_any_buffer)
{
	static const unsigned int shifts[] = { 0, 1, 3, 511, 4095 };
	struct raw_request request;
	struct raw_io io;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		char *at = self->buffer + 1 + shifts[i];

		memset(self->buffer, POISON, LENGTH + 8192);
		obtain(_metadata, self, &io, RAW_WRITE, &request);
		EXPECT_EQ(LENGTH, get(&self->server, &request, at, LENGTH, 0));
		EXPECT_TRUE(raw_matches(at, RAW_TEST_OFFSET, LENGTH));
		EXPECT_EQ((char)POISON, at[-1]);
		EXPECT_EQ((char)POISON, at[LENGTH]);
		finish(_metadata, self, &io, &request);
	}
}

TEST_F(copy, what_is_read_comes_from_any_buffer)
{
	static const unsigned int shifts[] = { 0, 1, 3, 511, 4095 };
	struct raw_request request;
	struct raw_io io;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		char *at = self->buffer + shifts[i];

		obtain(_metadata, self, &io, RAW_READ, &request);
		raw_fill(at, RAW_TEST_OFFSET, LENGTH);
		EXPECT_EQ(LENGTH, put(&self->server, &request, at, LENGTH, 0));
		finish(_metadata, self, &io, &request);
		EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));
	}
}

/* In pieces of odd lengths, last first. */
TEST_F(copy, a_position_counts_bytes)
{
	struct raw_request request;
	struct raw_io io;
	int offset;

	obtain(_metadata, self, &io, RAW_READ, &request);
	raw_fill(self->buffer, RAW_TEST_OFFSET, LENGTH);
	for (offset = LENGTH - LENGTH % 777; offset >= 0; offset -= 777) {
		int piece = LENGTH - offset < 777 ? LENGTH - offset : 777;

		ASSERT_EQ(piece, put(&self->server, &request, self->buffer + offset, piece,
				     offset));
	}
	finish(_metadata, self, &io, &request);
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));

	obtain(_metadata, self, &io, RAW_WRITE, &request);
	for (offset = 0; offset < LENGTH; offset += 777) {
		int piece = LENGTH - offset < 777 ? LENGTH - offset : 777;

		ASSERT_EQ(piece, get(&self->server, &request, self->buffer + offset, 777, offset));
	}
	EXPECT_TRUE(raw_matches(self->buffer, RAW_TEST_OFFSET, LENGTH));
	finish(_metadata, self, &io, &request);
}

TEST_F(copy, lengths_end_with_the_request)
{
	struct raw_request request;
	struct raw_io io;

	obtain(_metadata, self, &io, RAW_WRITE, &request);
	memset(self->buffer, POISON, LENGTH + 8192);
	EXPECT_EQ(LENGTH, get(&self->server, &request, self->buffer, LENGTH + 4096, 0));
	EXPECT_EQ((char)POISON, self->buffer[LENGTH]);
	EXPECT_EQ(1, get(&self->server, &request, self->buffer, 4096, LENGTH - 1));
	EXPECT_EQ(0, get(&self->server, &request, self->buffer, 4096, LENGTH));
	EXPECT_EQ(-EINVAL, get(&self->server, &request, self->buffer, 4096, LENGTH + 1));
	EXPECT_EQ(-EINVAL, get(&self->server, &request, self->buffer, 1, (1 << 25) - 1));
	EXPECT_EQ(0, get(&self->server, &request, self->buffer, 0, 0));
	finish(_metadata, self, &io, &request);
}

TEST_F(copy, the_direction_is_the_requests)
{
	struct raw_request request;
	struct raw_io io;

	obtain(_metadata, self, &io, RAW_WRITE, &request);
	EXPECT_EQ(-EACCES, put(&self->server, &request, self->buffer, 512, 0));
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));
	finish(_metadata, self, &io, &request);

	obtain(_metadata, self, &io, RAW_READ, &request);
	memset(self->buffer, POISON, 512);
	EXPECT_EQ(-EACCES, get(&self->server, &request, self->buffer, 512, 0));
	EXPECT_EQ((char)POISON, self->buffer[0]);
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, -EIO));
	EXPECT_EQ(-EIO, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

static ssize_t try_at(const struct raw_server *server, void *buffer, off_t at)
{
	ssize_t got = pread(server->chr, buffer, 512, at);

	return got < 0 ? -errno : got;
}

TEST_F(copy, positions_name_a_request)
{
	struct raw_server *server = &self->server;
	struct raw_request request;
	struct raw_io io;
	off_t good;
	unsigned int bit;

	obtain(_metadata, self, &io, RAW_WRITE, &request);
	good = position(0, request.tag, 0);
	EXPECT_EQ(512, try_at(server, self->buffer, good));
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, position(0, request.tag ^ 1, 0)));
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, position(0, DEPTH, 0)));
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, position(0, 0xffff, 0)));
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, position(1, request.tag, 0)));
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, position(4095, request.tag, 0)));
	for (bit = UBLKSRV_IO_BUF_TOTAL_BITS; bit < 63; bit++)
		EXPECT_EQ(-EINVAL, try_at(server, self->buffer, good | 1ULL << bit));
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, 0));
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, UBLKSRV_IO_BUF_OFFSET - 1));
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, INT64_MAX - 511));
	EXPECT_GT(0, try_at(server, self->buffer, -512));
	EXPECT_EQ(-1, read(server->chr, self->buffer, 512));
	finish(_metadata, self, &io, &request);
	EXPECT_EQ(-EINVAL, try_at(server, self->buffer, good));
}

TEST_F(copy, memory_that_is_not_there)
{
	struct raw_request request;
	char *hole = raw_pages(LENGTH);
	struct raw_io io;

	ASSERT_EQ(0, mprotect(hole + 4096, LENGTH - 4096, PROT_NONE));
	obtain(_metadata, self, &io, RAW_WRITE, &request);
	EXPECT_EQ(-EFAULT, get(&self->server, &request, hole + 4096, 512, 0));
	EXPECT_EQ(-EFAULT, get(&self->server, &request, (void *)RAW_KERNEL_ADDRESS, 512, 0));
	EXPECT_EQ(4096, get(&self->server, &request, hole, LENGTH, 0));
	EXPECT_TRUE(raw_matches(hole, RAW_TEST_OFFSET, 4096));
	finish(_metadata, self, &io, &request);
}

/* Commands have no buffer to name: an address is a mistake. */
TEST_F(copy, an_address_is_refused)
{
	struct raw_request request;
	struct raw_io io;

	obtain(_metadata, self, &io, RAW_WRITE, &request);
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0,
					  request.tag, LENGTH, (unsigned long)self->buffer));
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_NEED_GET_DATA, 0, request.tag,
					  0, (unsigned long)self->buffer));
	EXPECT_FALSE(atomic_load(&io.done));
	finish(_metadata, self, &io, &request);
}

TEST_F(copy, a_request_without_data_has_none)
{
	struct raw_request request;
	struct raw_io io;

	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_DISCARD, NULL, 65536, RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_EQ(-EINVAL, get(&self->server, &request, self->buffer, 512, 0));
	EXPECT_EQ(-EINVAL, put(&self->server, &request, self->buffer, 512, 0));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 0));
	EXPECT_EQ(0, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

/* What the pages of the reader held before is not an answer. */
TEST_F(copy, a_server_that_writes_nothing_reads_as_zeroes)
{
	struct raw_request request;
	struct raw_io io;
	int i;

	obtain(_metadata, self, &io, RAW_READ, &request);
	finish(_metadata, self, &io, &request);
	for (i = 0; i < LENGTH; i++)
		ASSERT_EQ(0, self->memory[i]);
}

TEST_F(copy, a_server_that_claims_more_than_it_wrote_fails)
{
	struct raw_request request;
	struct raw_io io;

	obtain(_metadata, self, &io, RAW_READ, &request);
	raw_fill(self->buffer, RAW_TEST_OFFSET, LENGTH);
	EXPECT_EQ(LENGTH - 1, put(&self->server, &request, self->buffer, LENGTH - 1, 0));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH));
	EXPECT_EQ(-EIO, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

/* Only bytes that were written count, and each of them once. */
TEST_F(copy, a_server_that_writes_the_beginning_twice_fails)
{
	struct raw_request request;
	struct raw_io io;

	obtain(_metadata, self, &io, RAW_READ, &request);
	raw_fill(self->buffer, RAW_TEST_OFFSET, LENGTH);
	EXPECT_EQ(LENGTH / 2, put(&self->server, &request, self->buffer, LENGTH / 2, 0));
	EXPECT_EQ(LENGTH / 2, put(&self->server, &request, self->buffer, LENGTH / 2, 0));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH));
	EXPECT_EQ(-EIO, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(copy, a_gap_in_what_was_written_reads_as_zeroes)
{
	const int gap = LENGTH / 2 + 100;
	struct raw_request request;
	struct raw_io io;
	int i;

	obtain(_metadata, self, &io, RAW_READ, &request);
	memset(self->buffer, 1, LENGTH);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(LENGTH - gap,
			  put(&self->server, &request, self->buffer, LENGTH - gap, gap));
	finish(_metadata, self, &io, &request);
	for (i = 0; i < LENGTH; i++)
		ASSERT_EQ(i >= gap, self->memory[i]);
}

/* What was to be written and could not be is not written. */
TEST_F(copy, a_server_whose_memory_ends_has_written_only_so_much)
{
	char *end = self->buffer + LENGTH + 8192, *at = end - 4096;
	struct raw_request request;
	struct raw_io io;

	ASSERT_EQ(0, mprotect(end - 4096, 4096, PROT_NONE));
	at -= LENGTH / 2;
	memset(at, 1, LENGTH / 2);
	obtain(_metadata, self, &io, RAW_READ, &request);
	EXPECT_EQ(LENGTH / 2, put(&self->server, &request, at, LENGTH, 0));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH));
	EXPECT_EQ(-EIO, raw_io_wait(&io, &self->server, RAW_DEADLINE));

	obtain(_metadata, self, &io, RAW_READ, &request);
	EXPECT_EQ(LENGTH / 2, put(&self->server, &request, at, LENGTH, 0));
	EXPECT_EQ(LENGTH / 2, put(&self->server, &request, at, LENGTH / 2, LENGTH / 2));
	finish(_metadata, self, &io, &request);
}

TEST_F(copy, a_short_answer_brings_the_rest_again)
{
	struct raw_request request;
	struct raw_io io;

	raw_fill(self->buffer, RAW_TEST_OFFSET, LENGTH);
	obtain(_metadata, self, &io, RAW_READ, &request);
	EXPECT_EQ(4096, put(&self->server, &request, self->buffer, 4096, 0));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_EQ(LENGTH - 4096, raw_request_bytes(&request));
	EXPECT_EQ(LENGTH - 4096, put(&self->server, &request, self->buffer + 4096, LENGTH, 0));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH - 4096));
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));

	obtain(_metadata, self, &io, RAW_WRITE, &request);
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 511));
	EXPECT_EQ(-EIO, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(copy, another_process_is_not_the_server)
{
	struct raw_request request;
	struct raw_io io;
	pid_t pid;

	obtain(_metadata, self, &io, RAW_WRITE, &request);
	pid = raw_fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(-get(&self->server, &request, self->buffer, 512, 0));
	EXPECT_EQ(EINVAL << 8, raw_reap(pid, RAW_DEADLINE));
	finish(_metadata, self, &io, &request);
}

/* Threads of the server that copy again and again, whatever becomes of the request. */
#define COPIERS 3

struct copier {
	pthread_t thread;
	const struct raw_server *server;
	atomic_bool *stop;
	unsigned long good;
};

static void *copy_for_ever(void *argument)
{
	struct copier *copier = argument;
	struct raw_request request = { .queue = 0 };
	char *buffer = raw_pages(LENGTH);

	while (!atomic_load(copier->stop)) {
		request.tag = (request.tag + 1) % DEPTH;
		copier->good += get(copier->server, &request, buffer, LENGTH, 0) > 0;
		copier->good += put(copier->server, &request, buffer, LENGTH, 0) > 0;
	}
	munmap(buffer, LENGTH);
	return NULL;
}

static void start_copiers(struct __test_metadata *_metadata, const struct raw_server *server,
			  struct copier *copiers, atomic_bool *stop)
{
	unsigned int i;

	for (i = 0; i < COPIERS; i++) {
		copiers[i] = (struct copier) { .server = server, .stop = stop };
		ASSERT_EQ(0, pthread_create(&copiers[i].thread, NULL, copy_for_ever, &copiers[i]));
	}
}

static unsigned long stop_copiers(struct copier *copiers, atomic_bool *stop)
{
	unsigned long good = 0;
	unsigned int i;

	atomic_store(stop, true);
	for (i = 0; i < COPIERS; i++) {
		pthread_join(copiers[i].thread, NULL);
		good += copiers[i].good;
	}
	return good;
}

TEST_F(copy, copies_race_with_commits)
{
	struct copier copiers[COPIERS];
	atomic_bool stop = false;
	struct raw_request request;
	struct raw_io io;
	unsigned int i;

	start_copiers(_metadata, &self->server, copiers, &stop);
	for (i = 0; i < 100; i++) {
		obtain(_metadata, self, &io, i % 2 ? RAW_WRITE : RAW_READ, &request);
		/* a READ may have been written in part by then, which is an error */
		raw_commit(&self->server, &request, LENGTH);
		ASSERT_NE(-ETIME, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	}
	EXPECT_NE(0, stop_copiers(copiers, &stop));
}

TEST_F(copy, copies_race_with_stop)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct copier copiers[COPIERS];
	atomic_bool stop = false;
	struct raw_control control;
	struct raw_request request;
	struct raw_io io;

	start_copiers(_metadata, &self->server, copiers, &stop);
	obtain(_metadata, self, &io, RAW_WRITE, &request);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	raw_pump(&self->server, 50);
	raw_commit(&self->server, &request, LENGTH);
	EXPECT_EQ(0, raw_serve_control(&self->server, &control));
	EXPECT_EQ(LENGTH, raw_io_wait(&io, NULL, RAW_DEADLINE));
	stop_copiers(copiers, &stop);
}

/* A process that serves, copies from threads, and is killed meanwhile. */
static void serve_and_copy(struct __test_metadata *_metadata, struct raw_device *device,
			   struct raw_shared *shared)
{
	struct copier copiers[COPIERS];
	atomic_bool stop = false;
	struct raw_server server;

	if (raw_server_open(&server, device, 0))
		_exit(1);
	raw_fetch_all(&server);
	raw_ring_submit(&server.ring, 0);
	start_copiers(_metadata, &server, copiers, &stop);
	atomic_store(&shared->fetched, 1);
	for (;;) {
		raw_pump(&server, 100);
		atomic_store(&shared->caught, server.caught_count);
	}
}

TEST(death_while_threads_copy)
{
	unsigned int round;

	for (round = 0; round < 8; round++) {
		struct ublksrv_ctrl_dev_info info = raw_info(1, DEPTH);
		struct raw_shared *shared = raw_share();
		char *memory = raw_pages(LENGTH);
		struct raw_device device;
		struct raw_io io;
		pid_t pid;

		info.flags = UBLK_F_USER_COPY;
		ASSERT_EQ(0, raw_add_with(&device, &info));
		pid = raw_fork();
		ASSERT_LE(0, pid);
		if (pid == 0)
			serve_and_copy(_metadata, &device, shared);
		ASSERT_EQ(0, raw_await(&shared->fetched, 1, RAW_DEADLINE));
		ASSERT_EQ(0, raw_start(device.id, pid));
		ASSERT_EQ(0, raw_io_start(&io, &device, round % 2 ? RAW_WRITE : RAW_READ, memory,
					  LENGTH, RAW_TEST_OFFSET));
		ASSERT_EQ(0, raw_await(&shared->caught, 1, RAW_DEADLINE));
		kill(pid, SIGKILL);
		EXPECT_EQ(SIGKILL, raw_reap(pid, RAW_DEADLINE));
		EXPECT_EQ(-EIO, raw_io_wait(&io, NULL, RAW_DEATH_DEADLINE));
		EXPECT_EQ(0, raw_destroy(&device));
		munmap(memory, LENGTH);
	}
}

TEST_HARNESS_MAIN
