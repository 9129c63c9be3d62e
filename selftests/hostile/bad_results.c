// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server commits results that cannot be: more than was asked, less, nothing, half a sector, and
 * numbers that are no errno. The user sees the right bytes or an error, never bytes nobody wrote.
 */
// # timeout: 240
#include <kselftest_harness.h>

#include "raw.h"

#define LENGTH 8192
#define POISON 0xee
/* A remainder may come again; an endless loop of it is a hang. */
#define MOST_REQUESTS 40

FIXTURE(result)
{
	struct raw_device device;
	struct raw_server server;
	unsigned char *memory;
	unsigned char *disk;	/* what the server wrote, from RAW_TEST_OFFSET on */
};

FIXTURE_SETUP(result)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 1, 4));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	self->memory = raw_pages(2 * LENGTH);
	self->disk = raw_pages(2 * LENGTH);
}

FIXTURE_TEARDOWN(result)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

/* Read or write as much of a request as the server claims, then claim @result. */
static void answer(struct __test_metadata *_metadata, FIXTURE_DATA(result) *self,
		   struct raw_request *request, int result)
{
	char *buffer = raw_buffer(&self->server, request->queue, request->tag);
	__u64 start = request->descriptor.start_sector << 9;
	int length = raw_request_bytes(request);
	int claimed = result < 0 ? 0 : result < length ? result : length;

	ASSERT_LE(start + length, RAW_TEST_OFFSET + LENGTH);
	if (ublksrv_get_op(&request->descriptor) == UBLK_IO_OP_READ) {
		memset(buffer, POISON, self->server.buffer_size);
		raw_fill(buffer, start, claimed);
	} else {
		memcpy(self->disk + (start - RAW_TEST_OFFSET), buffer, claimed);
	}
	raw_io_queue(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request->queue, request->tag,
		     result, (unsigned long)buffer);
}

/* One I/O whose first request gets @result and all later ones an honest answer. */
static ssize_t lie_once(struct __test_metadata *_metadata, FIXTURE_DATA(result) *self,
			enum raw_io_kind kind, int result)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	struct raw_request request;
	unsigned int count = 0;
	struct raw_io io;

	memset(self->disk, 0, LENGTH);
	if (kind == RAW_WRITE)
		raw_fill(self->memory, RAW_TEST_OFFSET, LENGTH);
	else
		memset(self->memory, 0x77, LENGTH);
	ASSERT_EQ(0, raw_io_start(&io, &self->device, kind, self->memory, LENGTH,
				  RAW_TEST_OFFSET));
	while (!atomic_load(&io.done) && count < MOST_REQUESTS && raw_now_ms() < end) {
		raw_pump(&self->server, 5);
		if (!self->server.caught_count)
			continue;
		ASSERT_TRUE(raw_catch(&self->server, &request));
		answer(_metadata, self, &request, count ? raw_request_bytes(&request) : result);
		count++;
	}
	EXPECT_GT(MOST_REQUESTS, count) {
		TH_LOG("result %d comes back for ever", result);
	}
	return raw_io_wait(&io, &self->server, RAW_DEADLINE);
}

#define READ_IS_RIGHT_OR_FAILS(result) do { \
	ssize_t got = lie_once(_metadata, self, RAW_READ, result); \
	EXPECT_TRUE(got == -EIO || \
		    (got > 0 && raw_matches(self->memory, RAW_TEST_OFFSET, got))) { \
		TH_LOG("result %d: read returned %zd", result, got); \
	} \
	EXPECT_EQ(LENGTH, lie_once(_metadata, self, RAW_READ, LENGTH)); \
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH)); \
} while (0)

#define WRITE_IS_RIGHT_OR_FAILS(result) do { \
	ssize_t got = lie_once(_metadata, self, RAW_WRITE, result); \
	EXPECT_TRUE(got == -EIO || \
		    (got > 0 && raw_matches(self->disk, RAW_TEST_OFFSET, got))) { \
		TH_LOG("result %d: write returned %zd", result, got); \
	} \
	EXPECT_EQ(LENGTH, lie_once(_metadata, self, RAW_WRITE, LENGTH)); \
	EXPECT_TRUE(raw_matches(self->disk, RAW_TEST_OFFSET, LENGTH)); \
} while (0)

TEST_F(result, an_honest_server_is_believed)
{
	EXPECT_EQ(LENGTH, lie_once(_metadata, self, RAW_READ, LENGTH));
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));
	EXPECT_EQ(LENGTH, lie_once(_metadata, self, RAW_WRITE, LENGTH));
	EXPECT_TRUE(raw_matches(self->disk, RAW_TEST_OFFSET, LENGTH));
}

/* As if it were all of it: a server that rounds up is not punished, and nobody gets more. */
#define READ_IS_COMPLETE(result) do { \
	EXPECT_EQ(LENGTH, lie_once(_metadata, self, RAW_READ, result)) { \
		TH_LOG("result %d", result); \
	} \
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH)); \
} while (0)

#define WRITE_IS_COMPLETE(result) do { \
	EXPECT_EQ(LENGTH, lie_once(_metadata, self, RAW_WRITE, result)) { \
		TH_LOG("result %d", result); \
	} \
	EXPECT_TRUE(raw_matches(self->disk, RAW_TEST_OFFSET, LENGTH)); \
} while (0)

TEST_F(result, more_than_was_asked)
{
	READ_IS_COMPLETE(LENGTH + 1);
	READ_IS_COMPLETE(LENGTH + 512);
	READ_IS_COMPLETE(65536);
	READ_IS_COMPLETE(1 << 30);
	READ_IS_COMPLETE(INT32_MAX);
	WRITE_IS_COMPLETE(LENGTH + 1);
	WRITE_IS_COMPLETE(LENGTH + 512);
	WRITE_IS_COMPLETE(1 << 30);
	WRITE_IS_COMPLETE(INT32_MAX);
}

TEST_F(result, whole_sectors_but_not_all)
{
	READ_IS_RIGHT_OR_FAILS(512);
	READ_IS_RIGHT_OR_FAILS(4096);
	READ_IS_RIGHT_OR_FAILS(LENGTH - 512);
	WRITE_IS_RIGHT_OR_FAILS(512);
	WRITE_IS_RIGHT_OR_FAILS(4096);
	WRITE_IS_RIGHT_OR_FAILS(LENGTH - 512);
}

TEST_F(result, parts_of_a_sector)
{
	READ_IS_RIGHT_OR_FAILS(1);
	READ_IS_RIGHT_OR_FAILS(511);
	READ_IS_RIGHT_OR_FAILS(513);
	READ_IS_RIGHT_OR_FAILS(4095);
	READ_IS_RIGHT_OR_FAILS(LENGTH - 1);
	WRITE_IS_RIGHT_OR_FAILS(1);
	WRITE_IS_RIGHT_OR_FAILS(511);
	WRITE_IS_RIGHT_OR_FAILS(513);
	WRITE_IS_RIGHT_OR_FAILS(LENGTH - 1);
}

TEST_F(result, nothing_at_all)
{
	READ_IS_RIGHT_OR_FAILS(0);
	WRITE_IS_RIGHT_OR_FAILS(0);
}

TEST_F(result, errors_are_errors)
{
	static const int errors[] = {
		-EIO, -EPERM, -EINVAL, -EFAULT, -EINTR, -EAGAIN, -EWOULDBLOCK, -ENODEV, -133, -512,
		-529, -530, -4095, -4096, -4097, -65536, -(1 << 30), INT32_MIN + 1, INT32_MIN,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		ssize_t got = lie_once(_metadata, self, RAW_READ, errors[i]);

		EXPECT_GT(0, got) {
			TH_LOG("result %d: read returned %zd", errors[i], got);
		}
		got = lie_once(_metadata, self, RAW_WRITE, errors[i]);
		EXPECT_GT(0, got) {
			TH_LOG("result %d: write returned %zd", errors[i], got);
		}
	}
	EXPECT_EQ(-ENOSPC, lie_once(_metadata, self, RAW_WRITE, -ENOSPC));
	EXPECT_EQ(LENGTH, lie_once(_metadata, self, RAW_WRITE, LENGTH));
}

/* Requests without data: a positive or zero result is success, a negative one is not. */
static ssize_t without_data(struct __test_metadata *_metadata, FIXTURE_DATA(result) *self,
			    enum raw_io_kind kind, int result)
{
	struct raw_request request;
	struct raw_io io;

	ASSERT_EQ(0, raw_io_start(&io, &self->device, kind, NULL, LENGTH, RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_EQ(kind == RAW_SYNC ? UBLK_IO_OP_FLUSH : UBLK_IO_OP_DISCARD,
		  ublksrv_get_op(&request.descriptor));
	raw_commit(&self->server, &request, result);
	return raw_io_wait(&io, &self->server, RAW_DEADLINE);
}

TEST_F(result, of_flush)
{
	EXPECT_EQ(0, without_data(_metadata, self, RAW_SYNC, 0));
	EXPECT_EQ(0, without_data(_metadata, self, RAW_SYNC, INT32_MAX));
	EXPECT_EQ(-EIO, without_data(_metadata, self, RAW_SYNC, -EIO));
	EXPECT_GT(0, without_data(_metadata, self, RAW_SYNC, INT32_MIN));
	EXPECT_EQ(0, without_data(_metadata, self, RAW_SYNC, 0));
}

TEST_F(result, of_discard)
{
	EXPECT_EQ(0, without_data(_metadata, self, RAW_DISCARD, 0));
	EXPECT_EQ(0, without_data(_metadata, self, RAW_DISCARD, LENGTH));
	EXPECT_EQ(0, without_data(_metadata, self, RAW_DISCARD, INT32_MAX));
	EXPECT_EQ(-EIO, without_data(_metadata, self, RAW_DISCARD, -EIO));
	EXPECT_GT(0, without_data(_metadata, self, RAW_DISCARD, INT32_MIN));
	EXPECT_EQ(0, without_data(_metadata, self, RAW_DISCARD, 0));
}

TEST_HARNESS_MAIN
