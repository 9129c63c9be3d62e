// SPDX-License-Identifier: GPL-2.0-only
/*
 * FETCH and COMMIT that name no tag, come twice, too early, too late or without a buffer, and
 * opcodes nobody defined: each is refused, and the tag it named goes on working.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include "raw.h"

FIXTURE(io)
{
	struct raw_device device;
	struct raw_server server;
	void *memory;
};

FIXTURE_SETUP(io)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 1, 4));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	self->memory = raw_pages(65536);
	ASSERT_NE(NULL, self->memory);
}

FIXTURE_TEARDOWN(io)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static __u64 buffer_of(struct raw_server *server, unsigned int tag)
{
	return (unsigned long)raw_buffer(server, 0, tag);
}

static int fetch(struct raw_server *server, unsigned int queue, unsigned int tag)
{
	return raw_io_command(server, UBLK_U_IO_FETCH_REQ, queue, tag, 0,
			      (unsigned long)server->buffers);
}

static int commit(struct raw_server *server, unsigned int tag, int result)
{
	return raw_io_command(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, tag, result,
			      buffer_of(server, tag));
}

/* The device serves as it should, whatever was tried before. */
static void expect_healthy(struct __test_metadata *_metadata, struct raw_device *device,
			   struct raw_server *server)
{
	struct raw_request request;
	char *memory = raw_pages(4096);
	struct raw_io io;

	ASSERT_EQ(0, raw_io_start(&io, device, RAW_READ, memory, 4096, RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(server, &request));
	raw_fill(raw_buffer(server, request.queue, request.tag), RAW_TEST_OFFSET, 4096);
	EXPECT_EQ(RAW_PARKED, raw_commit(server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(memory, RAW_TEST_OFFSET, 4096));
}

/* A request of the test, in the server's hands. */
static void obtain(struct __test_metadata *_metadata, FIXTURE_DATA(io) *self, struct raw_io *io,
		   struct raw_request *request)
{
	ASSERT_EQ(0, raw_server_start(&self->server));
	ASSERT_EQ(0, raw_io_start(io, &self->device, RAW_READ, self->memory, 4096,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, request));
}

TEST_F(io, fetch_names_a_queue_and_a_tag)
{
	static const unsigned int wrong[] = { 1, 2, 4096, 0x7fff, 0x8000, 0xffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_EQ(-EINVAL, fetch(&self->server, wrong[i], 0));
	EXPECT_EQ(-EINVAL, fetch(&self->server, 0, 4));
	EXPECT_EQ(-EINVAL, fetch(&self->server, 0, 4095));
	EXPECT_EQ(-EINVAL, fetch(&self->server, 0, 4096));
	EXPECT_EQ(-EINVAL, fetch(&self->server, 0, 0xffff));
	EXPECT_EQ(0, raw_server_start(&self->server));
	expect_healthy(_metadata, &self->device, &self->server);
}

TEST_F(io, fetch_needs_a_buffer)
{
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_FETCH_REQ, 0, 0, 0, 0));
	EXPECT_EQ(0, raw_server_start(&self->server));
	expect_healthy(_metadata, &self->device, &self->server);
}

TEST_F(io, a_tag_is_fetched_once)
{
	EXPECT_EQ(RAW_PARKED, fetch(&self->server, 0, 1));
	EXPECT_EQ(-EINVAL, fetch(&self->server, 0, 1));
	EXPECT_EQ(-EINVAL, fetch(&self->server, 0, 1));
	EXPECT_EQ(RAW_PARKED, fetch(&self->server, 0, 0));
	EXPECT_EQ(RAW_PARKED, fetch(&self->server, 0, 2));
	EXPECT_EQ(RAW_PARKED, fetch(&self->server, 0, 3));
	/* all are there: the round is over */
	EXPECT_EQ(-EBUSY, fetch(&self->server, 0, 1));
	EXPECT_EQ(0, raw_server_go(&self->server));
	EXPECT_EQ(-EBUSY, fetch(&self->server, 0, 1));
	expect_healthy(_metadata, &self->device, &self->server);
}

TEST_F(io, a_delivered_tag_is_not_fetched)
{
	struct raw_request request;
	struct raw_io io;

	obtain(_metadata, self, &io, &request);
	EXPECT_EQ(-EBUSY, fetch(&self->server, 0, request.tag));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(io, commit_before_fetch)
{
	unsigned int tag;

	for (tag = 0; tag < 4; tag++)
		EXPECT_EQ(-EINVAL, commit(&self->server, tag, 0));
	EXPECT_EQ(0, raw_server_start(&self->server));
	expect_healthy(_metadata, &self->device, &self->server);
}

TEST_F(io, commit_of_a_tag_the_server_does_not_hold)
{
	struct raw_request request;
	struct raw_io io;
	unsigned int tag;

	EXPECT_EQ(RAW_PARKED, fetch(&self->server, 0, 0));
	EXPECT_EQ(-EBUSY, commit(&self->server, 0, 0));
	for (tag = 1; tag < 4; tag++)
		EXPECT_EQ(RAW_PARKED, fetch(&self->server, 0, tag));
	ASSERT_EQ(0, raw_server_go(&self->server));
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, self->memory, 4096,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	for (tag = 0; tag < 4; tag++)
		if (tag != request.tag)
			EXPECT_EQ(-EBUSY, commit(&self->server, tag, 4096));
	EXPECT_FALSE(atomic_load(&io.done));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	for (tag = 0; tag < 4; tag++)
		EXPECT_EQ(-EBUSY, commit(&self->server, tag, 4096));
}

TEST_F(io, commit_names_a_queue_and_a_tag)
{
	ASSERT_EQ(0, raw_server_start(&self->server));
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 1, 0, 0,
					  buffer_of(&self->server, 0)));
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0xffff, 0,
					  0, buffer_of(&self->server, 0)));
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, 4, 0,
					  buffer_of(&self->server, 0)));
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, 0xffff,
					  0, buffer_of(&self->server, 0)));
	expect_healthy(_metadata, &self->device, &self->server);
}

TEST_F(io, commit_twice_in_one_submission)
{
	struct raw_request request;
	struct raw_io io;
	unsigned int i;

	obtain(_metadata, self, &io, &request);
	for (i = 0; i < 3; i++)
		raw_io_queue(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, request.tag, 4096,
			     buffer_of(&self->server, request.tag));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	/* one was right, the others must not have reached another request */
	EXPECT_EQ(-EBUSY, self->server.fault);
	EXPECT_EQ(4, self->server.parked);
	self->server.fault = 0;
	expect_healthy(_metadata, &self->device, &self->server);
}

TEST_F(io, commit_needs_a_buffer_for_the_next_request)
{
	struct raw_request request;
	struct raw_io io;

	obtain(_metadata, self, &io, &request);
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0,
					  request.tag, 4096, 0));
	EXPECT_FALSE(atomic_load(&io.done));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

static bool io_number(unsigned int number)
{
	return number == UBLK_IO_FETCH_REQ || number == UBLK_IO_COMMIT_AND_FETCH_REQ;
}

TEST_F(io, unknown_opcodes_never_touch_a_request)
{
	struct raw_request request;
	unsigned int number, tag;
	struct raw_io io;

	obtain(_metadata, self, &io, &request);
	for (number = 0; number < 256; number++) {
		if (io_number(number))
			continue;
		for (tag = 0; tag < 2; tag++) {
			unsigned int op = _IOWR('u', number, struct ublksrv_io_cmd);
			unsigned int which = tag ? request.tag : (request.tag + 1) % 4;

			EXPECT_GT(0, raw_io_command(&self->server, op, 0, which, 4096,
						    buffer_of(&self->server, which))) {
				TH_LOG("encoded number %#x", number);
			}
			EXPECT_GT(0, raw_io_command(&self->server, number, 0, which, 4096,
						    buffer_of(&self->server, which))) {
				TH_LOG("plain number %#x", number);
			}
		}
	}
	EXPECT_FALSE(atomic_load(&io.done));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(io, other_type_letters_are_not_supported)
{
	static const char letters[] = "tvU\x01\xff";
	unsigned int i;

	ASSERT_EQ(0, raw_server_start(&self->server));
	for (i = 0; i < sizeof(letters) - 1; i++) {
		unsigned int op = _IOC(_IOC_READ | _IOC_WRITE, letters[i] & 0xff,
				       UBLK_IO_FETCH_REQ, sizeof(struct ublksrv_io_cmd));

		EXPECT_EQ(-EOPNOTSUPP, raw_io_command(&self->server, op, 0, 0, 0,
						      buffer_of(&self->server, 0)));
	}
	expect_healthy(_metadata, &self->device, &self->server);
}

TEST_F(io, control_commands_do_not_belong_here)
{
	ASSERT_EQ(0, raw_server_start(&self->server));
	EXPECT_GT(0, raw_io_command(&self->server, UBLK_U_CMD_DEL_DEV, 0, 0, 0, 0));
	EXPECT_GT(0, raw_io_command(&self->server, UBLK_U_CMD_STOP_DEV, 0, 0, 0, 0));
	expect_healthy(_metadata, &self->device, &self->server);
}

TEST_F(io, plain_numbers_do_the_same)
{
	struct raw_request request;
	struct raw_io io;
	unsigned int tag;

	for (tag = 0; tag < 4; tag++)
		EXPECT_EQ(RAW_PARKED, raw_io_command(&self->server, UBLK_IO_FETCH_REQ, 0, tag, 0,
						     buffer_of(&self->server, tag)));
	ASSERT_EQ(0, raw_server_go(&self->server));
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, self->memory, 4096,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_EQ(RAW_PARKED, raw_io_command(&self->server, UBLK_IO_COMMIT_AND_FETCH_REQ, 0,
					     request.tag, 4096,
					     buffer_of(&self->server, request.tag)));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(io, data_is_not_asked_for_where_that_was_not_negotiated)
{
	struct raw_request request;
	struct raw_io io;

	obtain(_metadata, self, &io, &request);
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_U_IO_NEED_GET_DATA, 0, request.tag, 0,
					  buffer_of(&self->server, request.tag)));
	EXPECT_EQ(-EINVAL, raw_io_command(&self->server, UBLK_IO_NEED_GET_DATA, 0, request.tag, 0,
					  buffer_of(&self->server, request.tag)));
	EXPECT_GT(0, raw_io_command(&self->server, UBLK_U_IO_NEED_GET_DATA, 0,
				    (request.tag + 1) % 4, 0,
				    buffer_of(&self->server, request.tag)));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

/* User copy was not negotiated: the file neither reads nor writes. */
TEST_F(io, the_file_is_not_readable_or_writable)
{
	static const off_t offsets[] = { 0, 4096, UBLKSRV_IO_BUF_OFFSET, 1ULL << 62 };
	struct raw_request request;
	struct raw_io io;
	unsigned int i;

	obtain(_metadata, self, &io, &request);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		off_t tag = (off_t)request.tag << UBLK_TAG_OFF;

		EXPECT_EQ(-1, pread(self->server.chr, self->memory, 512, offsets[i] + tag));
		EXPECT_EQ(-1, pwrite(self->server.chr, self->memory, 512, offsets[i] + tag));
	}
	EXPECT_EQ(-1, read(self->server.chr, self->memory, 512));
	EXPECT_EQ(-1, write(self->server.chr, self->memory, 512));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

/* Rings of other kinds: they work, or are refused, as the kernel can. */
FIXTURE(ring)
{
	struct raw_device device;
	struct raw_server server;
};

FIXTURE_VARIANT(ring)
{
	struct raw_style style;
	bool may_be_refused;
};

FIXTURE_VARIANT_ADD(ring, large_entries) { .style = { .ring_flags = IORING_SETUP_SQE128 } };
FIXTURE_VARIANT_ADD(ring, large_completions) { .style = { .ring_flags = IORING_SETUP_CQE32 } };
FIXTURE_VARIANT_ADD(ring, kernel_thread) { .style = { .ring_flags = IORING_SETUP_SQPOLL } };
FIXTURE_VARIANT_ADD(ring, worker_threads) { .style = { .sqe_flags = IOSQE_ASYNC } };
FIXTURE_VARIANT_ADD(ring, registered_file) { .style = { .registered_file = true } };
FIXTURE_VARIANT_ADD(ring, polled_completions) {
	.style = { .ring_flags = IORING_SETUP_IOPOLL },
	.may_be_refused = true,
};

FIXTURE_SETUP(ring)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 1, 4));
	ASSERT_EQ(0, raw_server_open_style(&self->server, &self->device, &variant->style));
}

FIXTURE_TEARDOWN(ring)
{
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

TEST_F(ring, serves)
{
	if (variant->may_be_refused) {
		int ret = fetch(&self->server, 0, 0);

		/* Newer kernels park the command all the same: then it has to come back. */
		EXPECT_TRUE(ret < 0 || ret == RAW_PARKED);
		return;
	}
	ASSERT_EQ(0, raw_server_start(&self->server));
	expect_healthy(_metadata, &self->device, &self->server);
	EXPECT_EQ(0, self->server.fault);
}

TEST_HARNESS_MAIN
