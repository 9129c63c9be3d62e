// SPDX-License-Identifier: GPL-2.0-only
/* UPDATE_SIZE resizes a disk in use, and does no harm where there is none. */
// # timeout: 120
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include <kselftest_harness.h>

#include "raw.h"

FIXTURE(resize) {
	struct raw_device device;
	struct raw_server server;
};

FIXTURE_SETUP(resize)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	/* this thread opens the disk that it serves, so nobody else may read it */
	info.flags = UBLK_F_NO_AUTO_PART_SCAN;
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
}

FIXTURE_TEARDOWN(resize)
{
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static int resize(int id, __u64 sectors)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.data[0] = sectors;
	return raw_control(UBLK_U_CMD_UPDATE_SIZE, &command);
}

static __u64 size_of(int fd)
{
	__u64 bytes = 0;

	return ioctl(fd, BLKGETSIZE64, &bytes) ? 0 : bytes;
}

TEST_F(resize, is_seen_by_who_has_it_open)
{
	int fd;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	fd = raw_open_block(self->device.id, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(RAW_DISK_BYTES, size_of(fd));
	EXPECT_EQ(0, resize(self->device.id, 2 * RAW_DISK_BYTES >> 9));
	EXPECT_EQ(2 * RAW_DISK_BYTES, size_of(fd));
	EXPECT_EQ(0, raw_get_params(self->device.id, &self->device.params));
	EXPECT_EQ(2 * RAW_DISK_BYTES >> 9, self->device.params.basic.dev_sectors);
	EXPECT_EQ(0, resize(self->device.id, 8));
	EXPECT_EQ(4096, size_of(fd));
	EXPECT_EQ(0, resize(self->device.id, RAW_DISK_BYTES >> 9));
	close(fd);
}

/* What was behind the old end can be read. */
TEST_F(resize, makes_room_for_requests)
{
	struct raw_request request;
	struct raw_io io;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	self->server.hold_all = true;
	EXPECT_EQ(0, resize(self->device.id, 2 * RAW_DISK_BYTES >> 9));
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_DISK_BYTES + 4096));
	do {
		ASSERT_TRUE(raw_catch(&self->server, &request));
		raw_fill(raw_buffer(&self->server, 0, request.tag),
			 request.descriptor.start_sector << 9, 4096);
		raw_commit(&self->server, &request, raw_request_bytes(&request));
	} while (request.descriptor.start_sector < RAW_DISK_BYTES >> 9);
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(io.buffer, RAW_DISK_BYTES + 4096, 4096));
}

TEST_F(resize, needs_a_disk_and_a_size_that_disks_have)
{
	EXPECT_EQ(-ENODEV, resize(self->device.id, 8));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	EXPECT_EQ(-ENODEV, resize(self->device.id, 8));
	ASSERT_EQ(0, raw_server_start(&self->server));
	EXPECT_EQ(-EINVAL, resize(self->device.id, 1ULL << 63));
	EXPECT_EQ(-EINVAL, resize(self->device.id, -1));
	EXPECT_EQ(0, resize(self->device.id, (1ULL << 54) - 1));
	EXPECT_EQ(0, resize(self->device.id, 0));
	EXPECT_EQ(0, raw_stop(self->device.id));
	EXPECT_EQ(-ENODEV, resize(self->device.id, 8));
}

TEST_F(resize, may_race_with_a_stop)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;
	unsigned int i;
	int ret;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, raw_server_open_next(&self->server, &self->device));
		self->server.answer_all = true;
		ASSERT_EQ(0, raw_server_start(&self->server));
		ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
		ret = resize(self->device.id, 8 << i % 8);
		EXPECT_TRUE(ret == 0 || ret == -ENODEV);
		EXPECT_EQ(0, raw_serve_control(&self->server, &control));
		raw_server_close(&self->server);
	}
}

TEST_HARNESS_MAIN
