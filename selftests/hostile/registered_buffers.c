// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests whose pages stand in a ring's buffer table: a request ends when everybody has let go of
 * it, whoever put it there, in whatever order, and whether or not its server is still there.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "raw.h"

#define TABLE 4
#define BYTES 4096

/* How long to watch that something does not happen, in milliseconds. */
#define WHILE 200

static int make_table(struct raw_ring *ring)
{
	struct io_uring_rsrc_register table = { .nr = TABLE, .flags = IORING_RSRC_REGISTER_SPARSE };

	return syscall(__NR_io_uring_register, ring->fd, IORING_REGISTER_BUFFERS2, &table,
		       sizeof(table)) ? -errno : 0;
}

FIXTURE(buffer)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_request request;
	struct raw_ring ring;	/* not the one that serves */
	struct raw_io io;
};

FIXTURE_VARIANT(buffer)
{
	__u64 features;
};

FIXTURE_VARIANT_ADD(buffer, by_command)
{
	.features = UBLK_F_SUPPORT_ZERO_COPY,
};

FIXTURE_VARIANT_ADD(buffer, by_command_or_copy)
{
	.features = UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_USER_COPY,
};

/* A device whose server holds one READ. */
FIXTURE_SETUP(buffer)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	self->ring.fd = -1;
	raw_none(&self->device, &self->server);
	info.flags = variant->features;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, make_table(&self->server.ring));
	ASSERT_EQ(0, raw_ring_open(&self->ring, 8, 0));
	ASSERT_EQ(0, make_table(&self->ring));
	ASSERT_EQ(0, raw_server_start(&self->server));
	ASSERT_EQ(0, raw_io_start(&self->io, &self->device, RAW_READ, raw_pages(BYTES), BYTES,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &self->request));
}

FIXTURE_TEARDOWN(buffer)
{
	raw_ring_close(&self->ring);
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

/* A command of the server on any ring, from the calling thread. */
static int command_on(struct raw_ring *ring, int chr, unsigned int op, unsigned int tag, __u64 index)
{
	struct ublksrv_io_cmd command = { .tag = tag, .addr = index };
	struct io_uring_sqe *sqe = raw_ring_sqe(ring);
	struct io_uring_cqe cqe;
	int ret;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = chr;
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &command, sizeof(command));
	ret = raw_ring_wait(ring, &cqe, RAW_DEADLINE);
	return ret ? ret : cqe.res;
}

#define put(tag, index) \
	command_on(&self->ring, self->server.chr, UBLK_U_IO_REGISTER_IO_BUF, tag, index)
#define drop(index) \
	command_on(&self->ring, self->server.chr, UBLK_U_IO_UNREGISTER_IO_BUF, 0, index)

/* Read a file with the disk's contents into the registered pages. */
static int read_into_buffer(struct raw_ring *ring, unsigned int index)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(ring);
	int file = memfd_create("contents", 0);
	char *bytes = raw_pages(BYTES);
	struct io_uring_cqe cqe;
	int ret;

	raw_fill(bytes, RAW_TEST_OFFSET, BYTES);
	if (file < 0 || pwrite(file, bytes, BYTES, 0) != BYTES)
		return -EIO;
	sqe->opcode = IORING_OP_READ_FIXED;
	sqe->fd = file;
	sqe->len = BYTES;
	sqe->buf_index = index;
	ret = raw_ring_wait(ring, &cqe, RAW_DEADLINE);
	close(file);
	return ret ? ret : cqe.res;
}

/* The I/O does not end for a while. */
static bool stays(struct raw_io *io, struct raw_server *server)
{
	long long end = raw_now_ms() + WHILE;

	while (raw_now_ms() < end) {
		if (server)
			raw_pump(server, 5);
		else
			raw_pause();
	}
	return !atomic_load(&io->done);
}

TEST_F(buffer, data_go_straight_to_the_request)
{
	ASSERT_EQ(0, put(self->request.tag, 1));
	ASSERT_EQ(BYTES, read_into_buffer(&self->ring, 1));
	ASSERT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, BYTES));
	EXPECT_TRUE(stays(&self->io, &self->server));
	ASSERT_EQ(0, drop(1));
	EXPECT_EQ(BYTES, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->io.buffer, RAW_TEST_OFFSET, BYTES));
}

TEST_F(buffer, every_registration_counts)
{
	ASSERT_EQ(0, put(self->request.tag, 0));
	EXPECT_EQ(-EBUSY, put(self->request.tag, 0));
	ASSERT_EQ(0, put(self->request.tag, 3));
	ASSERT_EQ(BYTES, read_into_buffer(&self->ring, 3));
	ASSERT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, BYTES));
	ASSERT_EQ(0, drop(0));
	EXPECT_TRUE(stays(&self->io, &self->server));
	ASSERT_EQ(0, drop(3));
	EXPECT_EQ(-EINVAL, drop(3));
	EXPECT_EQ(BYTES, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->io.buffer, RAW_TEST_OFFSET, BYTES));
}

TEST_F(buffer, places_that_do_not_exist_are_refused)
{
	EXPECT_EQ(-EINVAL, put(self->request.tag, TABLE));
	EXPECT_EQ(-EINVAL, put(self->request.tag, ~0U));
	EXPECT_EQ(-EINVAL, put(self->request.tag, 1ULL << 32));
	EXPECT_EQ(-EINVAL, put(self->request.tag, ~0ULL));
	EXPECT_EQ(-EINVAL, drop(TABLE));
	EXPECT_EQ(-EINVAL, drop(1ULL << 32));
	EXPECT_EQ(-EINVAL, drop(0));
	EXPECT_EQ(-EINVAL, put(4, 0));
	EXPECT_EQ(-EINVAL, put(0xffff, 0));
	ASSERT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, -EIO));
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
}

TEST_F(buffer, only_requests_the_server_has_are_registered)
{
	unsigned int tag;

	for (tag = 0; tag < 4; tag++)
		if (tag != self->request.tag)
			EXPECT_EQ(-EINVAL, put(tag, 0));
	ASSERT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, -EIO));
	EXPECT_EQ(-EINVAL, put(self->request.tag, 0));
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));

	/* A flush has no data. */
	ASSERT_EQ(0, raw_io_start(&self->io, &self->device, RAW_SYNC, NULL, 0, 0));
	ASSERT_TRUE(raw_catch(&self->server, &self->request));
	EXPECT_EQ(-EINVAL, put(self->request.tag, 0));
	ASSERT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, 0));
	EXPECT_EQ(0, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
}

TEST_F(buffer, closing_the_ring_lets_go)
{
	ASSERT_EQ(0, put(self->request.tag, 2));
	ASSERT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, -ENOSPC));
	EXPECT_TRUE(stays(&self->io, &self->server));
	raw_ring_close(&self->ring);
	EXPECT_EQ(-ENOSPC, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
}

TEST_F(buffer, outlives_the_server)
{
	ASSERT_EQ(0, put(self->request.tag, 0));
	raw_server_close(&self->server);
	EXPECT_TRUE(stays(&self->io, NULL));
	/* The pages are still those of the request. */
	EXPECT_EQ(BYTES, read_into_buffer(&self->ring, 0));
	raw_ring_close(&self->ring);
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
}

FIXTURE(automatic)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_request request;
	struct raw_io io;
};

FIXTURE_SETUP(automatic)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	raw_none(&self->device, &self->server);
	info.flags = UBLK_F_AUTO_BUF_REG | UBLK_F_SUPPORT_ZERO_COPY;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, make_table(&self->server.ring));
}

FIXTURE_TEARDOWN(automatic)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static __u64 place(unsigned int index, unsigned int flags)
{
	struct ublk_auto_buf_reg reg = { .index = index, .flags = flags };

	return ublk_auto_buf_reg_to_sqe_addr(&reg);
}

#define read_disk()									\
	do {										\
		ASSERT_EQ(0, raw_io_start(&self->io, &self->device, RAW_READ,		\
					  raw_pages(BYTES), BYTES, RAW_TEST_OFFSET));	\
	} while (0)

/* With one tag at a time in use, the table's only place does for all of them. */
TEST_F(automatic, commit_lets_go)
{
	int round;

	self->server.sqe_addr = place(1, UBLK_AUTO_BUF_REG_FALLBACK);
	ASSERT_EQ(0, raw_server_start(&self->server));
	for (round = 0; round < 3; round++) {
		read_disk();
		ASSERT_TRUE(raw_catch(&self->server, &self->request));
		EXPECT_EQ(0, self->request.descriptor.op_flags & UBLK_IO_F_NEED_REG_BUF);
		ASSERT_EQ(BYTES, read_into_buffer(&self->server.ring, 1));
		ASSERT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, BYTES));
		EXPECT_EQ(BYTES, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
		EXPECT_TRUE(raw_matches(self->io.buffer, RAW_TEST_OFFSET, BYTES));
	}
}

TEST_F(automatic, server_is_told_to_register_itself)
{
	self->server.sqe_addr = place(TABLE, UBLK_AUTO_BUF_REG_FALLBACK);
	ASSERT_EQ(0, raw_server_start(&self->server));
	read_disk();
	ASSERT_TRUE(raw_catch(&self->server, &self->request));
	EXPECT_NE(0, self->request.descriptor.op_flags & UBLK_IO_F_NEED_REG_BUF);
	ASSERT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, -ENOSPC));
	EXPECT_EQ(-ENOSPC, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
}

TEST_F(automatic, place_out_of_range_fails_the_request)
{
	self->server.sqe_addr = place(TABLE, 0);
	ASSERT_EQ(0, raw_server_start(&self->server));
	read_disk();
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
	EXPECT_EQ(0, self->server.caught_count);
}

TEST_F(automatic, bad_places_are_refused)
{
	const __u64 bad[] = {
		1ULL << 17,	/* an unknown flag */
		1ULL << 23,
		1ULL << 24,	/* reserved */
		1ULL << 32,
		1ULL << 63,
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		self->server.sqe_addr = bad[i];
		EXPECT_EQ(-EINVAL, raw_fetch(&self->server, 0, 0));
		self->server.fault = 0;
	}
	self->server.sqe_addr = place(0, UBLK_AUTO_BUF_REG_FALLBACK);
	EXPECT_EQ(RAW_PARKED, raw_fetch(&self->server, 0, 0));
}

TEST_F(automatic, request_ends_with_the_server)
{
	self->server.sqe_addr = place(0, UBLK_AUTO_BUF_REG_FALLBACK);
	ASSERT_EQ(0, raw_server_start(&self->server));
	read_disk();
	ASSERT_TRUE(raw_catch(&self->server, &self->request));
	raw_server_close(&self->server);
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
}

static void __attribute__((constructor)) need_feature(void)
{
	raw_require_feature(UBLK_F_SUPPORT_ZERO_COPY, "SUPPORT_ZERO_COPY");
}

TEST_HARNESS_MAIN
