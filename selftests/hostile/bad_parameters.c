// SPDX-License-Identifier: GPL-2.0-only
/*
 * SET_PARAMS checks every parameter before it takes any, forgets all of them after a mistake, and
 * is refused once the device runs.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include "raw.h"

FIXTURE(params)
{
	struct raw_device device;
	struct raw_server server;
	struct ublk_params good;
};

FIXTURE_SETUP(params)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 1, 2));
	self->good = self->device.params;
}

FIXTURE_TEARDOWN(params)
{
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

/* What GET_PARAMS has when nothing is set: the device numbers, which are the driver's to say. */
static void expect_nothing_set(struct __test_metadata *_metadata, int id)
{
	struct ublk_params zero = { 0 };
	struct ublk_params seen;

	memset(&seen, 0x5a, sizeof(seen));
	EXPECT_EQ(0, raw_get_params(id, &seen));
	EXPECT_EQ(UBLK_PARAM_TYPE_DEVT, seen.types);
	EXPECT_EQ(0, memcmp(&zero.basic, &seen.basic, sizeof(seen.basic)));
	EXPECT_EQ(0, memcmp(&zero.discard, &seen.discard, sizeof(seen.discard)));
	EXPECT_EQ(0, memcmp(&zero.seg, &seen.seg, sizeof(seen.seg)));
}

#define REFUSED(change) do { \
	struct ublk_params p = self->good; \
	change; \
	EXPECT_EQ(-EINVAL, raw_set_params(self->device.id, &p)) { \
		TH_LOG("accepted: %s", #change); \
	} \
	expect_nothing_set(_metadata, self->device.id); \
	EXPECT_EQ(0, raw_set_params(self->device.id, &self->good)); \
} while (0)

#define ACCEPTED(change) do { \
	struct ublk_params p = self->good; \
	change; \
	EXPECT_EQ(0, raw_set_params(self->device.id, &p)) { \
		TH_LOG("refused: %s", #change); \
	} \
} while (0)

TEST_F(params, basic_is_mandatory)
{
	REFUSED(p.types = UBLK_PARAM_TYPE_DISCARD);
	REFUSED(p.types = UBLK_PARAM_TYPE_DMA_ALIGN);
	REFUSED(p.types = UBLK_PARAM_TYPE_SEGMENT);
	ACCEPTED(p.types = UBLK_PARAM_TYPE_BASIC);
}

TEST_F(params, block_sizes)
{
	static const unsigned int wrong[] = { 0, 1, 8, 13, 31, 32, 63, 64, 128, 255 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		REFUSED(p.basic.logical_bs_shift = wrong[i];
			p.basic.physical_bs_shift = wrong[i] > 12 ? wrong[i] : 12);
	}
	REFUSED(p.basic.physical_bs_shift = 8);
	REFUSED(p.basic.logical_bs_shift = 12; p.basic.physical_bs_shift = 9);
	REFUSED(p.basic.physical_bs_shift = 29);
	REFUSED(p.basic.physical_bs_shift = 255);
	REFUSED(p.basic.io_min_shift = 29);
	REFUSED(p.basic.io_min_shift = 255);
	REFUSED(p.basic.io_opt_shift = 29);
	REFUSED(p.basic.io_opt_shift = 255);
	ACCEPTED(p.basic.logical_bs_shift = 12);
	ACCEPTED(p.basic.physical_bs_shift = 28);
	ACCEPTED(p.basic.physical_bs_shift = 9; p.basic.io_min_shift = 9);
	ACCEPTED(p.basic.io_min_shift = 28; p.basic.io_opt_shift = 28);
}

TEST_F(params, request_size)
{
	unsigned int most = self->device.info.max_io_buf_bytes >> 9;

	REFUSED(p.basic.max_sectors = 0);
	REFUSED(p.basic.max_sectors = 1);
	REFUSED(p.basic.max_sectors = 7);
	REFUSED(p.basic.max_sectors = most + 1);
	REFUSED(p.basic.max_sectors = UINT32_MAX);
	ACCEPTED(p.basic.max_sectors = 8);
	ACCEPTED(p.basic.max_sectors = most);
}

TEST_F(params, discard)
{
	REFUSED(p.discard.discard_granularity = 0);
	REFUSED(p.discard.max_discard_segments = 0);
	REFUSED(p.discard.max_discard_segments = 2);
	REFUSED(p.discard.max_discard_segments = 0xffff);
	ACCEPTED(p.discard.max_discard_sectors = 0; p.discard.max_discard_segments = 0);
	ACCEPTED(p.discard.max_write_zeroes_sectors = 0);
	/* kernels shift and mask it in 32 bits, and cut a discard where a granule ends */
	REFUSED(p.discard.discard_granularity = 3);
	REFUSED(p.discard.discard_granularity = 511);
	REFUSED(p.discard.discard_granularity = 4097);
	REFUSED(p.discard.discard_granularity = 0x80000200);
	REFUSED(p.discard.discard_granularity = UINT32_MAX);
	REFUSED(p.discard.discard_granularity = 4608; p.basic.logical_bs_shift = 12);
	REFUSED(p.discard.discard_alignment = 1);
	REFUSED(p.discard.discard_alignment = UINT32_MAX);
	REFUSED(p.discard.discard_alignment = 512; p.basic.logical_bs_shift = 12);
	/* a discard may be a granule long */
	REFUSED(p.discard.max_discard_sectors = 7);
	REFUSED(p.discard.discard_granularity = 1 << 20; p.discard.max_discard_sectors = 2047);
	/* what a server takes over from its backing: thin provisioning has any multiple of 64 KiB */
	ACCEPTED(p.discard.discard_granularity = 196608);
	ACCEPTED(p.discard.discard_granularity = 1 << 20);
	ACCEPTED(p.discard.discard_granularity = 512; p.basic.logical_bs_shift = 12);
	ACCEPTED(p.discard.discard_granularity = 0x80000000;
		 p.discard.max_discard_sectors = 0x7fffff);
	ACCEPTED(p.discard.discard_granularity = 4608);
	ACCEPTED(p.discard.discard_alignment = 512);
	ACCEPTED(p.discard.max_discard_sectors = 8);
	ACCEPTED(p.discard.max_discard_sectors = UINT32_MAX);
	ACCEPTED(p.discard.max_write_zeroes_sectors = UINT32_MAX);
	/* nobody looks at it */
	ACCEPTED(p.discard.max_discard_sectors = 0; p.discard.discard_granularity = 3);
	/* without its type nobody looks at it */
	ACCEPTED(p.types = UBLK_PARAM_TYPE_BASIC; p.discard.max_discard_segments = 9);
}

TEST_F(params, dma_alignment)
{
	self->good.types |= UBLK_PARAM_TYPE_DMA_ALIGN;
	self->good.dma.alignment = 511;
	REFUSED(p.dma.alignment = 2);
	REFUSED(p.dma.alignment = 512);
	REFUSED(p.dma.alignment = 4096);
	REFUSED(p.dma.alignment = 8191);
	REFUSED(p.dma.alignment = INT32_MAX);
	REFUSED(p.dma.alignment = UINT32_MAX);
	ACCEPTED(p.dma.alignment = 0);
	ACCEPTED(p.dma.alignment = 3);
	ACCEPTED(p.dma.alignment = 4095);
}

TEST_F(params, segments)
{
	self->good.types |= UBLK_PARAM_TYPE_SEGMENT;
	self->good.seg.seg_boundary_mask = 4095;
	self->good.seg.max_segment_size = 4096;
	self->good.seg.max_segments = 8;
	REFUSED(p.seg.seg_boundary_mask = 0);
	REFUSED(p.seg.seg_boundary_mask = 2047);
	REFUSED(p.seg.seg_boundary_mask = 4096);
	REFUSED(p.seg.seg_boundary_mask = 4094);
	REFUSED(p.seg.max_segment_size = 0);
	REFUSED(p.seg.max_segment_size = 4095);
	ACCEPTED(p.seg.seg_boundary_mask = 65535; p.seg.max_segment_size = 65536);
	ACCEPTED(p.seg.max_segment_size = UINT32_MAX; p.seg.seg_boundary_mask = UINT32_MAX);
	ACCEPTED(p.seg.max_segments = 0xffff);
}

TEST_F(params, device_numbers_are_read_only)
{
	struct ublk_params seen;

	REFUSED(p.types |= UBLK_PARAM_TYPE_DEVT);
	REFUSED(p.types = UBLK_PARAM_TYPE_DEVT);
	ACCEPTED(p.devt.char_major = 1);
	EXPECT_EQ(0, raw_get_params(self->device.id, &seen));
	EXPECT_LT(1, seen.devt.char_major);
	EXPECT_EQ(self->device.id, seen.devt.char_minor);
	EXPECT_EQ(0, seen.devt.disk_major);
}

/* Whether a device with @features takes parameters, which is deleted again. */
static int set_with(struct __test_metadata *_metadata, __u64 features,
		    const struct ublk_params *params)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 2);
	int ret;

	info.flags = features;
	ASSERT_EQ(0, raw_add_info(&info));
	if ((info.flags & features) != features)
		ret = -EOPNOTSUPP;
	else
		ret = raw_set_params(info.dev_id, params);
	EXPECT_EQ(0, raw_delete(info.dev_id));
	return ret;
}

#define SPECIAL(features, expected, change) do { \
	struct ublk_params p = self->good; \
	int ret; \
	change; \
	ret = set_with(_metadata, features, &p); \
	if (ret != -EOPNOTSUPP) { \
		EXPECT_EQ(expected, ret) { \
			TH_LOG("with %s", #change); \
		} \
	} \
} while (0)

#define ZONES(expected, change)	\
	SPECIAL(UBLK_F_ZONED | UBLK_F_USER_COPY, expected, change)

/* Kernels have a bitmap or an array of all zones, and count them in 32 bits. */
TEST_F(params, zones)
{
	self->good.types = UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_ZONED;
	self->good.basic.chunk_sectors = 8;
	self->good.basic.dev_sectors = 800;
	self->good.zoned.max_zone_append_sectors = 8;
	ZONES(0, p.zoned.max_open_zones = 100; p.zoned.max_active_zones = 100);
	ZONES(0, p.zoned.max_active_zones = 1);
	ZONES(0, p.zoned.max_open_zones = 100);
	ZONES(0, p.zoned.max_zone_append_sectors = UINT32_MAX);
	ZONES(0, p.basic.dev_sectors = 8ULL << 21);
	ZONES(0, p.basic.chunk_sectors = 0x80000000; p.basic.dev_sectors = 1ULL << 40);
	ZONES(-EINVAL, p.basic.chunk_sectors = 0);
	ZONES(-EINVAL, p.basic.chunk_sectors = 24);
	ZONES(-EINVAL, p.basic.chunk_sectors = 4; p.basic.logical_bs_shift = 12);
	ZONES(-EINVAL, p.zoned.max_open_zones = 101);
	ZONES(-EINVAL, p.zoned.max_active_zones = 101);
	/* what is open is active */
	ZONES(-EINVAL, p.zoned.max_open_zones = 5; p.zoned.max_active_zones = 4);
	ZONES(-EINVAL, p.zoned.max_zone_append_sectors = 0);
	ZONES(-EINVAL, p.zoned.max_zone_append_sectors = 7; p.basic.logical_bs_shift = 12);
	ZONES(-EINVAL, p.basic.dev_sectors = 8ULL << 22);
	ZONES(-EINVAL, p.basic.dev_sectors = 8ULL << 32);
	ZONES(-EINVAL, p.basic.dev_sectors = (8ULL << 32) + 8);
	ZONES(-EINVAL, p.basic.dev_sectors = 1ULL << 53);
}

#define METADATA(expected, change) \
	SPECIAL(UBLK_F_INTEGRITY | UBLK_F_USER_COPY, expected, change)

TEST_F(params, metadata)
{
	self->good.types = UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_INTEGRITY;
	self->good.basic.logical_bs_shift = 12;
	self->good.integrity = (struct ublk_param_integrity) {
		.flags = 3,
		.interval_exp = 12,
		.metadata_size = 8,
		.csum_type = 2,
	};
	METADATA(0, p.integrity.interval_exp = 9);
	METADATA(0, p.integrity.metadata_size = 255; p.integrity.pi_offset = 247);
	METADATA(0, p.integrity.metadata_size = 16; p.integrity.csum_type = 4);
	METADATA(0, p.integrity.csum_type = 0; p.integrity.flags = 1;
		 p.integrity.metadata_size = 1);
	METADATA(0, p.integrity.max_integrity_segments = 1);
	METADATA(-EINVAL, p.integrity.interval_exp = 8);
	METADATA(-EINVAL, p.integrity.interval_exp = 13);
	METADATA(-EINVAL, p.integrity.interval_exp = 255);
	METADATA(-EINVAL, p.integrity.metadata_size = 0);
	METADATA(-EINVAL, p.integrity.metadata_size = 7);
	METADATA(-EINVAL, p.integrity.metadata_size = 15; p.integrity.csum_type = 4);
	METADATA(-EINVAL, p.integrity.pi_offset = 1);
	METADATA(-EINVAL, p.integrity.pi_offset = 255);
	METADATA(-EINVAL, p.integrity.csum_type = 3);
	METADATA(-EINVAL, p.integrity.csum_type = 255);
	METADATA(-EINVAL, p.integrity.flags = 4);
	METADATA(-EINVAL, p.integrity.csum_type = 0; p.integrity.flags = 2);
}

/* A kind that the device has no feature for is refused, or dropped as one of the future. */
TEST_F(params, kinds_without_their_feature_have_no_effect)
{
	static const unsigned int kinds[] = { UBLK_PARAM_TYPE_ZONED, UBLK_PARAM_TYPE_INTEGRITY };
	struct ublk_params seen;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct ublk_params p = self->good;
		int ret;

		p.types |= kinds[i];
		memset(&p.zoned, 0xff, sizeof(p.zoned));
		memset(&p.integrity, 0xff, sizeof(p.integrity));
		ret = raw_set_params(self->device.id, &p);
		EXPECT_TRUE(ret == 0 || ret == -EINVAL);
		EXPECT_EQ(0, raw_get_params(self->device.id, &seen));
		EXPECT_EQ(0, seen.types & kinds[i]);
	}
}

/* A server newer than the driver asks for more than the driver knows. */
TEST_F(params, kinds_of_the_future_are_dropped)
{
	struct ublk_params seen;

	ACCEPTED(p.types |= 0xffffff00);
	EXPECT_EQ(0, raw_get_params(self->device.id, &seen));
	EXPECT_EQ(self->good.types | UBLK_PARAM_TYPE_DEVT, seen.types);
	EXPECT_EQ(0, memcmp(&self->good.basic, &seen.basic, sizeof(seen.basic)));
}

static int send(int id, unsigned int op, const void *buffer, __u16 length)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.addr = (unsigned long)buffer;
	command.len = length;
	return raw_control(op, &command);
}

TEST_F(params, lengths_must_agree)
{
	int id = self->device.id;
	struct {
		struct ublk_params params;
		char more[64];
	} large = { .params = self->good };
	struct ublk_params *p = &large.params;

	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_SET_PARAMS, p, 0));
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_SET_PARAMS, p, 8));
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_SET_PARAMS, p, sizeof(*p) - 1));
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_SET_PARAMS, NULL, sizeof(*p)));
	p->len = 0;
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_SET_PARAMS, p, sizeof(*p)));
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_GET_PARAMS, p, sizeof(*p)));
	p->len = UINT32_MAX;
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_SET_PARAMS, p, sizeof(*p)));
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_GET_PARAMS, p, sizeof(*p)));
	p->len = sizeof(*p);
	p->types = 0;
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_SET_PARAMS, p, sizeof(*p)));
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_GET_PARAMS, p, 8));
	EXPECT_EQ(-EINVAL, send(id, UBLK_U_CMD_GET_PARAMS, NULL, sizeof(*p)));

	/* more than the driver knows is fine, and not touched by GET_PARAMS */
	*p = self->good;
	p->len = sizeof(large);
	memset(large.more, 0x5a, sizeof(large.more));
	EXPECT_EQ(0, send(id, UBLK_U_CMD_SET_PARAMS, &large, sizeof(large)));
	p->len = sizeof(large);
	EXPECT_EQ(0, send(id, UBLK_U_CMD_GET_PARAMS, &large, sizeof(large)));
	EXPECT_EQ(0x5a, large.more[0]);

	/* less than the driver knows is what an old server sends: basic alone */
	*p = self->good;
	p->types = UBLK_PARAM_TYPE_BASIC;
	p->len = offsetof(struct ublk_params, discard);
	EXPECT_EQ(0, send(id, UBLK_U_CMD_SET_PARAMS, p, p->len));
	memset(&p->discard, 0x5a, sizeof(p->discard));
	p->len = offsetof(struct ublk_params, discard);
	EXPECT_EQ(0, send(id, UBLK_U_CMD_GET_PARAMS, p, p->len));
	EXPECT_EQ(0x5a5a5a5a, p->discard.discard_alignment);
}

/* What a short SET_PARAMS does not carry must not come from the one before it. */
TEST_F(params, a_kind_beyond_the_length_is_not_taken_from_before)
{
	struct ublk_params p = self->good;
	int id = self->device.id, ret;

	ASSERT_EQ(0, raw_set_params(id, &p));
	p.len = offsetof(struct ublk_params, discard);
	ret = send(id, UBLK_U_CMD_SET_PARAMS, &p, p.len);
	if (!ret) {
		struct ublk_params seen;

		EXPECT_EQ(0, raw_get_params(id, &seen));
		EXPECT_TRUE(!(seen.types & UBLK_PARAM_TYPE_DISCARD) ||
			    !memcmp(&seen.discard, &self->good.discard, sizeof(seen.discard)));
	}
}

TEST_F(params, a_buffer_that_ends_early_sets_nothing)
{
	char *pages = raw_pages(8192);
	struct ublk_params *p = (void *)(pages + 4096 - 32);
	int id = self->device.id;

	ASSERT_EQ(0, mprotect(pages + 4096, 4096, PROT_NONE));
	memcpy(p, &self->good, 32);
	EXPECT_EQ(-EFAULT, send(id, UBLK_U_CMD_SET_PARAMS, p, sizeof(*p)));
	expect_nothing_set(_metadata, id);
	EXPECT_EQ(-EFAULT, send(id, UBLK_U_CMD_GET_PARAMS, p, sizeof(*p)));
	EXPECT_EQ(-EFAULT, send(id, UBLK_U_CMD_SET_PARAMS, (void *)RAW_KERNEL_ADDRESS,
				sizeof(*p)));
	EXPECT_EQ(-EFAULT, send(id, UBLK_U_CMD_GET_PARAMS, (void *)RAW_KERNEL_ADDRESS,
				sizeof(*p)));
}

TEST_F(params, start_needs_them)
{
	struct ublk_params bad = self->good;

	bad.basic.logical_bs_shift = 0;
	EXPECT_EQ(-EINVAL, raw_set_params(self->device.id, &bad));
	EXPECT_EQ(-EINVAL, raw_start(self->device.id, getpid()));
}

TEST_F(params, are_fixed_while_the_device_runs)
{
	struct ublk_params seen, other = self->good;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	other.basic.dev_sectors = 8;
	EXPECT_EQ(-EACCES, raw_set_params(self->device.id, &other));
	other.basic.logical_bs_shift = 0;
	EXPECT_EQ(-EACCES, raw_set_params(self->device.id, &other));
	EXPECT_EQ(0, raw_get_params(self->device.id, &seen));
	EXPECT_EQ(self->good.basic.dev_sectors, seen.basic.dev_sectors);
	EXPECT_NE(0, seen.devt.disk_major);
}

TEST_HARNESS_MAIN
