// SPDX-License-Identifier: GPL-2.0-only
/*
 * A submission queue entry lies in the server's memory, and the kernel's thread of the ring reads
 * it while another thread changes it. The driver uses one value of each field or the other, never
 * checks one and uses the other.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <fcntl.h>

#include "raw.h"

#define COMMANDS 1000
#define PAGE 4096

/* A ring of one entry, so that the thread that changes it knows where it lies. */
struct changing {
	struct raw_ring ring;
	int fd;
	void *field;		/* in the entry */
	__u16 values[2];
	atomic_bool stop;
	pthread_t thread;
};

static void *change_on(void *argument)
{
	struct changing *self = argument;
	unsigned int i;

	for (i = 0; !atomic_load_explicit(&self->stop, memory_order_relaxed); i++)
		__atomic_store_n((__u16 *)self->field, self->values[i % 2], __ATOMIC_RELAXED);
	return NULL;
}

static void open_changing(struct __test_metadata *_metadata, struct changing *self, int fd,
			  unsigned int ring_flags, size_t field)
{
	struct io_uring_sqe *sqe;

	memset(self, 0, sizeof(*self));
	self->fd = fd;
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, raw_ring_open(&self->ring, 1, IORING_SETUP_SQPOLL | ring_flags));
	sqe = self->ring.sqes;
	self->field = (char *)sqe->cmd + field;
}

static void start_changing(struct __test_metadata *_metadata, struct changing *self, __u16 one,
			   __u16 other)
{
	self->values[0] = one;
	self->values[1] = other;
	atomic_store(&self->stop, false);
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, change_on, self));
}

static void stop_changing(struct changing *self)
{
	atomic_store(&self->stop, true);
	pthread_join(self->thread, NULL);
}

/* One command; what the field of the payload holds is up to the other thread. */
static int send_changing(struct changing *self, unsigned int op, const void *payload, size_t size)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe cqe;
	int ret;

	/* the kernel's thread may not have taken the last one yet */
	while (!(sqe = raw_ring_sqe(&self->ring)))
		raw_ring_submit(&self->ring, 0);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = self->fd;
	sqe->cmd_op = op;
	memcpy(sqe->cmd, payload, size);
	ret = raw_ring_wait(&self->ring, &cqe, RAW_DEADLINE);
	return ret ? ret : cqe.res;
}

FIXTURE(change)
{
	struct raw_device device;
	struct raw_server server;
	struct changing commands;
	char *buffer;	/* what follows it nobody can touch */
	int fd;
};

FIXTURE_SETUP(change)
{
	char *pages = raw_pages(2 * PAGE);

	raw_none(&self->device, &self->server);
	self->commands.ring.fd = -1;
	ASSERT_EQ(0, raw_add(&self->device, 1, 4));
	ASSERT_EQ(0, mprotect(pages + PAGE, PAGE, PROT_NONE));
	self->buffer = pages;
	self->fd = open("/dev/ublk-control", O_RDWR);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(change)
{
	raw_ring_close(&self->commands.ring);
	close(self->fd);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

/*
 * Each command is one of two. It goes on until both have come up, which is left to the scheduler
 * and to the test's deadline.
 */
static void send_all(struct __test_metadata *_metadata, struct changing *commands,
		     unsigned int op, const void *payload, size_t size, const int results[2])
{
	unsigned int i, seen[2] = { 0 };

	for (i = 0; i < COMMANDS || !seen[0] || !seen[1]; i++) {
		int ret = send_changing(commands, op, payload, size);

		ASSERT_TRUE(ret == results[0] || ret == results[1]) {
			TH_LOG("command %u ended with %d", i, ret);
		}
		seen[ret == results[1]]++;
	}
}

/* Such a command runs in the thread that reads the entry, without a copy of io_uring's. */
static void control_changing(struct __test_metadata *_metadata, FIXTURE_DATA(change) *self,
			     unsigned int op, __u16 length, size_t field, __u16 one, __u16 other,
			     int refusal)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	const int results[2] = { 0, refusal };

	command.addr = (unsigned long)self->buffer + PAGE - length;
	command.len = length;
	open_changing(_metadata, &self->commands, self->fd, IORING_SETUP_SQE128, field);
	start_changing(_metadata, &self->commands, one, other);
	send_all(_metadata, &self->commands, op, &command, sizeof(command), results);
	stop_changing(&self->commands);
}

TEST_F_TIMEOUT(change, length_of_a_mask, 60)
{
	control_changing(_metadata, self, UBLK_U_CMD_GET_QUEUE_AFFINITY, 512,
			 offsetof(struct ublksrv_ctrl_cmd, len), 512, 0, -EINVAL);
}

TEST_F_TIMEOUT(change, length_of_an_answer, 60)
{
	const __u16 length = sizeof(struct ublksrv_ctrl_dev_info);

	control_changing(_metadata, self, UBLK_U_CMD_GET_DEV_INFO, length,
			 offsetof(struct ublksrv_ctrl_cmd, len), length, 0, -EINVAL);
}

TEST_F_TIMEOUT(change, name_of_a_device, 60)
{
	control_changing(_metadata, self, UBLK_U_CMD_GET_DEV_INFO,
			 sizeof(struct ublksrv_ctrl_dev_info),
			 offsetof(struct ublksrv_ctrl_cmd, dev_id), self->device.id, 0xfffe,
			 -ENODEV);
}

/* A tag that is there has been fetched; one that is not is neither fetched nor looked at. */
static void fetch_changing(struct __test_metadata *_metadata, FIXTURE_DATA(change) *self,
			   size_t field)
{
	struct ublksrv_io_cmd command = { .addr = (unsigned long)self->buffer };
	const int results[2] = { -EBUSY, -EINVAL };

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	raw_fetch_all(&self->server);
	raw_pump(&self->server, 0);
	open_changing(_metadata, &self->commands, self->server.chr, 0, field);
	start_changing(_metadata, &self->commands, 0, 0xffff);
	send_all(_metadata, &self->commands, UBLK_U_IO_FETCH_REQ, &command, sizeof(command),
		 results);
	stop_changing(&self->commands);
	EXPECT_EQ(0, raw_server_go(&self->server));
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, self->server.aborted);
}

TEST_F_TIMEOUT(change, tag_of_a_fetch, 60)
{
	fetch_changing(_metadata, self, offsetof(struct ublksrv_io_cmd, tag));
}

TEST_F_TIMEOUT(change, queue_of_a_fetch, 60)
{
	fetch_changing(_metadata, self, offsetof(struct ublksrv_io_cmd, q_id));
}

TEST_HARNESS_MAIN
