// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory whose page faults are never answered (userfaultfd) holds up whoever touches it, but a
 * process that is killed dies, and the I/O of its disk ends.
 */
// # timeout: 180
#include <kselftest_harness.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "raw.h"

#define DEPTH 4
#define BYTES 4096
#define ASKERS 32	/* commands at once */
#define KILLS 100

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

struct faults {
	int fd;
	struct raw_shared *shared;
};

/* Tells of the faults, and answers none. */
static void *watch(void *argument)
{
	struct faults *faults = argument;
	struct uffd_msg message;

	while (read(faults->fd, &message, sizeof(message)) == sizeof(message))
		atomic_fetch_add(&faults->shared->caught, 1);
	return NULL;
}

static void serve_without_memory(struct raw_device *device, struct raw_shared *shared,
				 unsigned int ring_flags)
{
	char *memory = raw_pages(DEPTH * BYTES);
	struct faults faults = { raw_no_pages(memory, DEPTH * BYTES), shared };
	struct raw_server server;
	pthread_t thread;
	unsigned int tag;

	if (faults.fd < 0 || pthread_create(&thread, NULL, watch, &faults) ||
	    raw_server_open(&server, device, ring_flags))
		_exit(1);
	server.hold_all = true;
	for (tag = 0; tag < DEPTH; tag++)
		raw_io_queue(&server, UBLK_U_IO_FETCH_REQ, 0, tag, 0,
			     (unsigned long)memory + tag * BYTES);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&shared->fetched, server.parked);
	for (;;)
		raw_pump(&server, 1000);
}

FIXTURE(server)
{
	struct raw_device device;
	struct raw_shared *shared;
	struct raw_io io[2];
	pid_t pid;
};

FIXTURE_VARIANT(server)
{
	unsigned int ring_flags;
};

FIXTURE_VARIANT_ADD(server, plain) { .ring_flags = 0 };
FIXTURE_VARIANT_ADD(server, sqpoll) { .ring_flags = IORING_SETUP_SQPOLL };
FIXTURE_VARIANT_ADD(server, defer) {
	.ring_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
};

FIXTURE_SETUP(server)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, DEPTH);

	raw_none(&self->device, NULL);
	info.flags = UBLK_F_NO_AUTO_PART_SCAN;
	self->shared = raw_share();
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	self->pid = raw_fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		serve_without_memory(&self->device, self->shared, variant->ring_flags);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, DEPTH, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->device.id, self->pid));
}

FIXTURE_TEARDOWN(server)
{
	EXPECT_EQ(0, raw_kill(&self->device, self->pid));
}

/* How many WRITEs the driver has. */
static unsigned int writes_under_way(const struct raw_device *device)
{
	unsigned int reads, writes = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/inflight", device->id);
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%u %u", &reads, &writes) != 2)
			writes = 0;
		fclose(file);
	}
	return writes;
}

static void write_one(struct __test_metadata *_metadata, FIXTURE_DATA(server) *self, unsigned int i)
{
	long long end = raw_now_ms() + RAW_DEADLINE;

	ASSERT_EQ(0, raw_io_start(&self->io[i], &self->device, RAW_WRITE, raw_pages(BYTES), BYTES,
				  RAW_TEST_OFFSET + i * 65536));
	while (writes_under_way(&self->device) < i + 1 && raw_now_ms() < end)
		raw_pause();
	ASSERT_EQ(i + 1, writes_under_way(&self->device));
}

static void expect_end(struct __test_metadata *_metadata, FIXTURE_DATA(server) *self,
		       unsigned int count)
{
	unsigned int i;

	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	for (i = 0; i < count; i++) {
		ssize_t ret = raw_io_wait(&self->io[i], NULL, RAW_DEATH_DEADLINE);

		EXPECT_TRUE(ret < 0 && ret != -ETIME) {
			TH_LOG("write %u returned %zd", i, ret);
		}
	}
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

TEST_F(server, killed_while_it_takes_a_write)
{
	write_one(_metadata, self, 0);
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	expect_end(_metadata, self, 1);
}

/* The second one comes to a task that no signal can wake any more, for it has got the last. */
TEST_F(server, killed_with_another_write_on_its_way)
{
	write_one(_metadata, self, 0);
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	write_one(_metadata, self, 1);
	expect_end(_metadata, self, 2);
}

static void ask(struct raw_ring *ring, int control, int id, const void *memory)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(ring);
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.addr = (unsigned long)memory;
	command.len = sizeof(struct ublk_params);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = control;
	sqe->cmd_op = UBLK_U_CMD_GET_PARAMS;
	memcpy(sqe->cmd, &command, sizeof(command));
}

/* First some commands that end, so that there are worker threads with nothing to do. */
static void ask_without_memory(int id, struct raw_shared *shared)
{
	struct ublk_params params[ASKERS] = { 0 };
	char *memory = raw_pages(BYTES);
	int control = open("/dev/ublk-control", O_RDWR);
	struct io_uring_cqe cqe;
	struct raw_ring ring;
	unsigned int i;

	if (raw_no_pages(memory, BYTES) < 0 || control < 0 ||
	    raw_ring_open(&ring, ASKERS, IORING_SETUP_SQE128))
		_exit(1);
	for (i = 0; i < ASKERS / 4; i++) {
		params[i].len = sizeof(params[i]);
		ask(&ring, control, id, &params[i]);
	}
	for (i = 0; i < ASKERS / 4; i++)
		if (raw_ring_wait(&ring, &cqe, RAW_DEADLINE) || cqe.res)
			_exit(1);
	for (i = 0; i < ASKERS; i++)
		ask(&ring, control, id, memory);
	atomic_fetch_add(&shared->go, 1);
	raw_ring_submit(&ring, 0);
	for (;;)
		pause();
}

FIXTURE(client)
{
	struct raw_device device;
	struct raw_shared *shared;
};

FIXTURE_SETUP(client)
{
	raw_none(&self->device, NULL);
	self->shared = raw_share();
	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
}

FIXTURE_TEARDOWN(client)
{
	EXPECT_EQ(0, raw_destroy(&self->device));
}

/* At any point of the submission: there is work that no worker thread has begun with. */
TEST_F_TIMEOUT(client, killed_while_it_asks, 120)
{
	unsigned int i;
	pid_t pid;

	for (i = 0; i < KILLS; i++) {
		pid = raw_fork();
		ASSERT_LE(0, pid);
		if (!pid)
			ask_without_memory(self->device.id, self->shared);
		ASSERT_EQ(0, raw_await(&self->shared->go, i + 1, RAW_DEADLINE));
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(SIGKILL, raw_reap(pid, RAW_DEATH_DEADLINE));
	}
}

TEST_HARNESS_MAIN
