// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whatever parameters are accepted, the disk works: users' I/O ends, and reaches the server whole, in
 * pieces that the server said it takes. Each field is set to everything that is at the edge of what
 * the kernels compute with.
 */
// # timeout: 420
#include <kselftest_harness.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>

#include <linux/fs.h>

#include "raw.h"

#define DISK_SECTORS (6ULL << 21)	/* more bytes than 32 bits can tell */
#define MEMORY (256U << 10)
#define MAX_IO (1U << 20)

/* What the user's process ends with if an I/O of its failed. */
enum failure {
	OPEN = 1,
	DISCARD,
	ZERO,
	WRITE,
	READ,
	SIZE,
};

/* What the server is asked for, in sectors. */
struct seen {
	unsigned long long sectors[UBLK_IO_OP_WRITE_ZEROES + 1];
	unsigned long long longest[UBLK_IO_OP_WRITE_ZEROES + 1];
	bool broken_block;
};

static unsigned long long least(unsigned long long a, unsigned long long b)
{
	return a < b ? a : b;
}

static unsigned int block_bytes(const struct ublk_params *p)
{
	return 1U << p->basic.logical_bs_shift;
}

static unsigned long long whole_blocks(const struct ublk_params *p, unsigned long long sectors)
{
	return sectors & ~((unsigned long long)(block_bytes(p) >> 9) - 1);
}

/* Begin in the second block, so that the first piece is a short one; some pieces, but not millions. */
static void range_of(const struct ublk_params *p, unsigned long long most, __u64 range[2])
{
	unsigned long long disk = whole_blocks(p, p->basic.dev_sectors) << 9;

	/* 7.3 cuts WRITE_ZEROES into chunks, too */
	if (p->basic.chunk_sectors)
		most = least(most, p->basic.chunk_sectors);
	range[0] = least(block_bytes(p), disk);
	range[1] = least(disk - range[0], most << 13);
	range[1] -= range[1] % block_bytes(p);
}

static bool discards(const struct ublk_params *p)
{
	return (p->types & UBLK_PARAM_TYPE_DISCARD) && p->discard.max_discard_sectors;
}

static bool zeroes(const struct ublk_params *p)
{
	return (p->types & UBLK_PARAM_TYPE_DISCARD) &&
	       whole_blocks(p, p->discard.max_write_zeroes_sectors);
}

static int use(const struct ublk_params *p, int id)
{
	char *memory = raw_pages(MEMORY);
	unsigned long long bytes;
	__u64 range[2];
	size_t length;
	int fd;

	fd = raw_open_block(id, O_RDWR | O_DIRECT);
	if (fd < 0)
		return OPEN;
	if (ioctl(fd, BLKGETSIZE64, &bytes) || bytes != whole_blocks(p, p->basic.dev_sectors) << 9)
		return SIZE;
	range_of(p, p->discard.max_discard_sectors, range);
	if (discards(p) && range[1] && ioctl(fd, BLKDISCARD, range))
		return DISCARD;
	range_of(p, p->discard.max_write_zeroes_sectors, range);
	if (zeroes(p) && range[1] && ioctl(fd, BLKZEROOUT, range))
		return ZERO;
	length = least(MEMORY, bytes);
	if (pwrite(fd, memory, length, bytes - length) != length)
		return WRITE;
	if (pread(fd, memory, length, bytes - length) != length)
		return READ;
	return 0;
}

/* An honest answer to everything, and a note of it. */
static void serve(struct raw_server *server, struct seen *seen, int wait_ms)
{
	unsigned int block = block_bytes(&server->device->params) >> 9;

	raw_pump(server, wait_ms);
	while (server->caught_count) {
		const struct ublksrv_io_desc *descriptor;
		struct raw_request request;
		unsigned int op;

		raw_catch(server, &request);
		descriptor = &request.descriptor;
		op = ublksrv_get_op(descriptor);
		if (op <= UBLK_IO_OP_WRITE_ZEROES && op != UBLK_IO_OP_FLUSH) {
			seen->sectors[op] += descriptor->nr_sectors;
			if (descriptor->nr_sectors > seen->longest[op])
				seen->longest[op] = descriptor->nr_sectors;
			if (descriptor->nr_sectors % block || descriptor->start_sector % block)
				seen->broken_block = true;
		}
		raw_io_queue(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request.queue, request.tag,
			     raw_request_bytes(&request),
			     raw_address(server, request.queue, request.tag));
	}
	raw_pump(server, 0);
}

/* The user's exit status, or -ETIME. A user who does not come to an end must at least die. */
static int serve_user(struct __test_metadata *_metadata, struct raw_server *server, pid_t user,
		      struct seen *seen)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	bool killed = false;
	int status;

	while ((status = raw_reap(user, 0)) == -ETIME) {
		if (raw_now_ms() > end) {
			EXPECT_FALSE(killed);
			if (killed)
				return -ETIME;
			kill(user, SIGKILL);
			killed = true;
			end = raw_now_ms() + RAW_DEATH_DEADLINE;
		}
		serve(server, seen, 5);
	}
	return killed ? -ETIME : status;
}

static void expect_sense(struct __test_metadata *_metadata, const struct ublk_params *p,
			 const struct seen *seen)
{
	__u64 range[2];

	EXPECT_FALSE(seen->broken_block);
	if (discards(p)) {
		range_of(p, p->discard.max_discard_sectors, range);
		EXPECT_EQ(range[1] >> 9, seen->sectors[UBLK_IO_OP_DISCARD]);
		/* what is smaller than a physical block counts as one */
		if (p->discard.max_discard_sectors >= 1U << (p->basic.physical_bs_shift - 9))
			EXPECT_GE(p->discard.max_discard_sectors,
				  seen->longest[UBLK_IO_OP_DISCARD]);
	}
	if (zeroes(p)) {
		range_of(p, p->discard.max_write_zeroes_sectors, range);
		EXPECT_EQ(range[1] >> 9, seen->sectors[UBLK_IO_OP_WRITE_ZEROES]);
		EXPECT_GE(p->discard.max_write_zeroes_sectors,
			  seen->longest[UBLK_IO_OP_WRITE_ZEROES]);
	}
	EXPECT_GE(p->basic.max_sectors, seen->longest[UBLK_IO_OP_READ]);
	EXPECT_GE(p->basic.max_sectors, seen->longest[UBLK_IO_OP_WRITE]);
}

/* Give a disk these parameters, and use it. Returns false if they are refused. */
static bool try(struct __test_metadata *_metadata, const struct ublk_params *params)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 2);
	struct raw_device device;
	struct raw_server server;
	struct seen seen = {};
	pid_t user;
	int ret;

	info.max_io_buf_bytes = MAX_IO;
	/* what is asked for is the user's wish alone */
	info.flags = UBLK_F_NO_AUTO_PART_SCAN;
	raw_none(&device, &server);
	device.info = info;
	ASSERT_EQ(0, raw_add_info(&device.info));
	device.id = device.info.dev_id;
	device.params = *params;
	ret = raw_set_params(device.id, params);
	EXPECT_TRUE(!ret || ret == -EINVAL);
	if (ret) {
		EXPECT_EQ(0, raw_finish(&device, &server));
		return false;
	}
	ASSERT_EQ(0, raw_server_open(&server, &device, 0));
	server.answer_all = true;
	ASSERT_EQ(0, raw_server_start(&server));
	raw_pump(&server, 20);
	server.answer_all = false;
	server.hold_all = true;

	user = raw_fork();
	if (!user)
		_exit(use(params, device.id));
	EXPECT_EQ(0, serve_user(_metadata, &server, user, &seen))
		TH_LOG("one of open 1, discard 2, zero 3, write 4, read 5, size 6");
	expect_sense(_metadata, params, &seen);
	EXPECT_EQ(0, server.fault);
	EXPECT_EQ(0, raw_finish(&device, &server));
	return true;
}

static struct ublk_params good(void)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 2);
	struct ublk_params params;

	info.max_io_buf_bytes = MAX_IO;
	params = raw_params(&info);
	params.basic.dev_sectors = DISK_SECTORS;
	params.discard.max_discard_sectors = 0x7fffff;
	params.discard.max_write_zeroes_sectors = 0x7fffff;
	return params;
}

/* Each value of a field, on a disk with blocks of 1 << @shift bytes. */
#define TEST_FIELD(name, field, kind, shift, ...) \
TEST(name) \
{ \
	static const unsigned long long values[] = { __VA_ARGS__ }; \
	unsigned int i, accepted = 0; \
\
	for (i = 0; i < ARRAY_SIZE(values); i++) { \
		struct ublk_params p = good(); \
		bool passed = _metadata->passed; \
\
		p.seg.seg_boundary_mask = 0xffffffff; \
		p.seg.max_segment_size = 65536; \
		p.seg.max_segments = 128; \
		p.types |= kind; \
		p.basic.logical_bs_shift = shift; \
		p.field = values[i]; \
		accepted += try(_metadata, &p); \
		if (passed && !_metadata->passed) \
			TH_LOG("failed with " #field " %llx", values[i]); \
	} \
	EXPECT_NE(0, accepted); \
}

TEST_FIELD(discard_granularity, discard.discard_granularity, 0, 9,
	   3, 512, 4097, 4608, 196608, 0x7ffffe00, 0x80000000, 0x80000200, 0xffffffff)
TEST_FIELD(discard_granularity_with_large_blocks, discard.discard_granularity, 0, 12,
	   512, 4608, 196608, 0x7ffffe00, 0x80000000, 0xffffffff)
TEST_FIELD(discard_alignment, discard.discard_alignment, 0, 9,
	   511, 512, 4096, 0x80000000, 0xfffffe00, 0xffffffff)
TEST_FIELD(discard_alignment_with_large_blocks, discard.discard_alignment, 0, 12,
	   512, 4096, 0x80000000, 0xfffff000, 0xffffffff)
TEST_FIELD(max_discard_sectors, discard.max_discard_sectors, 0, 12,
	   7, 8, 9, 0x7fffff, 0x800000, 0xffffffff)
TEST_FIELD(max_write_zeroes_sectors, discard.max_write_zeroes_sectors, 0, 9,
	   1, 7, 9, 0x7fffff, 0x800000, 0x800001, 0xffffffff)
TEST_FIELD(max_write_zeroes_sectors_with_large_blocks, discard.max_write_zeroes_sectors, 0, 12,
	   7, 9, 0x7fffff, 0x800001, 0xffffffff)
TEST_FIELD(physical_bs_shift, basic.physical_bs_shift, 0, 12, 12, 13, 20, 28)
TEST_FIELD(io_min_shift, basic.io_min_shift, 0, 12, 0, 13, 21, 28)
TEST_FIELD(io_opt_shift, basic.io_opt_shift, 0, 12, 0, 13, 21, 28)
TEST_FIELD(max_sectors, basic.max_sectors, 0, 12, 8, 15, 17, 2048)
TEST_FIELD(chunk_sectors, basic.chunk_sectors, 0, 9, 1, 7, 8, 24, 0x800000, 0xffffffff)
TEST_FIELD(chunk_sectors_with_large_blocks, basic.chunk_sectors, 0, 12,
	   1, 8, 24, 0x800000, 0xfffffff8, 0xffffffff)
TEST_FIELD(virt_boundary_mask, basic.virt_boundary_mask, 0, 9,
	   1, 511, 4095, 65535, 0xffffffffffffffff)
TEST_FIELD(virt_boundary_mask_with_large_blocks, basic.virt_boundary_mask, 0, 12,
	   1, 511, 4095, 65535, 0xffffffffffffffff)
TEST_FIELD(dev_sectors, basic.dev_sectors, 0, 12,
	   8, 9, 15, 0xffffffff, (1ULL << 41) + 1, (1ULL << 54) - 1, 1ULL << 54)
TEST_FIELD(dma_alignment, dma.alignment, UBLK_PARAM_TYPE_DMA_ALIGN, 12, 0, 3, 511, 4095)
TEST_FIELD(seg_boundary_mask, seg.seg_boundary_mask, UBLK_PARAM_TYPE_SEGMENT, 12,
	   4095, 8191, 0xffffffff, 0xffffffffffffffff)
TEST_FIELD(max_segment_size, seg.max_segment_size, UBLK_PARAM_TYPE_SEGMENT, 12,
	   4096, 4097, 5000, 0x80000001, 0xffffffff)
TEST_FIELD(max_segments, seg.max_segments, UBLK_PARAM_TYPE_SEGMENT, 12, 0, 1, 2, 3, 127, 0xffff)

static unsigned long attribute(int id, const char *name)
{
	unsigned long value = 0;
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/%s", id, name);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%lu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

/* A size that is not whole blocks is cut, whenever it is given. */
TEST(resize_to_part_of_a_block)
{
	struct ublksrv_ctrl_cmd command;
	struct raw_control control;
	struct raw_device device;
	struct raw_server server;

	raw_none(&device, &server);
	ASSERT_EQ(0, raw_add(&device, 1, 2));
	device.params.basic.logical_bs_shift = 12;
	ASSERT_EQ(0, raw_set_params(device.id, &device.params));
	ASSERT_EQ(0, raw_server_open(&server, &device, 0));
	server.answer_all = true;
	ASSERT_EQ(0, raw_server_start(&server));
	command = raw_command_for(device.id);
	command.data[0] = 8003;
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_UPDATE_SIZE, &command));
	EXPECT_EQ(0, raw_serve_control(&server, &control));
	EXPECT_EQ(8000, attribute(device.id, "size"));
	EXPECT_EQ(0, raw_finish(&device, &server));
}

/* A result is a signed number of bytes, so a request may not be longer than one can tell. */
TEST(requests_whose_result_has_no_name)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);
	struct raw_device device;
	struct raw_server server;
	unsigned long kilobytes;

	raw_none(&device, &server);
	info.max_io_buf_bytes = 0xfffff000;
	device.info = info;
	ASSERT_EQ(0, raw_add_info(&device.info));
	device.id = device.info.dev_id;
	device.params = raw_params(&info);
	device.params.basic.max_sectors = 0xfffff000 >> 9;
	ASSERT_EQ(0, raw_set_params(device.id, &device.params));
	/* no server could have such a buffer; this one gives one that is too small, and gets nothing */
	device.info.max_io_buf_bytes = 4096;
	ASSERT_EQ(0, raw_server_open(&server, &device, 0));
	server.answer_all = true;
	device.params.basic.dev_sectors = 0;
	ASSERT_EQ(0, raw_set_params(device.id, &device.params));
	ASSERT_EQ(0, raw_server_start(&server));
	kilobytes = attribute(device.id, "queue/max_hw_sectors_kb");
	EXPECT_GE(0x7fffffff >> 10, kilobytes);
	EXPECT_NE(0, kilobytes);
	EXPECT_EQ(0, raw_finish(&device, &server));
}

TEST_HARNESS_MAIN
