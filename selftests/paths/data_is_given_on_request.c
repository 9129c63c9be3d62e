// SPDX-License-Identifier: GPL-2.0-only
/*
 * UBLK_F_NEED_GET_DATA: the server is told of a WRITE first, and gets its data when it gives a
 * buffer. Commands out of turn are refused and change nothing.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include "raw.h"

#define LENGTH 16384
#define POISON 0xee

FIXTURE(get_data)
{
	struct raw_device device;
	struct raw_server server;
	char *memory;
	char *buffer;	/* larger than a request, so that any alignment fits */
};

FIXTURE_SETUP(get_data)
{
	/* One tag, so that it is always known which. */
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);

	raw_none(&self->device, &self->server);
	self->memory = raw_pages(LENGTH);
	self->buffer = raw_pages(LENGTH + 8192);
	info.flags = UBLK_F_NEED_GET_DATA;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_TRUE(self->device.info.flags & UBLK_F_NEED_GET_DATA);
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	self->server.hold_offers = true;
}

FIXTURE_TEARDOWN(get_data)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static int get_data(FIXTURE_DATA(get_data) *self, const void *buffer)
{
	return raw_io_command(&self->server, UBLK_U_IO_NEED_GET_DATA, 0, 0, 0,
			      (unsigned long)buffer);
}

static int commit(FIXTURE_DATA(get_data) *self, int result, const void *buffer)
{
	return raw_io_command(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, 0, result,
			      (unsigned long)buffer);
}

static void announce(struct __test_metadata *_metadata, FIXTURE_DATA(get_data) *self,
		     struct raw_io *io)
{
	struct raw_request request;

	raw_fill(self->memory, RAW_TEST_OFFSET, LENGTH);
	memset(self->buffer, POISON, LENGTH + 8192);
	memset(self->server.buffers, POISON, self->server.buffer_size);
	ASSERT_EQ(0, raw_io_start(io, &self->device, RAW_WRITE, self->memory, LENGTH,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	ASSERT_TRUE(request.offered);
	ASSERT_EQ(UBLK_IO_OP_WRITE, ublksrv_get_op(&request.descriptor));
	ASSERT_EQ(LENGTH, raw_request_bytes(&request));
}

/* The data arrive where they are wanted, and the request comes as one to be answered. */
static void take(struct __test_metadata *_metadata, FIXTURE_DATA(get_data) *self, char *at)
{
	struct raw_request request;

	EXPECT_EQ(RAW_PARKED, get_data(self, at));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_FALSE(request.offered);
	EXPECT_EQ((unsigned long)at, request.descriptor.addr);
	EXPECT_TRUE(raw_matches(at, RAW_TEST_OFFSET, LENGTH));
}

static void answer(struct __test_metadata *_metadata, FIXTURE_DATA(get_data) *self,
		   struct raw_io *io)
{
	EXPECT_EQ(RAW_PARKED, commit(self, LENGTH, NULL));
	EXPECT_EQ(LENGTH, raw_io_wait(io, &self->server, RAW_DEADLINE));
}

TEST_F(get_data, no_byte_comes_before_it_is_asked_for)
{
	struct raw_io io;
	bool clean = true;
	unsigned int i;

	announce(_metadata, self, &io);
	/* Zeroes are the answer to a search for partitions; neither is a byte of the disk. */
	for (i = 0; i < self->server.buffer_size; i++)
		clean &= self->server.buffers[i] == (char)POISON || !self->server.buffers[i];
	EXPECT_TRUE(clean);
	take(_metadata, self, self->server.buffers);
	EXPECT_FALSE(atomic_load(&io.done));
	answer(_metadata, self, &io);
}

TEST_F(get_data, a_buffer_has_any_alignment)
{
	static const unsigned int shifts[] = { 0, 1, 3, 511, 4095 };
	struct raw_io io;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		char *at = self->buffer + 1 + shifts[i];

		announce(_metadata, self, &io);
		take(_metadata, self, at);
		EXPECT_EQ((char)POISON, at[-1]);
		EXPECT_EQ((char)POISON, at[LENGTH]);
		answer(_metadata, self, &io);
	}
}

/* Its completion is there when the submission returns: nothing more runs in between. */
TEST_F(get_data, the_answer_comes_at_once)
{
	struct io_uring_cqe cqe;
	struct raw_io io;

	announce(_metadata, self, &io);
	raw_io_queue(&self->server, UBLK_U_IO_NEED_GET_DATA, 0, 0, 0,
		     (unsigned long)self->buffer);
	self->server.parked--;
	ASSERT_EQ(0, raw_ring_submit(&self->server.ring, 0));
	ASSERT_TRUE(raw_ring_next(&self->server.ring, &cqe));
	EXPECT_EQ(UBLK_IO_RES_OK, cqe.res);
	EXPECT_TRUE(raw_matches(self->buffer, RAW_TEST_OFFSET, LENGTH));
	answer(_metadata, self, &io);
}

TEST_F(get_data, a_read_is_not_announced)
{
	struct raw_request request;
	struct raw_io io;

	memset(self->memory, POISON, LENGTH);
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, self->memory, LENGTH,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_FALSE(request.offered);
	/* its data come from somewhere */
	EXPECT_EQ(-EINVAL, commit(self, LENGTH, NULL));
	EXPECT_EQ(-EINVAL, get_data(self, self->buffer));
	raw_fill(self->buffer, RAW_TEST_OFFSET, LENGTH);
	EXPECT_EQ(RAW_PARKED, commit(self, LENGTH, self->buffer));
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));
}

TEST_F(get_data, commands_out_of_turn)
{
	struct raw_io io;

	EXPECT_GT(0, get_data(self, self->buffer));
	announce(_metadata, self, &io);
	EXPECT_EQ(-EINVAL, commit(self, LENGTH, self->buffer));
	EXPECT_EQ(-EINVAL, commit(self, -EIO, NULL));
	EXPECT_EQ(-EINVAL, get_data(self, NULL));
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_NEED_GET_DATA, 0, 1, 0,
					  (unsigned long)self->buffer));
	take(_metadata, self, self->buffer);
	EXPECT_EQ(-EINVAL, get_data(self, self->buffer));
	EXPECT_FALSE(atomic_load(&io.done));
	answer(_metadata, self, &io);
	EXPECT_GT(0, get_data(self, self->buffer));
}

TEST_F(get_data, after_a_bad_buffer_comes_a_good_one)
{
	char *hole = raw_pages(LENGTH);
	struct raw_io io;

	ASSERT_EQ(0, mprotect(hole + 4096, LENGTH - 4096, PROT_NONE));
	announce(_metadata, self, &io);
	EXPECT_EQ(-EFAULT, get_data(self, (void *)RAW_KERNEL_ADDRESS));
	EXPECT_EQ(-EFAULT, get_data(self, (void *)~0ULL));
	EXPECT_EQ(-EFAULT, get_data(self, hole));
	EXPECT_EQ(-EINVAL, commit(self, LENGTH, self->buffer));
	take(_metadata, self, self->buffer);
	answer(_metadata, self, &io);
}

TEST_F(get_data, a_request_in_pieces)
{
	struct raw_request request;
	struct raw_io io;

	announce(_metadata, self, &io);
	take(_metadata, self, self->buffer);
	EXPECT_EQ(RAW_PARKED, commit(self, 4096, NULL));
	/* what was not done comes back, announced again */
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_TRUE(request.offered);
	EXPECT_EQ(LENGTH - 4096, raw_request_bytes(&request));
	EXPECT_EQ(RAW_PARKED, get_data(self, self->buffer));
	EXPECT_TRUE(raw_matches(self->buffer, RAW_TEST_OFFSET + 4096, LENGTH - 4096));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_EQ(RAW_PARKED, commit(self, LENGTH - 4096, NULL));
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(get_data, an_announced_request_dies_with_its_server)
{
	struct raw_io io;

	announce(_metadata, self, &io);
	raw_server_close(&self->server);
	EXPECT_EQ(-EIO, raw_io_wait(&io, NULL, RAW_DEATH_DEADLINE));
}

TEST_F(get_data, stopping_waits_for_an_announced_request)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;
	struct raw_io io;
	int result;

	announce(_metadata, self, &io);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	raw_pump(&self->server, 100);
	EXPECT_FALSE(raw_control_poll(&control, &result));
	take(_metadata, self, self->buffer);
	/* nothing keeps the server from being sent away at once then */
	commit(self, LENGTH, NULL);
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_EQ(0, raw_serve_control(&self->server, &control));
}

/* What a server need not give with the feature it must give without. */
TEST(a_fetch_needs_no_buffer)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);
	struct raw_request request;
	struct raw_device device;
	struct raw_server server;
	char *memory = raw_pages(4096);
	struct raw_io io;

	raw_none(&device, &server);
	info.flags = UBLK_F_NEED_GET_DATA;
	ASSERT_EQ(0, raw_add_with(&device, &info));
	ASSERT_EQ(0, raw_server_open(&server, &device, 0));
	EXPECT_EQ(RAW_PARKED, raw_io_command(&server, UBLK_U_IO_FETCH_REQ, 0, 0, 0, 0));
	ASSERT_EQ(0, raw_server_go(&server));
	raw_fill(memory, RAW_TEST_OFFSET, 4096);
	ASSERT_EQ(0, raw_io_start(&io, &device, RAW_WRITE, memory, 4096, RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&server, &request));
	EXPECT_TRUE(raw_matches(server.buffers, RAW_TEST_OFFSET, 4096));
	EXPECT_EQ(RAW_PARKED, raw_commit(&server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &server, RAW_DEADLINE));
	EXPECT_EQ(0, server.fault);
	EXPECT_EQ(0, raw_finish(&device, &server));
}

TEST_HARNESS_MAIN
