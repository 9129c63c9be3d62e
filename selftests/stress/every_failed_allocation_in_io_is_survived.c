// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory runs out while a server works: every allocation of those of its commands that have some fails
 * once, the first, the second and so on until there is none left to fail. The same command succeeds
 * when it is sent again.
 */
// # timeout: 900
#include <kselftest_harness.h>

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failures.h"
#include "raw_batch.h"

#define BYTES 4096

FIXTURE(io)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_ring ring;		/* not the one that serves */
	struct raw_io user;
};

FIXTURE_SETUP(io)
{
	raw_none(&self->device, &self->server);
	self->ring.fd = -1;
}

FIXTURE_TEARDOWN(io)
{
	raw_ring_close(&self->ring);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

/* Returns false if the driver lacks the feature; fails unless the device is added. */
static bool add_with(struct __test_metadata *_metadata, FIXTURE_DATA(io) *self,
		     unsigned int depth, __u64 feature)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, depth);

	info.flags = feature;
	info.max_io_buf_bytes = RAW_BATCH_BYTES;
	EXPECT_EQ(0, raw_add_with(&self->device, &info));
	return self->device.info.flags & feature;
}

static void serve_one_read(struct __test_metadata *_metadata, FIXTURE_DATA(io) *self)
{
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_ring_open(&self->ring, 8, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
}

static void read_disk(struct __test_metadata *_metadata, FIXTURE_DATA(io) *self,
		      struct raw_request *request)
{
	ASSERT_EQ(0, raw_io_start(&self->user, &self->device, RAW_READ, raw_pages(BYTES), BYTES,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, request));
}

TEST_F_TIMEOUT(io, prep_survives_each_failed_allocation, 600)
{
	struct failures failures = { .count = 0 };
	struct batch_server server;
	unsigned int nth = 0;
	bool failed;

	if (!add_with(_metadata, self, RAW_BATCH_DEPTH, UBLK_F_BATCH_IO))
		SKIP(return, "lacks BATCH_IO");
	do {
		int ret, again = 0;

		ASSERT_EQ(0, batch_open(&server, &self->device));
		failures_begin_own(&failures, ++nth);
		ret = batch_prep(&server, 0, RAW_BATCH_DEPTH);
		failed = failures_end(&failures);
		if (ret)
			again = batch_prep(&server, 0, RAW_BATCH_DEPTH);
		EXPECT_EQ(0, again) {
			TH_LOG("allocation %u: first %d, then %d", nth, ret, again);
		}
		batch_close(&server);
		ASSERT_EQ(0, raw_stop(self->device.id));
	} while (failed && nth < FAILURES_MOST);
	EXPECT_LT(nth, FAILURES_MOST);
	TH_LOG("%u allocations failed", nth - 1);
}

/* On the ring that does not serve: its result, or -ETIME if it was parked. Sets whether it failed. */
static int io_command(FIXTURE_DATA(io) *self, unsigned int op, int result, __u64 address,
		      unsigned int nth, bool *failed)
{
	struct ublksrv_io_cmd command = { .result = result, .addr = address };
	struct failures failures = { .count = 0 };
	struct io_uring_sqe *sqe = raw_ring_sqe(&self->ring);
	struct io_uring_cqe cqe;
	int ret;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = self->server.chr;
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &command, sizeof(command));
	failures_begin_own(&failures, nth);
	ret = raw_ring_submit(&self->ring, 0);
	*failed = failures_end(&failures);
	/* It may be io_uring itself that has no memory. */
	if (ret && raw_ring_submit(&self->ring, 0))
		return -EIO;
	ret = raw_ring_wait(&self->ring, &cqe, patience(200));
	return ret ? ret : cqe.res;
}

TEST_F_TIMEOUT(io, register_survives_each_failed_allocation, 600)
{
	struct io_uring_rsrc_register table = { .nr = 1, .flags = IORING_RSRC_REGISTER_SPARSE };
	struct raw_request request;
	unsigned int nth = 0;
	bool failed, any;

	if (!add_with(_metadata, self, 1, UBLK_F_SUPPORT_ZERO_COPY))
		SKIP(return, "lacks SUPPORT_ZERO_COPY");
	serve_one_read(_metadata, self);
	read_disk(_metadata, self, &request);
	ASSERT_EQ(0, syscall(__NR_io_uring_register, self->ring.fd, IORING_REGISTER_BUFFERS2,
			     &table, sizeof(table)));
	do {
		int ret, again = 0;

		ret = io_command(self, UBLK_U_IO_REGISTER_IO_BUF, 0, 0, ++nth, &failed);
		if (ret)
			again = io_command(self, UBLK_U_IO_REGISTER_IO_BUF, 0, 0, 0, &any);
		EXPECT_EQ(0, again) {
			TH_LOG("allocation %u: first %d, then %d", nth, ret, again);
		}
		ASSERT_EQ(0, io_command(self, UBLK_U_IO_UNREGISTER_IO_BUF, 0, 0, 0, &any));
	} while (failed && nth < FAILURES_MOST);
	EXPECT_LT(nth, FAILURES_MOST);
	TH_LOG("%u allocations failed", nth - 1);
	raw_commit(&self->server, &request, BYTES);
	EXPECT_EQ(BYTES, raw_io_wait(&self->user, &self->server, RAW_DEADLINE));
}

/* The tag moves to another ring, for which there is an allocation, and back. */
TEST_F_TIMEOUT(io, commit_on_another_ring_survives_each_failed_allocation, 600)
{
	struct raw_request request;
	unsigned int nth = 0;
	bool failed, any;

	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
	serve_one_read(_metadata, self);
	do {
		void *buffer = raw_buffer(&self->server, 0, 0);
		int ret, again = -ETIME;
		ssize_t done;

		read_disk(_metadata, self, &request);
		ret = io_command(self, UBLK_U_IO_COMMIT_AND_FETCH_REQ, BYTES,
				 (unsigned long)buffer, ++nth, &failed);
		if (ret != -ETIME)
			again = io_command(self, UBLK_U_IO_COMMIT_AND_FETCH_REQ, BYTES,
					   (unsigned long)buffer, 0, &any);
		EXPECT_EQ(-ETIME, again) {
			TH_LOG("allocation %u: first %d, then %d", nth, ret, again);
		}
		done = raw_io_wait(&self->user, NULL, RAW_DEADLINE);
		/* Data that cannot be fetched are the disk's fault. */
		EXPECT_TRUE(done == BYTES || (failed && done == -EIO)) {
			TH_LOG("allocation %u: the user's result is %zd", nth, done);
		}
		raw_server_close(&self->server);
		raw_ring_close(&self->ring);
		ASSERT_EQ(0, raw_stop(self->device.id));
		serve_one_read(_metadata, self);
	} while (failed && nth < FAILURES_MOST);
	EXPECT_LT(nth, FAILURES_MOST);
	TH_LOG("%u allocations failed", nth - 1);
}

static void __attribute__((constructor)) need_failures(void)
{
	failures_need();
}

TEST_HARNESS_MAIN
