// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers that are not the server's to give: kernel addresses, holes, ends of the address space,
 * read-only pages. The user's I/O fails or is right; it never hangs and never carries other bytes.
 */
// # timeout: 240
#include <kselftest_harness.h>

#include "raw.h"

#define LENGTH 16384
#define POISON 0xee
#define MOST_REQUESTS 40

FIXTURE(buffer)
{
	struct raw_device device;
	struct raw_server server;
	unsigned char *memory;
	char *mixed;	/* a page of memory, then pages nobody may touch */
};

FIXTURE_SETUP(buffer)
{
	raw_none(&self->device, &self->server);
	/* One tag: whatever buffer was armed last is the one that is used next. */
	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	self->memory = raw_pages(LENGTH);
	self->mixed = raw_pages(1 << 20);
	ASSERT_EQ(0, mprotect(self->mixed + 4096, (1 << 20) - 4096, PROT_NONE));
}

FIXTURE_TEARDOWN(buffer)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

FIXTURE_VARIANT(buffer)
{
	__u64 address;	/* 0: somewhere in mixed */
	size_t offset;
};

FIXTURE_VARIANT_ADD(buffer, kernel) { .address = RAW_KERNEL_ADDRESS };
FIXTURE_VARIANT_ADD(buffer, kernel_text) { .address = 0xffffffff81000000ULL };
FIXTURE_VARIANT_ADD(buffer, not_canonical) { .address = 0x8000000000000000ULL };
FIXTURE_VARIANT_ADD(buffer, last_byte) { .address = ~0ULL };
FIXTURE_VARIANT_ADD(buffer, wraps_around) { .address = ~0ULL - 4095 };
FIXTURE_VARIANT_ADD(buffer, end_of_user_space) { .address = (1ULL << 47) - 4096 - 512 };
FIXTURE_VARIANT_ADD(buffer, null_page) { .address = 16 };
FIXTURE_VARIANT_ADD(buffer, hole) { .offset = 8192 };
FIXTURE_VARIANT_ADD(buffer, ends_in_a_hole) { .offset = 0 };
FIXTURE_VARIANT_ADD(buffer, ends_in_a_hole_odd) { .offset = 4096 - 700 };

static __u64 bad(FIXTURE_DATA(buffer) *self, const FIXTURE_VARIANT(buffer) *variant)
{
	return variant->address ? variant->address : (unsigned long)self->mixed + variant->offset;
}

/* Commit with @address, which is also the buffer for the tag's next request. */
static void commit_at(FIXTURE_DATA(buffer) *self, const struct raw_request *request, int result,
		      __u64 address)
{
	raw_io_queue(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, request->tag, result,
		     address);
}

/* Serve honestly, in good memory, until the I/O ends. */
static ssize_t finish(struct __test_metadata *_metadata, FIXTURE_DATA(buffer) *self,
		      struct raw_io *io)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	struct raw_request request;
	unsigned int count = 0;

	while (!atomic_load(&io->done) && count < MOST_REQUESTS && raw_now_ms() < end) {
		raw_pump(&self->server, 5);
		if (!self->server.caught_count)
			continue;
		ASSERT_TRUE(raw_catch(&self->server, &request));
		raw_fill(raw_buffer(&self->server, 0, request.tag),
			 request.descriptor.start_sector << 9, raw_request_bytes(&request));
		commit_at(self, &request, raw_request_bytes(&request),
			  (unsigned long)raw_buffer(&self->server, 0, request.tag));
		count++;
	}
	EXPECT_GT(MOST_REQUESTS, count);
	return raw_io_wait(io, &self->server, RAW_DEADLINE);
}

static void start_io(struct __test_metadata *_metadata, FIXTURE_DATA(buffer) *self,
		     struct raw_io *io, enum raw_io_kind kind)
{
	ASSERT_EQ(0, raw_io_start(io, &self->device, kind, self->memory, LENGTH, RAW_TEST_OFFSET));
}

static void expect_good_read(struct __test_metadata *_metadata, FIXTURE_DATA(buffer) *self)
{
	struct raw_io io;

	start_io(_metadata, self, &io, RAW_READ);
	EXPECT_EQ(LENGTH, finish(_metadata, self, &io));
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));
}

/* The data of a READ is said to lie where nothing can be read. */
TEST_F(buffer, read_from)
{
	struct raw_request request;
	struct raw_io io;
	ssize_t got;

	memset(self->memory, POISON, LENGTH);
	raw_fill(self->mixed, RAW_TEST_OFFSET, 4096);
	start_io(_metadata, self, &io, RAW_READ);
	ASSERT_TRUE(raw_catch(&self->server, &request));
	ASSERT_EQ(LENGTH, raw_request_bytes(&request));
	commit_at(self, &request, LENGTH, bad(self, variant));
	got = finish(_metadata, self, &io);
	EXPECT_TRUE(got == -EIO || got == -EFAULT ||
		    (got > 0 && variant->offset == 0 && !variant->address &&
		     raw_matches(self->memory, RAW_TEST_OFFSET, got))) {
		TH_LOG("read returned %zd", got);
	}
	/* the armed buffer is still the bad one; a WRITE would be refused, a READ gives another */
	expect_good_read(_metadata, self);
}

/* The data of a WRITE is to be put where nothing can be written. */
TEST_F(buffer, write_to)
{
	struct raw_request request;
	struct raw_io io;
	ssize_t got;

	start_io(_metadata, self, &io, RAW_READ);
	ASSERT_TRUE(raw_catch(&self->server, &request));
	commit_at(self, &request, -EIO, bad(self, variant));
	EXPECT_EQ(-EIO, raw_io_wait(&io, &self->server, RAW_DEADLINE));

	raw_fill(self->memory, RAW_TEST_OFFSET, LENGTH);
	start_io(_metadata, self, &io, RAW_WRITE);
	got = finish(_metadata, self, &io);
	/* a delivered part may be answered, and the remainder comes in the good buffer */
	EXPECT_TRUE(got == -EIO || got == -EFAULT || (got == LENGTH && !variant->address)) {
		TH_LOG("write returned %zd", got);
	}
	ASSERT_NE(-ETIME, got);
	expect_good_read(_metadata, self);
}

FIXTURE(odd)
{
	struct raw_device device;
	struct raw_server server;
	unsigned char *memory;
};

FIXTURE_SETUP(odd)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	self->memory = raw_pages(LENGTH);
}

FIXTURE_TEARDOWN(odd)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

/* An address need not be aligned to anything. */
TEST_F(odd, address_works)
{
	static const unsigned int shifts[] = { 1, 3, 511, 4095 };
	char *buffer = raw_pages(LENGTH + 8192);
	struct raw_request request;
	struct raw_io io;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		char *at = buffer + shifts[i];

		memset(self->memory, POISON, LENGTH);
		ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, self->memory, LENGTH,
					  RAW_TEST_OFFSET));
		ASSERT_TRUE(raw_catch(&self->server, &request));
		memset(buffer, POISON, LENGTH + 8192);
		raw_fill(at, RAW_TEST_OFFSET, LENGTH);
		raw_io_queue(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, 0, LENGTH,
			     (unsigned long)at);
		EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
		EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));

		memset(buffer, POISON, LENGTH + 8192);
		raw_fill(self->memory, RAW_TEST_OFFSET, LENGTH);
		ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_WRITE, self->memory, LENGTH,
					  RAW_TEST_OFFSET));
		ASSERT_TRUE(raw_catch(&self->server, &request));
		EXPECT_EQ((unsigned long)at, request.descriptor.addr);
		EXPECT_TRUE(raw_matches(at, RAW_TEST_OFFSET, LENGTH));
		EXPECT_EQ((char)POISON, at[-1]);
		EXPECT_EQ((char)POISON, at[LENGTH]);
		EXPECT_EQ(RAW_PARKED, raw_io_command(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ,
						     0, 0, LENGTH, (unsigned long)at));
		EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	}
}

TEST_F(odd, read_only_memory_gives_but_does_not_take)
{
	char *fixed = raw_pages(LENGTH);
	struct raw_request request;
	struct raw_io io;

	raw_fill(fixed, RAW_TEST_OFFSET, LENGTH);
	ASSERT_EQ(0, mprotect(fixed, LENGTH, PROT_READ));
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, self->memory, LENGTH,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	raw_io_queue(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, 0, LENGTH,
		     (unsigned long)fixed);
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));

	memset(self->memory, POISON, LENGTH);
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_WRITE, self->memory, LENGTH,
				  RAW_TEST_OFFSET));
	EXPECT_EQ(-EIO, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(fixed, RAW_TEST_OFFSET, LENGTH));
}

/* The buffer is unmapped while the server holds the request. */
TEST_F(odd, memory_that_vanishes)
{
	struct raw_request request;
	struct raw_io io;
	char *buffer;
	ssize_t got;

	memset(self->memory, POISON, LENGTH);
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, self->memory, LENGTH,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	buffer = raw_pages(LENGTH);
	ASSERT_EQ(0, munmap(buffer, LENGTH));
	raw_io_queue(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, 0, LENGTH,
		     (unsigned long)buffer);
	got = raw_io_wait(&io, &self->server, RAW_DEADLINE);
	EXPECT_TRUE(got == -EIO || got == -EFAULT);
}

TEST_HARNESS_MAIN
