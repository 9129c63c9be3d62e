// SPDX-License-Identifier: GPL-2.0-only
/*
 * ADD_DEV believes nothing it is told: limits are checked, fields that the driver owns are reset,
 * unknown features are masked, and a refusal leaves no device and no id behind.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "raw.h"

#define TEST_ID 77

/* Adds, notes what the driver made of it, deletes: the result of ADD_DEV. */
static int try_add(struct __test_metadata *_metadata, struct ublksrv_ctrl_dev_info *info)
{
	int ret = raw_add_info(info);

	if (!ret)
		EXPECT_EQ(0, raw_delete(info->dev_id));
	return ret;
}

static int add_with(struct ublksrv_ctrl_dev_info *info, __u32 id, __u16 queue, __u16 length,
		    __u64 address)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	(void)info;
	command.queue_id = queue;
	command.len = length;
	command.addr = address;
	return raw_control(UBLK_U_CMD_ADD_DEV, &command);
}

TEST(queues_and_depth_have_limits)
{
	static const struct {
		unsigned int queues, depth;
		int result;
	} cases[] = {
		{ 0, 128, -EINVAL },	{ 4097, 128, -EINVAL },	{ 65535, 128, -EINVAL },
		{ 1, 0, -EINVAL },	{ 1, 4097, -EINVAL },	{ 1, 65535, -EINVAL },
		{ 0, 0, -EINVAL },	{ 65535, 65535, -EINVAL },
		{ 1, 1, 0 },		{ 1, 4096, 0 },		{ 4096, 1, 0 },
		{ 4096, 4096, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ublksrv_ctrl_dev_info info = raw_info(cases[i].queues, cases[i].depth);

		EXPECT_EQ(cases[i].result, try_add(_metadata, &info)) {
			TH_LOG("%u queues of %u", cases[i].queues, cases[i].depth);
		}
		if (!cases[i].result) {
			/* never more queues than processors, never another depth */
			EXPECT_GE(sysconf(_SC_NPROCESSORS_CONF), info.nr_hw_queues);
			EXPECT_LT(0, info.nr_hw_queues);
			EXPECT_EQ(cases[i].depth, info.queue_depth);
		}
	}
}

TEST(the_header_must_fit_the_info)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);
	__u64 good = (unsigned long)&info;
	unsigned int queue;

	for (queue = 0; queue < 0xffff; queue += 0x3333)
		EXPECT_EQ(-EINVAL, add_with(&info, -1, queue, sizeof(info), good));
	EXPECT_EQ(-EINVAL, add_with(&info, -1, 0xffff, 0, good));
	EXPECT_EQ(-EINVAL, add_with(&info, -1, 0xffff, sizeof(info) - 1, good));
	EXPECT_EQ(-EINVAL, add_with(&info, -1, 0xffff, sizeof(info), 0));
	EXPECT_EQ(-EFAULT, add_with(&info, -1, 0xffff, sizeof(info), RAW_KERNEL_ADDRESS));
	EXPECT_EQ(-EFAULT, add_with(&info, -1, 0xffff, sizeof(info), ~0ULL - 8));
	EXPECT_EQ(-EFAULT, add_with(&info, -1, 0xffff, sizeof(info), 16));
	/* header and info name different devices */
	EXPECT_EQ(-EINVAL, add_with(&info, TEST_ID, 0xffff, sizeof(info), good));
	info.dev_id = TEST_ID;
	EXPECT_EQ(-EINVAL, add_with(&info, -1, 0xffff, sizeof(info), good));
	EXPECT_EQ(-EINVAL, add_with(&info, TEST_ID + 1, 0xffff, sizeof(info), good));
	EXPECT_EQ(0, raw_reuse(TEST_ID));
}

TEST(ids_have_a_limit)
{
	static const __u32 refused[] = { 1 << 20, (1 << 20) + 1, INT32_MAX, 1U << 31, -2 };
	struct ublksrv_ctrl_dev_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		info = raw_info(1, 1);
		info.dev_id = refused[i];
		EXPECT_EQ(-EINVAL, try_add(_metadata, &info)) {
			TH_LOG("id %#x", refused[i]);
		}
	}
	info = raw_info(1, 1);
	info.dev_id = (1 << 20) - 1;
	EXPECT_EQ(0, try_add(_metadata, &info));
	EXPECT_EQ((1 << 20) - 1, info.dev_id);
}

TEST(an_id_is_given_once)
{
	struct ublksrv_ctrl_dev_info first = raw_info(1, 1);
	struct ublksrv_ctrl_dev_info second = raw_info(2, 2);
	struct ublksrv_ctrl_dev_info seen;

	first.dev_id = TEST_ID;
	second.dev_id = TEST_ID;
	ASSERT_EQ(0, raw_add_info(&first));
	EXPECT_EQ(-EEXIST, raw_add_info(&second));
	/* the refusal did not touch the first */
	EXPECT_EQ(0, raw_get_info(TEST_ID, &seen));
	EXPECT_EQ(1, seen.queue_depth);
	EXPECT_EQ(0, raw_delete(TEST_ID));
	EXPECT_EQ(-ENODEV, raw_get_info(TEST_ID, &seen));
	EXPECT_EQ(0, raw_reuse(TEST_ID));
}

/* CVE-2026-74472: a device that claims to be live before it has a disk. */
TEST(state_and_pid_belong_to_the_driver)
{
	unsigned int state;

	for (state = 1; state < 256; state += state < 8 ? 1 : 31) {
		struct ublksrv_ctrl_dev_info info = raw_info(1, 2), seen;

		info.state = state;
		info.ublksrv_pid = getpid();
		info.owner_uid = 4711;
		info.owner_gid = 4712;
		ASSERT_EQ(0, raw_add_info(&info));
		EXPECT_EQ(UBLK_S_DEV_DEAD, info.state);
		EXPECT_EQ(-1, info.ublksrv_pid);
		EXPECT_EQ(getuid(), info.owner_uid);
		EXPECT_EQ(getgid(), info.owner_gid);
		EXPECT_EQ(0, raw_get_info(info.dev_id, &seen));
		EXPECT_EQ(0, memcmp(&info, &seen, sizeof(seen)));
		/* what a fake live device crashed in */
		EXPECT_EQ(0, raw_stop(info.dev_id));
		EXPECT_EQ(0, raw_delete(info.dev_id));
	}
}

static __u64 features(struct __test_metadata *_metadata)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(-1);
	__u64 word = 0;

	command.addr = (unsigned long)&word;
	command.len = sizeof(word);
	EXPECT_EQ(0, raw_control(UBLK_U_CMD_GET_FEATURES, &command));
	return word;
}

TEST(unknown_features_are_masked)
{
	__u64 known = (UBLK_F_IO_DESC_SIZE << 1) - 1;
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);

	info.flags = ~known;
	ASSERT_EQ(0, try_add(_metadata, &info));
	EXPECT_EQ(0, info.flags & ~known);
	EXPECT_NE(0, info.flags & UBLK_F_CMD_IOCTL_ENCODE);
	EXPECT_NE(0, info.flags & UBLK_F_URING_CMD_COMP_IN_TASK);
}

TEST(a_feature_is_granted_only_if_reported)
{
	__u64 reported = features(_metadata);
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		struct ublksrv_ctrl_dev_info info = raw_info(1, 1);

		info.flags = 1ULL << bit;
		if (!try_add(_metadata, &info)) {
			EXPECT_EQ(0, info.flags & ~reported) {
				TH_LOG("asked for bit %u, got %#llx", bit, info.flags);
			}
		}
	}
}

TEST(the_private_word_comes_back)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1), seen;

	info.ublksrv_flags = 0x0123456789abcdefULL;
	ASSERT_EQ(0, raw_add_info(&info));
	EXPECT_EQ(0, raw_get_info(info.dev_id, &seen));
	EXPECT_EQ(0x0123456789abcdefULL, seen.ublksrv_flags);
	EXPECT_EQ(0, raw_delete(info.dev_id));
}

TEST(odd_buffer_sizes_are_rounded_down_or_refused)
{
	static const __u32 sizes[] = {
		0, 1, 511, 4095, 4096, 4097, 65537, 1 << 20, 32 << 20, (32 << 20) + 1, INT32_MAX,
		1U << 31, UINT32_MAX,
	};
	unsigned int i;
	int ret;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct ublksrv_ctrl_dev_info info = raw_info(1, 1);
		struct ublk_params params;

		info.max_io_buf_bytes = sizes[i];
		ret = raw_add_info(&info);
		if (ret) {
			EXPECT_EQ(-EINVAL, ret);
			continue;
		}
		EXPECT_EQ(0, info.max_io_buf_bytes % sysconf(_SC_PAGESIZE));
		EXPECT_GE(sizes[i], info.max_io_buf_bytes);
		/* no request can be larger than the buffer, and none smaller than a page */
		params = raw_params(&info);
		EXPECT_EQ(info.max_io_buf_bytes ? 0 : -EINVAL,
			  raw_set_params(info.dev_id, &params));
		params.basic.max_sectors++;
		EXPECT_EQ(-EINVAL, raw_set_params(info.dev_id, &params));
		EXPECT_EQ(0, raw_delete(info.dev_id));
	}
}

TEST(an_answer_nobody_can_receive_leaves_no_device)
{
	struct ublksrv_ctrl_dev_info *info = raw_pages(4096);

	*info = raw_info(1, 4);
	info->dev_id = TEST_ID;
	ASSERT_EQ(0, mprotect(info, 4096, PROT_READ));
	EXPECT_EQ(-EFAULT, raw_add_info(info));
	EXPECT_EQ(-ENODEV, raw_delete(TEST_ID));
	EXPECT_EQ(0, raw_reuse(TEST_ID));
}

/* A page that can be read, while who writes to it waits for us; -1 without userfaultfd. */
static int protect(void *page)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	struct uffdio_register range = {
		.range = { .start = (unsigned long)page, .len = 4096 },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect write = {
		.range = range.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range) ||
	    ioctl(fd, UFFDIO_WRITEPROTECT, &write))
		return -1;
	return fd;
}

/* Nobody is told of the device, and a signal has come: the device goes all the same. */
TEST(whose_answer_cannot_be_written_leaves_no_device)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(TEST_ID);
	struct ublksrv_ctrl_dev_info *info = (void *)raw_pages(4096);
	struct ublksrv_ctrl_dev_info again = raw_info(1, 4);
	struct raw_control control;
	struct uffd_msg message;
	int fd;

	*info = raw_info(1, 4);
	info->dev_id = TEST_ID;
	fd = protect(info);
	ASSERT_LE(0, fd);
	command.addr = (unsigned long)info;
	command.len = sizeof(*info);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_ADD_DEV, &command));
	ASSERT_EQ(sizeof(message), read(fd, &message, sizeof(message)));
	ASSERT_EQ(0, raw_control_cancel(&control));
	ASSERT_EQ(0, mprotect(info, 4096, PROT_READ));
	close(fd);
	EXPECT_EQ(-EFAULT, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);

	again.dev_id = TEST_ID;
	EXPECT_EQ(0, try_add(_metadata, &again));
}

TEST_HARNESS_MAIN
