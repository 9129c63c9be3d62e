// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control commands that mean nothing, name nothing or point nowhere are refused with the error the
 * ABI gives them, and harm neither the driver nor the device they name.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <fcntl.h>

#include "raw.h"

#define FEATURES_KNOWN ((UBLK_F_IO_DESC_SIZE << 1) - 1)

FIXTURE(device)
{
	struct raw_device device;
	void *hole;	/* memory nobody may touch */
};

FIXTURE_SETUP(device)
{
	raw_none(&self->device, NULL);
	ASSERT_EQ(0, raw_add(&self->device, 1, 4));
	self->hole = mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->hole);
}

FIXTURE_TEARDOWN(device)
{
	EXPECT_EQ(0, raw_destroy(&self->device));
}

static int with_buffer(struct raw_device *device, unsigned int op, __u64 address, __u16 length)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(device->id);

	command.addr = address;
	command.len = length;
	return raw_control(op, &command);
}

/* 0x08 and 0x09 are known, 0x0a is not, and so on; what later versions add is not asked for. */
static bool known(unsigned int number)
{
	switch (number) {
	case 0x01 ... 0x02:
	case 0x04 ... 0x09:
	case 0x10 ... 0x19:
		return true;
	default:
		return false;
	}
}

TEST_F(device, unknown_numbers_are_not_supported)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	unsigned int number;

	for (number = 0; number < 256; number++) {
		if (known(number))
			continue;
		EXPECT_EQ(-EOPNOTSUPP, raw_control(number, &command)) {
			TH_LOG("plain number %#x", number);
		}
		EXPECT_EQ(-EOPNOTSUPP,
			  raw_control(_IOWR('u', number, struct ublksrv_ctrl_cmd), &command)) {
			TH_LOG("encoded number %#x", number);
		}
	}
}

TEST_F(device, other_type_letters_are_not_supported)
{
	static const char letters[] = "tvU\x01\xff";
	unsigned int i, number;

	for (i = 0; i < sizeof(letters) - 1; i++) {
		for (number = 0; number < 0x20; number++) {
			struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
			unsigned int op = _IOC(_IOC_READ | _IOC_WRITE, letters[i] & 0xff, number,
					       sizeof(command));

			EXPECT_EQ(-EOPNOTSUPP, raw_control(op, &command)) {
				TH_LOG("letter %#x number %#x", letters[i] & 0xff, number);
			}
		}
	}
}

/* Upstream looks at the number alone; refusing is as good, doing something else is not. */
TEST_F(device, wrong_direction_or_size_is_ignored_or_refused)
{
	static const unsigned int ops[] = {
		_IO('u', UBLK_CMD_GET_DEV_INFO),
		_IOW('u', UBLK_CMD_GET_DEV_INFO, struct ublksrv_ctrl_cmd),
		_IOR('u', UBLK_CMD_GET_DEV_INFO, char),
		_IOC(_IOC_READ, 'u', UBLK_CMD_GET_DEV_INFO, 0x3fff),
	};
	struct ublksrv_ctrl_dev_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		int ret = with_buffer(&self->device, ops[i], (unsigned long)&info, sizeof(info));

		EXPECT_TRUE(ret == 0 || ret == -EOPNOTSUPP || ret == -EINVAL);
	}
}

TEST_F(device, both_encodings_do_the_same)
{
	struct ublksrv_ctrl_dev_info plain, encoded;

	memset(&plain, 0x55, sizeof(plain));
	memset(&encoded, 0xaa, sizeof(encoded));
	EXPECT_EQ(0, with_buffer(&self->device, UBLK_CMD_GET_DEV_INFO, (unsigned long)&plain,
				 sizeof(plain)));
	EXPECT_EQ(0, with_buffer(&self->device, UBLK_U_CMD_GET_DEV_INFO, (unsigned long)&encoded,
				 sizeof(encoded)));
	EXPECT_EQ(0, memcmp(&plain, &encoded, sizeof(plain)));
	EXPECT_EQ(self->device.id, plain.dev_id);
}

TEST_F(device, ids_without_a_device)
{
	static const __u32 ids[] = { 12345, (1 << 20) - 1, 1 << 20, INT32_MAX, -2, -1 };
	static const unsigned int ops[] = {
		UBLK_U_CMD_GET_DEV_INFO, UBLK_U_CMD_GET_DEV_INFO2, UBLK_U_CMD_GET_QUEUE_AFFINITY,
		UBLK_U_CMD_GET_PARAMS, UBLK_U_CMD_SET_PARAMS, UBLK_U_CMD_START_DEV,
		UBLK_U_CMD_STOP_DEV, UBLK_U_CMD_DEL_DEV, UBLK_U_CMD_DEL_DEV_ASYNC,
		UBLK_CMD_GET_DEV_INFO, UBLK_CMD_STOP_DEV, UBLK_CMD_DEL_DEV,
	};
	char buffer[512] = { 0 };
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		for (k = 0; k < ARRAY_SIZE(ops); k++) {
			struct ublksrv_ctrl_cmd command = raw_command_for(ids[i]);

			command.addr = (unsigned long)buffer;
			command.len = sizeof(buffer);
			EXPECT_EQ(-ENODEV, raw_control(ops[k], &command)) {
				TH_LOG("id %#x command %#x", ids[i], ops[k]);
			}
		}
	}
}

TEST_F(device, a_ring_of_64_byte_entries_is_refused)
{
	static const unsigned int ops[] = {
		UBLK_U_CMD_GET_DEV_INFO, UBLK_U_CMD_GET_FEATURES, UBLK_U_CMD_ADD_DEV,
		UBLK_U_CMD_STOP_DEV, UBLK_U_CMD_DEL_DEV, UBLK_U_CMD_SET_PARAMS,
		UBLK_CMD_GET_DEV_INFO, UBLK_CMD_ADD_DEV, UBLK_CMD_DEL_DEV,
	};
	struct ublksrv_ctrl_dev_info info;
	unsigned int i;
	int fd = open("/dev/ublk-control", O_RDWR);

	ASSERT_GE(fd, 0);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		/* Only the first 16 bytes of the command fit: dev_id, queue_id, len, addr. */
		struct ublksrv_io_cmd command = {
			.q_id = self->device.id,
			.result = (sizeof(info) << 16) | 0xffff,
			.addr = (unsigned long)&info,
		};

		EXPECT_EQ(-EINVAL, raw_single_command(fd, ops[i], &command,
						      RAW_DEADLINE)) {
			TH_LOG("command %#x", ops[i]);
		}
	}
	close(fd);
	EXPECT_EQ(0, raw_get_info(self->device.id, &info));
}

TEST_F(device, dev_info_wants_a_whole_buffer)
{
	struct ublksrv_ctrl_dev_info info;
	__u64 good = (unsigned long)&info;

	EXPECT_EQ(-EINVAL, with_buffer(&self->device, UBLK_U_CMD_GET_DEV_INFO, good, 0));
	EXPECT_EQ(-EINVAL, with_buffer(&self->device, UBLK_U_CMD_GET_DEV_INFO, good,
				       sizeof(info) - 1));
	EXPECT_EQ(-EINVAL, with_buffer(&self->device, UBLK_U_CMD_GET_DEV_INFO, 0, sizeof(info)));
	EXPECT_EQ(-EFAULT, with_buffer(&self->device, UBLK_U_CMD_GET_DEV_INFO,
				       (unsigned long)self->hole, sizeof(info)));
	EXPECT_EQ(-EFAULT, with_buffer(&self->device, UBLK_U_CMD_GET_DEV_INFO, RAW_KERNEL_ADDRESS,
				       sizeof(info)));
	EXPECT_EQ(-EFAULT, with_buffer(&self->device, UBLK_U_CMD_GET_DEV_INFO, ~0ULL - 8,
				       sizeof(info)));
	EXPECT_EQ(0, with_buffer(&self->device, UBLK_U_CMD_GET_DEV_INFO, good, 0xffff));
}

/* The second form wants the path of the character device in front, however privileged one is. */
TEST_F(device, dev_info2_wants_the_device_path)
{
	struct {
		char path[16];
		struct ublksrv_ctrl_dev_info info;
	} buffer = { 0 };
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);

	command.addr = (unsigned long)&buffer;
	command.len = sizeof(buffer);
	snprintf(buffer.path, sizeof(buffer.path), "/dev/ublkc%d", self->device.id);
	EXPECT_EQ(-EINVAL, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
	command.dev_path_len = sizeof(buffer) + 1;
	EXPECT_EQ(-EINVAL, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
	command.dev_path_len = 0xffff;
	EXPECT_EQ(-EINVAL, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
	command.dev_path_len = sizeof(buffer.path);
	EXPECT_EQ(0, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
	EXPECT_EQ(self->device.id, buffer.info.dev_id);

	command.addr = (unsigned long)self->hole;
	EXPECT_EQ(-EFAULT, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
	command.addr = RAW_KERNEL_ADDRESS;
	EXPECT_EQ(-EFAULT, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
	command.addr = (unsigned long)&buffer;
	strcpy(buffer.path, "/dev/null");
	EXPECT_NE(0, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
	strcpy(buffer.path, "/dev/nothing");
	EXPECT_NE(0, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
	memset(buffer.path, 'x', sizeof(buffer.path));
	EXPECT_NE(0, raw_control(UBLK_U_CMD_GET_DEV_INFO2, &command));
}

TEST_F(device, features_want_exactly_eight_bytes)
{
	__u64 features[2] = { 0, 0x5a5a5a5a5a5a5a5aULL };
	__u64 good = (unsigned long)features;

	EXPECT_EQ(-EINVAL, with_buffer(&self->device, UBLK_U_CMD_GET_FEATURES, good, 0));
	EXPECT_EQ(-EINVAL, with_buffer(&self->device, UBLK_U_CMD_GET_FEATURES, good, 7));
	EXPECT_EQ(-EINVAL, with_buffer(&self->device, UBLK_U_CMD_GET_FEATURES, good, 16));
	EXPECT_EQ(-EINVAL, with_buffer(&self->device, UBLK_U_CMD_GET_FEATURES, 0, 8));
	EXPECT_EQ(-EFAULT, with_buffer(&self->device, UBLK_U_CMD_GET_FEATURES,
				       (unsigned long)self->hole, 8));
	EXPECT_EQ(-EFAULT, with_buffer(&self->device, UBLK_U_CMD_GET_FEATURES,
				       RAW_KERNEL_ADDRESS, 8));
	EXPECT_EQ(0, with_buffer(&self->device, UBLK_U_CMD_GET_FEATURES, good, 8));
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, features[1]);
	EXPECT_EQ(0, features[0] & ~FEATURES_KNOWN);
	EXPECT_NE(0, features[0] & UBLK_F_CMD_IOCTL_ENCODE);
	EXPECT_NE(0, features[0] & UBLK_F_URING_CMD_COMP_IN_TASK);
}

static int affinity(struct raw_device *device, __u64 queue, __u64 address, __u16 length)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(device->id);

	command.addr = address;
	command.len = length;
	command.data[0] = queue;
	return raw_control(UBLK_U_CMD_GET_QUEUE_AFFINITY, &command);
}

TEST_F(device, affinity_wants_a_queue_and_whole_words)
{
	unsigned char mask[1024];
	__u64 good = (unsigned long)mask;
	unsigned int i, processors = 0;

	EXPECT_EQ(-EINVAL, affinity(&self->device, 1, good, sizeof(mask)));
	EXPECT_EQ(-EINVAL, affinity(&self->device, 0xffff, good, sizeof(mask)));
	/* A queue number is not cut to 16 or 32 bits. */
	EXPECT_EQ(-EINVAL, affinity(&self->device, 1 << 16, good, sizeof(mask)));
	EXPECT_EQ(-EINVAL, affinity(&self->device, 1ULL << 32, good, sizeof(mask)));
	EXPECT_EQ(-EINVAL, affinity(&self->device, ~0ULL, good, sizeof(mask)));
	EXPECT_EQ(-EINVAL, affinity(&self->device, 0, good, 0));
	EXPECT_EQ(-EINVAL, affinity(&self->device, 0, good, sizeof(mask) - 4));
	EXPECT_EQ(-EINVAL, affinity(&self->device, 0, 0, sizeof(mask)));
	EXPECT_EQ(-EFAULT, affinity(&self->device, 0, (unsigned long)self->hole, sizeof(mask)));
	EXPECT_EQ(-EFAULT, affinity(&self->device, 0, RAW_KERNEL_ADDRESS, sizeof(mask)));

	memset(mask, 0xff, sizeof(mask));
	EXPECT_EQ(0, affinity(&self->device, 0, good, sizeof(mask)));
	for (i = 0; i < sizeof(mask); i++)
		processors += __builtin_popcount(mask[i]);
	EXPECT_LE(sysconf(_SC_NPROCESSORS_ONLN), processors);
	/* The kernel clears what its own mask does not reach. */
	EXPECT_EQ(0, mask[sizeof(mask) - 1]);
}

TEST_F(device, a_feature_that_was_not_negotiated_is_refused)
{
	static const unsigned int ops[] = {
		UBLK_U_CMD_START_USER_RECOVERY, UBLK_U_CMD_END_USER_RECOVERY,
		UBLK_U_CMD_UPDATE_SIZE, UBLK_U_CMD_QUIESCE_DEV, UBLK_U_CMD_TRY_STOP_DEV,
		UBLK_U_CMD_REG_BUF, UBLK_U_CMD_UNREG_BUF,
	};
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct ublksrv_ctrl_dev_info info;
	unsigned int i;

	command.data[0] = getpid();
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		EXPECT_GT(0, raw_control(ops[i], &command)) {
			TH_LOG("command %#x", ops[i]);
		}
	}
	EXPECT_EQ(0, raw_get_info(self->device.id, &info));
	EXPECT_EQ(UBLK_S_DEV_DEAD, info.state);
}

TEST_HARNESS_MAIN
