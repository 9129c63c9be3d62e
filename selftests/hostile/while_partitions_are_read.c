// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whoever reads the partition table holds a lock of the disk's and waits for the server. Nothing
 * that the server does meanwhile may wait for that lock, or for the reader.
 */
// # timeout: 150
#include <kselftest_harness.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <linux/aio_abi.h>
#include <linux/fs.h>

#include "raw.h"

#define LENGTH 4096
#define DEPTH 8

/* What the server's process is told by the test, one after the other. */
enum step {
	HOLD = 0,		/* every request */
	ANSWER_USER = 1,	/* what the user of the disk reads */
	ANSWER_ALL = 2,
};

FIXTURE(scan)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_shared *shared;	/* child: steps that are done */
	pthread_t reader;
	pid_t pid;
	int disk;			/* open for the reader of partitions */
	atomic_int read;		/* 1: it has read them, else -errno */
};

FIXTURE_SETUP(scan)
{
	raw_none(&self->device, &self->server);
	self->pid = -1;
	self->disk = -1;
	self->shared = raw_share();
	ASSERT_NE(NULL, self->shared);
}

FIXTURE_TEARDOWN(scan)
{
	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	}
	if (self->disk >= 0)
		close(self->disk);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static void add(struct __test_metadata *_metadata, FIXTURE_DATA(scan) *self, __u64 features)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, DEPTH);

	info.flags = features;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
}

static void answer(struct raw_server *server, const struct raw_request *request)
{
	memset(raw_buffer(server, 0, request->tag), 0, server->buffer_size);
	raw_commit(server, request, raw_request_bytes(request));
}

/* Answers what it may and returns how many requests are left. */
static unsigned int answer_some(struct raw_server *server, struct raw_request *requests,
				unsigned int count, int step)
{
	unsigned int i, left = 0;

	for (i = 0; i < count; i++) {
		bool users = requests[i].descriptor.start_sector == RAW_TEST_OFFSET >> 9;

		if (step == ANSWER_ALL || (step == ANSWER_USER && users))
			answer(server, &requests[i]);
		else
			requests[left++] = requests[i];
	}
	return left;
}

static void __attribute__((noreturn)) serve_in_steps(FIXTURE_DATA(scan) *self)
{
	struct raw_request requests[DEPTH];
	struct raw_server server;
	unsigned int count = 0;

	if (raw_server_open(&server, &self->device, 0))
		_exit(1);
	server.hold_all = true;
	raw_fetch_all(&server);
	raw_pump(&server, 0);
	atomic_store(&self->shared->fetched, 1);
	for (;;) {
		int step = atomic_load(&self->shared->go);

		raw_pump(&server, 20);
		while (server.caught_count && raw_catch(&server, &requests[count])) {
			count++;
			atomic_fetch_add(&self->shared->caught, 1);
		}
		count = answer_some(&server, requests, count, step);
		atomic_store(&self->shared->child, step);
	}
}

static void *read_partitions(void *argument)
{
	FIXTURE_DATA(scan) *self = argument;

	atomic_store(&self->read, ioctl(self->disk, BLKRRPART) ? -errno : 1);
	return NULL;
}

/* An asynchronous read holds the file that it was begun on, even if nobody else does any more. */
static void read_and_close(struct __test_metadata *_metadata, FIXTURE_DATA(scan) *self)
{
	int fd = raw_open_block(self->device.id, O_RDONLY | O_DIRECT);
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = fd,
		.aio_buf = (unsigned long)raw_pages(LENGTH),
		.aio_nbytes = LENGTH,
		.aio_offset = RAW_TEST_OFFSET,
	};
	struct iocb *list[] = { &iocb };
	aio_context_t context = 0;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, syscall(__NR_io_setup, 1, &context));
	ASSERT_EQ(1, syscall(__NR_io_submit, context, 1, list));
	close(fd);
}

TEST_F(scan, the_last_user_goes_with_an_answer)
{
	add(_metadata, self, UBLK_F_NO_AUTO_PART_SCAN);
	self->pid = raw_fork();
	if (self->pid == 0)
		serve_in_steps(self);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->device.id, self->pid));

	read_and_close(_metadata, self);
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	self->disk = raw_open_block(self->device.id, O_RDONLY);
	ASSERT_LE(0, self->disk);
	ASSERT_EQ(0, pthread_create(&self->reader, NULL, read_partitions, self));
	ASSERT_EQ(0, raw_await(&self->shared->caught, 2, RAW_DEADLINE));

	/* with the answer goes the file, which wants the lock that the reader holds */
	atomic_store(&self->shared->go, ANSWER_USER);
	EXPECT_EQ(0, raw_await(&self->shared->child, ANSWER_USER, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, atomic_load(&self->read));
	atomic_store(&self->shared->go, ANSWER_ALL);
	EXPECT_EQ(0, raw_await(&self->read, 1, RAW_DEADLINE));
	pthread_join(self->reader, NULL);
}

TEST_F(scan, the_server_starts_the_disk_from_its_only_thread)
{
	struct raw_request request;

	add(_metadata, self, 0);
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	self->server.hold_all = true;
	raw_fetch_all(&self->server);
	raw_pump(&self->server, 0);
	/* nobody serves while this waits */
	ASSERT_EQ(0, raw_start(self->device.id, getpid()));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_EQ(0, request.descriptor.start_sector);
	answer(&self->server, &request);
	self->server.hold_all = false;
	EXPECT_EQ(0, self->server.fault);
}

TEST_F(scan, the_disk_is_stopped)
{
	struct raw_control control;
	struct raw_request request;
	struct ublksrv_ctrl_cmd command;

	add(_metadata, self, 0);
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	self->server.hold_all = true;
	ASSERT_EQ(0, raw_server_start(&self->server));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	command = raw_command_for(self->device.id);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	self->server.hold_all = false;
	answer(&self->server, &request);
	EXPECT_EQ(0, raw_serve_control(&self->server, &control));
	EXPECT_EQ(0, self->server.fault);
}

TEST_HARNESS_MAIN
