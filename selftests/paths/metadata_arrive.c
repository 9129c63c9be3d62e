// SPDX-License-Identifier: GPL-2.0-only
/*
 * UBLK_F_INTEGRITY: what the block layer computes for each block arrives at the server, and what the
 * server returns is checked against the data.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <arpa/inet.h>

#include "raw.h"

#define LENGTH 16384
#define BLOCKS (LENGTH >> 9)

/* Of linux/fs.h, which may be too old. */
#define CAP_INTEGRITY 1
#define CAP_REFTAG 2
#define CSUM_CRC16 2
#define CSUM_CRC64 4

struct tuple {
	__be16 guard;
	__be16 app;
	__be32 ref;
};

FIXTURE(metadata)
{
	struct raw_device device;
	struct raw_server server;
	struct tuple tuples[BLOCKS + 1];
	char *memory;
	char *buffer;
	bool lacking;
};

#define NEEDS_INTEGRITY() do { \
	if (self->lacking) \
		SKIP(return, "lacks INTEGRITY"); \
} while (0)

static bool add(FIXTURE_DATA(metadata) *self)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);
	struct ublk_params *params = &self->device.params;

	info.flags = UBLK_F_USER_COPY | UBLK_F_INTEGRITY;
	if (raw_add_info(&info))
		return false;
	self->device.info = info;
	self->device.id = info.dev_id;
	*params = raw_params(&info);
	params->types |= UBLK_PARAM_TYPE_INTEGRITY;
	params->integrity = (struct ublk_param_integrity) {
		.flags = CAP_INTEGRITY | CAP_REFTAG,
		.interval_exp = 9,
		.metadata_size = sizeof(struct tuple),
		.csum_type = CSUM_CRC16,
	};
	return true;
}

FIXTURE_SETUP(metadata)
{
	raw_none(&self->device, &self->server);
	self->memory = raw_pages(LENGTH);
	self->buffer = raw_pages(LENGTH);
	ASSERT_TRUE(add(self));
	self->lacking = !(self->device.info.flags & UBLK_F_INTEGRITY);
	if (self->lacking)
		return;
	ASSERT_EQ(0, raw_set_params(self->device.id, &self->device.params));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
}

FIXTURE_TEARDOWN(metadata)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static off_t position(const struct raw_request *request, unsigned int offset)
{
	return UBLKSRV_IO_BUF_OFFSET + ((off_t)request->queue << UBLK_QID_OFF) +
	       ((off_t)request->tag << UBLK_TAG_OFF) + offset;
}

static off_t metadata_position(const struct raw_request *request, unsigned int offset)
{
	return position(request, offset) | UBLKSRV_IO_INTEGRITY_FLAG;
}

static __u16 crc16_of(const void *data, size_t length)
{
	const __u8 *byte = data;
	__u16 crc = 0;
	int bit;

	while (length--) {
		crc ^= *byte++ << 8;
		for (bit = 0; bit < 8; bit++)
			crc = crc << 1 ^ (crc & 0x8000 ? 0x8bb7 : 0);
	}
	return crc;
}

static void obtain(struct __test_metadata *_metadata, FIXTURE_DATA(metadata) *self,
		   struct raw_io *io, enum raw_io_kind kind, struct raw_request *request)
{
	ASSERT_EQ(0, raw_io_start(io, &self->device, kind, self->memory, LENGTH, RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, request));
	ASSERT_EQ(LENGTH, raw_request_bytes(request));
	EXPECT_TRUE(request->descriptor.op_flags & UBLK_IO_F_INTEGRITY);
}

/* A WRITE whose metadata are in tuples afterwards. */
static void write_blocks(struct __test_metadata *_metadata, FIXTURE_DATA(metadata) *self)
{
	struct raw_request request;
	struct raw_io io;

	raw_fill(self->memory, RAW_TEST_OFFSET, LENGTH);
	obtain(_metadata, self, &io, RAW_WRITE, &request);
	EXPECT_EQ(LENGTH, pread(self->server.chr, self->buffer, LENGTH, position(&request, 0)));
	EXPECT_EQ(BLOCKS * sizeof(struct tuple),
		  pread(self->server.chr, self->tuples, sizeof(self->tuples),
			metadata_position(&request, 0)));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH));
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->buffer, RAW_TEST_OFFSET, LENGTH));
}

/* The server gives all of it, and says that it was so many bytes. */
static ssize_t read_blocks_as(struct __test_metadata *_metadata, FIXTURE_DATA(metadata) *self,
			      int result)
{
	const size_t bytes = BLOCKS * sizeof(struct tuple);
	struct raw_request request;
	struct raw_io io;
	size_t at;

	obtain(_metadata, self, &io, RAW_READ, &request);
	EXPECT_EQ(LENGTH, pwrite(self->server.chr, self->buffer, LENGTH, position(&request, 0)));
	/* in odd pieces */
	for (at = 0; at < bytes; at += 37)
		EXPECT_EQ(bytes - at < 37 ? bytes - at : 37,
			  pwrite(self->server.chr, (char *)self->tuples + at, 37,
				 metadata_position(&request, at)));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, result));
	return raw_io_wait(&io, &self->server, RAW_DEADLINE);
}

static ssize_t read_blocks(struct __test_metadata *_metadata, FIXTURE_DATA(metadata) *self)
{
	return read_blocks_as(_metadata, self, LENGTH);
}

TEST_F(metadata, come_with_the_data_of_a_write)
{
	unsigned int i;

	NEEDS_INTEGRITY();
	write_blocks(_metadata, self);
	for (i = 0; i < BLOCKS; i++) {
		EXPECT_EQ(crc16_of(self->memory + i * 512, 512), ntohs(self->tuples[i].guard));
		EXPECT_EQ((__u32)(RAW_TEST_OFFSET >> 9) + i, ntohl(self->tuples[i].ref));
	}
}

TEST_F(metadata, that_fit_are_read)
{
	NEEDS_INTEGRITY();
	write_blocks(_metadata, self);
	memset(self->memory, 0, LENGTH);
	EXPECT_EQ(LENGTH, read_blocks(_metadata, self));
	EXPECT_TRUE(raw_matches(self->memory, RAW_TEST_OFFSET, LENGTH));
}

TEST_F(metadata, that_do_not_fit_are_an_error)
{
	NEEDS_INTEGRITY();
	write_blocks(_metadata, self);
	self->tuples[BLOCKS - 1].guard ^= 1;
	EXPECT_EQ(-EILSEQ, read_blocks(_metadata, self));
	self->tuples[BLOCKS - 1].guard ^= 1;
	self->tuples[0].ref ^= 1;
	EXPECT_EQ(-EILSEQ, read_blocks(_metadata, self));
	self->tuples[0].ref ^= 1;
	self->buffer[1000] ^= 1;
	EXPECT_EQ(-EILSEQ, read_blocks(_metadata, self));
}

/* The kernel cannot check a READ that is done in parts: 7.3 would not come to an end. */
TEST_F(metadata, of_a_short_read_are_an_error)
{
	NEEDS_INTEGRITY();
	write_blocks(_metadata, self);
	EXPECT_EQ(-EIO, read_blocks_as(_metadata, self, LENGTH / 2));
	EXPECT_EQ(-EIO, read_blocks_as(_metadata, self, LENGTH - 1));
	EXPECT_EQ(LENGTH, read_blocks(_metadata, self));
}

/* It goes on where the server has stopped, with the metadata of what is left. */
TEST_F(metadata, of_a_short_write_follow)
{
	struct raw_request request;
	struct raw_io io;

	NEEDS_INTEGRITY();
	write_blocks(_metadata, self);
	obtain(_metadata, self, &io, RAW_WRITE, &request);
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH / 2));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	ASSERT_EQ(LENGTH / 2, raw_request_bytes(&request));
	memset(self->tuples, 0, sizeof(self->tuples));
	EXPECT_EQ(BLOCKS / 2 * sizeof(struct tuple),
		  pread(self->server.chr, self->tuples, sizeof(self->tuples),
			metadata_position(&request, 0)));
	EXPECT_EQ((__u32)(RAW_TEST_OFFSET >> 9) + BLOCKS / 2, ntohl(self->tuples[0].ref));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH / 2));
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(metadata, have_positions_of_their_own)
{
	const size_t bytes = BLOCKS * sizeof(struct tuple);
	struct raw_request request;
	int chr = self->server.chr;
	struct raw_io io;
	char some[64];

	NEEDS_INTEGRITY();
	obtain(_metadata, self, &io, RAW_WRITE, &request);
	EXPECT_EQ(3, pread(chr, some, 64, metadata_position(&request, bytes - 3)));
	EXPECT_EQ(0, pread(chr, some, 64, metadata_position(&request, bytes)));
	EXPECT_EQ(-1, pread(chr, some, 64, metadata_position(&request, bytes + 1)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pwrite(chr, some, 64, metadata_position(&request, 0)));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH));
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(metadata, need_valid_parameters)
{
	struct ublk_params good = self->device.params, p;
	struct raw_device other;
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);

	NEEDS_INTEGRITY();
	info.flags = UBLK_F_USER_COPY | UBLK_F_INTEGRITY;
	ASSERT_EQ(0, raw_add_info(&info));
	other.id = info.dev_id;
#define REFUSED(change) do { \
	p = good; \
	change; \
	EXPECT_EQ(-EINVAL, raw_set_params(other.id, &p)) { \
		TH_LOG("accepted: %s", #change); \
	} \
} while (0)
	REFUSED(p.integrity.flags = 4);
	REFUSED(p.integrity.csum_type = 3);
	REFUSED(p.integrity.csum_type = 255);
	REFUSED(p.integrity.csum_type = 0);
	REFUSED(p.integrity.csum_type = CSUM_CRC64);
	REFUSED(p.integrity.metadata_size = 0);
	REFUSED(p.integrity.metadata_size = 7);
	REFUSED(p.integrity.pi_offset = 1);
	REFUSED(p.integrity.interval_exp = 8);
	REFUSED(p.integrity.interval_exp = 10);
	EXPECT_EQ(0, raw_set_params(other.id, &good));
	EXPECT_EQ(0, raw_destroy(&other));
	info.flags = UBLK_F_INTEGRITY;
	info.dev_id = -1;
	EXPECT_EQ(-EINVAL, raw_add_info(&info));
}

/*
 * Data that begin in the middle of a page, and of an interval: each interval has one checksum all the
 * same. A kernel that cannot compute it may refuse such memory.
 */
TEST_F(metadata, of_data_that_lie_anywhere)
{
	char *memory = raw_pages(2 * LENGTH);
	struct raw_request request;
	struct raw_io io;
	unsigned int i;

	NEEDS_INTEGRITY();
	raw_fill(memory + 4, RAW_TEST_OFFSET, LENGTH);
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_WRITE, memory + 4, LENGTH,
				  RAW_TEST_OFFSET));
	while (!atomic_load(&io.done) && !self->server.caught_count)
		raw_pump(&self->server, 20);
	if (!self->server.caught_count) {
		EXPECT_EQ(-EINVAL, raw_io_wait(&io, &self->server, RAW_DEADLINE));
		return;
	}
	ASSERT_TRUE(raw_catch(&self->server, &request));
	ASSERT_EQ(LENGTH, raw_request_bytes(&request));
	EXPECT_EQ(BLOCKS * sizeof(struct tuple),
		  pread(self->server.chr, self->tuples, sizeof(self->tuples),
			metadata_position(&request, 0)));
	for (i = 0; i < BLOCKS; i++)
		EXPECT_EQ(crc16_of(memory + 4 + i * 512, 512), ntohs(self->tuples[i].guard));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, LENGTH));
	EXPECT_EQ(LENGTH, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_HARNESS_MAIN
