// SPDX-License-Identifier: GPL-2.0-only
/*
 * UBLK_F_SHMEM_ZC: a request that is copied, and is taken back while its copy waits for memory, has
 * nothing to do with the shared memory that the last request of its tag lay in. What is in use there
 * stays, and what was given up is not touched any more.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "raw_batch.h"

#define BYTES 4096
#define SHARED (1 << 20)
#define A_WHILE 300	/* milliseconds; what could end at once has ended then */

struct hole {
	char *memory;
	int fd;
	struct raw_shared *shared;
};

/* Somebody touches the hole, and waits from then on. */
static void *watch(void *argument)
{
	struct hole *hole = argument;
	struct uffd_msg message;

	while (read(hole->fd, &message, sizeof(message)) == sizeof(message))
		atomic_fetch_add(&hole->shared->caught, 1);
	return NULL;
}

static void make_hole(struct hole *hole, struct raw_shared *shared)
{
	pthread_t thread;

	hole->shared = shared;
	hole->memory = raw_pages(BYTES);
	hole->fd = raw_no_pages(hole->memory, BYTES);
	if (hole->fd < 0 || pthread_create(&thread, NULL, watch, hole))
		_exit(1);
}

static int reg(int id, const void *memory)
{
	struct ublk_shmem_buf_reg buffer = { .addr = (unsigned long)memory, .len = SHARED };
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.addr = (unsigned long)&buffer;
	command.len = sizeof(buffer);
	return raw_control(UBLK_U_CMD_REG_BUF, &command);
}

static struct ublksrv_ctrl_cmd unreg_command(int id, int index)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.data[0] = index;
	return command;
}

/* Mapped by the server that registers it, and by whoever writes from it. */
static char *shared_memory(void)
{
	int fd = syscall(__NR_memfd_create, "shared", 0);
	char *memory;

	if (fd < 0 || ftruncate(fd, SHARED))
		return NULL;
	memory = mmap(NULL, SHARED, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory == MAP_FAILED)
		return NULL;
	memset(memory, 1, SHARED);
	return memory;
}

/*
 * --- A server of two tasks: one dies while it copies, the other one lives on with its request. ---
 *
 * The first is a child process, which has its own memory and its own io_uring, and tag 0.
 */

/* One request after the other, answered when it is told to; it knows nothing of them but the tag. */
static void serve_tag(int chr, struct raw_shared *shared, __u64 flags)
{
	struct ublksrv_io_cmd command = { .result = BYTES };
	unsigned int op = UBLK_U_IO_FETCH_REQ;
	struct io_uring_cqe cqe;
	struct raw_ring ring;
	struct hole hole;

	make_hole(&hole, shared);
	command.addr = (unsigned long)hole.memory;
	if (raw_ring_open(&ring, 4, 0))
		_exit(1);
	for (;;) {
		struct io_uring_sqe *sqe = raw_ring_sqe(&ring);

		sqe->opcode = IORING_OP_URING_CMD;
		sqe->fd = chr;
		sqe->cmd_op = op;
		memcpy(sqe->cmd, &command, sizeof(command));
		raw_ring_submit(&ring, 0);
		atomic_fetch_add(&shared->fetched, 1);
		while (raw_ring_wait(&ring, &cqe, 1000) == -ETIME)
			;
		if (cqe.res == UBLK_IO_RES_NEED_GET_DATA && (flags & UBLK_F_NEED_GET_DATA)) {
			op = UBLK_U_IO_NEED_GET_DATA;
			continue;
		}
		if (cqe.res != UBLK_IO_RES_OK || raw_await(&shared->go, 1, RAW_DEADLINE))
			_exit(1);
		op = UBLK_U_IO_COMMIT_AND_FETCH_REQ;
	}
}

FIXTURE(two_tasks)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_shared *shared;
	char *memory;
	pid_t pid;
	int index;
};

FIXTURE_VARIANT(two_tasks)
{
	__u64 flags;
};

FIXTURE_VARIANT_ADD(two_tasks, plain) { .flags = 0 };
FIXTURE_VARIANT_ADD(two_tasks, beside_get_data) { .flags = UBLK_F_NEED_GET_DATA };

FIXTURE_SETUP(two_tasks)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 2);

	raw_none(&self->device, &self->server);
	info.flags = UBLK_F_SHMEM_ZC | UBLK_F_NO_AUTO_PART_SCAN | variant->flags;
	self->shared = raw_share();
	self->memory = shared_memory();
	ASSERT_NE(NULL, self->memory);
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_TRUE(self->device.info.flags & UBLK_F_SHMEM_ZC);
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	self->pid = raw_fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		serve_tag(self->server.chr, self->shared, variant->flags);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(RAW_PARKED, raw_fetch(&self->server, 0, 1));
	ASSERT_EQ(0, raw_server_go(&self->server));
	self->index = reg(self->device.id, self->memory);
	ASSERT_EQ(0, self->index);
}

FIXTURE_TEARDOWN(two_tasks)
{
	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	}
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
	munmap(self->memory, SHARED);
}

static int write_from(struct raw_io *io, const struct raw_device *device, char *memory,
		      unsigned int place)
{
	return raw_io_start(io, device, RAW_WRITE, memory, BYTES, RAW_TEST_OFFSET + place * BYTES);
}

/* Of two writes from the shared memory each task has one; the child ends its own. */
static struct raw_io *share_tags(struct __test_metadata *_metadata, FIXTURE_DATA(two_tasks) *self,
				 struct raw_io *io, struct raw_request *request)
{
	unsigned int ours;

	ASSERT_EQ(0, write_from(&io[0], &self->device, self->memory, 0));
	ASSERT_EQ(0, write_from(&io[1], &self->device, self->memory + BYTES, 1));
	ASSERT_TRUE(raw_catch(&self->server, request));
	ASSERT_TRUE(request->descriptor.op_flags & UBLK_IO_F_SHMEM_ZC);
	ours = request->descriptor.addr == ublk_shmem_zc_addr(self->index, BYTES);
	atomic_store(&self->shared->go, 1);
	EXPECT_EQ(BYTES, raw_io_wait(&io[!ours], &self->server, RAW_DEADLINE));
	return &io[ours];
}

TEST_F(two_tasks, what_the_living_one_has_stays_in_use)
{
	struct ublksrv_ctrl_cmd command = unreg_command(self->device.id, self->index);
	struct raw_io io[2], copied, *ours;
	struct raw_control control;
	struct raw_request request;
	ssize_t ret;

	ours = share_tags(_metadata, self, io, &request);
	/* It comes to the tag that is free. */
	ASSERT_EQ(0, write_from(&copied, &self->device, raw_pages(BYTES), 2));
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	ret = raw_io_wait(&copied, &self->server, RAW_DEATH_DEADLINE);
	EXPECT_EQ(-EIO, ret);
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;

	/* The memory cannot go while a request is inside. */
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_UNREG_BUF, &command));
	ASSERT_EQ(-ETIME, raw_control_wait(&control, A_WHILE));
	raw_commit(&self->server, &request, BYTES);
	EXPECT_EQ(BYTES, raw_io_wait(ours, &self->server, RAW_DEADLINE));
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
}

/* --- A server that dies as a whole, when the shared memory has been given up --- */

static void serve_alone(struct raw_device *device, struct raw_shared *shared)
{
	struct raw_server server;
	struct raw_request request;
	struct hole hole;

	make_hole(&hole, shared);
	if (raw_server_open(&server, device, 0))
		_exit(1);
	server.hold_all = true;
	raw_io_queue(&server, UBLK_U_IO_FETCH_REQ, 0, 0, 0, (unsigned long)hole.memory);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&shared->fetched, 1);
	while (raw_catch(&server, &request)) {
		if (raw_await(&shared->go, 1, RAW_DEADLINE))
			_exit(1);
		raw_io_queue(&server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, 0, BYTES,
			     (unsigned long)hole.memory);
		raw_ring_submit(&server.ring, 0);
	}
	_exit(1);
}

static void serve_batches(struct raw_device *device, struct raw_shared *shared)
{
	struct batch_server server;
	struct hole hole;

	make_hole(&hole, shared);
	if (batch_open(&server, device))
		_exit(1);
	server.buffers = hole.memory;
	if (batch_prep(&server, 0, 1))
		_exit(1);
	batch_keep_fetching(&server);
	atomic_store(&shared->fetched, 1);
	if (raw_await(&shared->go, 1, RAW_DEADLINE))
		_exit(1);
	for (;;)
		batch_serve(&server, 1000);
}

FIXTURE(alone)
{
	struct raw_device device;
	struct raw_shared *shared;
	char *memory;
	pid_t pid;
};

FIXTURE_VARIANT(alone)
{
	__u64 flags;
	void (*serve)(struct raw_device *device, struct raw_shared *shared);
};

FIXTURE_VARIANT_ADD(alone, plain) { .serve = serve_alone };
FIXTURE_VARIANT_ADD(alone, in_batches) { .serve = serve_batches, .flags = UBLK_F_BATCH_IO };

FIXTURE_SETUP(alone)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);

	raw_none(&self->device, NULL);
	self->pid = -1;
	info.flags = UBLK_F_SHMEM_ZC | UBLK_F_NO_AUTO_PART_SCAN | variant->flags;
	info.max_io_buf_bytes = BYTES;
	self->shared = raw_share();
	self->memory = shared_memory();
	ASSERT_NE(NULL, self->memory);
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	/* Other tests skip where there are no batches. */
	if ((self->device.info.flags & variant->flags) != variant->flags)
		return;
	self->pid = raw_fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		variant->serve(&self->device, self->shared);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->device.id, self->pid));
}

FIXTURE_TEARDOWN(alone)
{
	EXPECT_EQ(0, raw_kill(&self->device, self->pid));
	munmap(self->memory, SHARED);
}

/* If it is touched, the kernel's own count of its users says so, and ends the guest. */
TEST_F(alone, what_was_given_up_is_left_alone)
{
	struct ublksrv_ctrl_cmd command = unreg_command(self->device.id, 0);
	struct raw_io shared, copied;
	ssize_t ret;

	if (self->pid < 0)
		return;
	ASSERT_EQ(0, reg(self->device.id, self->memory));
	ASSERT_EQ(0, write_from(&shared, &self->device, self->memory, 0));
	atomic_store(&self->shared->go, 1);
	EXPECT_EQ(BYTES, raw_io_wait(&shared, NULL, RAW_DEADLINE));
	ASSERT_EQ(0, raw_control(UBLK_U_CMD_UNREG_BUF, &command));

	ASSERT_EQ(0, write_from(&copied, &self->device, raw_pages(BYTES), 1));
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	ret = raw_io_wait(&copied, NULL, RAW_DEATH_DEADLINE);
	EXPECT_EQ(-EIO, ret);
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

TEST_HARNESS_MAIN
