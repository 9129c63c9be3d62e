// SPDX-License-Identifier: GPL-2.0-only
/*
 * UBLK_F_IO_DESC_SIZE: the server chooses how far descriptors lie apart; map offsets and lengths
 * follow, and sizes the protocol does not have are refused.
 */
// # timeout: 240
#include <kselftest_harness.h>

#include "raw.h"

#define LENGTH 4096
#define DEPTH 200	/* more than a page of descriptors of any size */

static int add(struct raw_device *device, __u64 flags, unsigned int size)
{
	struct ublksrv_ctrl_dev_info info = raw_info(2, DEPTH);

	info.flags = flags;
	info.io_desc_size = size;
	info.max_io_buf_bytes = LENGTH;
	return raw_add_with(device, &info);
}

/* Keep all tags busy at once, so that descriptors from first to last are read. */
static void use_all_tags(struct __test_metadata *_metadata, struct raw_device *device,
			 struct raw_server *server)
{
	static struct raw_io io[16];
	struct raw_request request;
	bool seen[16] = { false };
	unsigned int i, at;

	for (i = 0; i < 16; i++)
		ASSERT_EQ(0, raw_io_start(&io[i], device, RAW_READ, raw_pages(LENGTH), LENGTH,
					  RAW_TEST_OFFSET + i * LENGTH));
	for (i = 0; i < 16; i++) {
		ASSERT_TRUE(raw_catch(server, &request));
		EXPECT_EQ(UBLK_IO_OP_READ, ublksrv_get_op(&request.descriptor));
		EXPECT_EQ(LENGTH >> 9, request.descriptor.nr_sectors);
		EXPECT_EQ((unsigned long)raw_buffer(server, request.queue, request.tag),
			  request.descriptor.addr);
		at = ((request.descriptor.start_sector << 9) - RAW_TEST_OFFSET) / LENGTH;
		ASSERT_GT(16, at);
		EXPECT_FALSE(seen[at]);
		seen[at] = true;
		raw_fill(raw_buffer(server, request.queue, request.tag),
			 RAW_TEST_OFFSET + at * LENGTH, LENGTH);
		EXPECT_EQ(RAW_PARKED, raw_commit(server, &request, LENGTH));
	}
	for (i = 0; i < 16; i++) {
		EXPECT_EQ(LENGTH, raw_io_wait(&io[i], server, RAW_DEADLINE));
		EXPECT_TRUE(raw_matches(io[i].buffer, RAW_TEST_OFFSET + i * LENGTH, LENGTH));
	}
}

TEST(every_size_serves)
{
	unsigned int size;

	for (size = 24; size <= 256; size += size < 40 || size >= 240 ? 8 : 40) {
		struct raw_device device;
		struct raw_server server;

		raw_none(&device, &server);
		ASSERT_EQ(0, add(&device, UBLK_F_IO_DESC_SIZE, size));
		EXPECT_TRUE(device.info.flags & UBLK_F_IO_DESC_SIZE);
		EXPECT_EQ(size, device.info.io_desc_size);
		ASSERT_EQ(0, raw_server_open(&server, &device, 0));
		ASSERT_EQ(0, raw_server_start(&server));
		use_all_tags(_metadata, &device, &server);
		EXPECT_EQ(0, server.fault);
		EXPECT_EQ(0, raw_finish(&device, &server));
	}
}

TEST(other_sizes_are_refused)
{
	static const unsigned int wrong[] = { 0, 1, 8, 16, 23, 25, 28, 31, 255, 257, 264, 4096,
					      0x7ff8, 0x8000, 0xffff };
	struct raw_device device;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(-EINVAL, add(&device, UBLK_F_IO_DESC_SIZE, wrong[i])) {
			TH_LOG("size %u", wrong[i]);
		}
	}
}

TEST(without_the_feature_nobody_looks_at_the_size)
{
	struct raw_device device;

	ASSERT_EQ(0, add(&device, 0, 77));
	EXPECT_EQ(sizeof(struct ublksrv_io_desc), device.info.io_desc_size);
	EXPECT_EQ(0, raw_destroy(&device));
}

static int try_map(int chr, size_t length, off_t offset)
{
	void *map = mmap(NULL, length, PROT_READ, MAP_SHARED, chr, offset);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, length);
	return 0;
}

TEST(maps_follow_the_size)
{
	const size_t length = (DEPTH * 64 + 4095) & ~4095UL, stride = 4096 * 64;
	struct raw_device device;
	int chr;

	ASSERT_EQ(0, add(&device, UBLK_F_IO_DESC_SIZE, 64));
	chr = raw_open_char(device.id);
	ASSERT_LE(0, chr);
	EXPECT_EQ(0, try_map(chr, length, 0));
	EXPECT_EQ(-EINVAL, try_map(chr, length - 4096, 0));
	EXPECT_EQ(-EINVAL, try_map(chr, length + 4096, 0));
	EXPECT_EQ(-EINVAL, try_map(chr, raw_descriptor_bytes(DEPTH), 0));
	EXPECT_EQ(-EINVAL, try_map(chr, length, raw_descriptor_offset(1)));
	EXPECT_EQ(-EINVAL, try_map(chr, length, device.info.nr_hw_queues * stride));
	if (device.info.nr_hw_queues > 1)
		EXPECT_EQ(0, try_map(chr, length, stride));
	close(chr);
	EXPECT_EQ(0, raw_destroy(&device));
}

TEST_HARNESS_MAIN
