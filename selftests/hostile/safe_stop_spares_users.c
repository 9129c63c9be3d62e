// SPDX-License-Identifier: GPL-2.0-only
/* TRY_STOP_DEV stops a disk that nobody has open, and no other. */
// # timeout: 120
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include "raw.h"

FIXTURE(safe_stop) {
	struct raw_device device;
	struct raw_server server;
	atomic_bool enough;
	atomic_int opens;
};

FIXTURE_SETUP(safe_stop)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	/* this thread opens the disk that it serves, so nobody else may read it */
	info.flags = UBLK_F_NO_AUTO_PART_SCAN;
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
}

FIXTURE_TEARDOWN(safe_stop)
{
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static int start(FIXTURE_DATA(safe_stop) *self)
{
	int ret = raw_server_open_next(&self->server, &self->device);
	long long end = raw_now_ms() + RAW_DEADLINE;

	if (ret)
		return ret;
	self->server.answer_all = true;
	ret = raw_server_start(&self->server);
	/* somebody may just be finding out that the last disk is gone */
	while (ret == -EEXIST && raw_now_ms() < end)
		ret = raw_server_go(&self->server);
	return ret;
}

static int try_stop(FIXTURE_DATA(safe_stop) *self)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;
	int ret = raw_control_begin(&control, UBLK_U_CMD_TRY_STOP_DEV, &command);

	return ret ? ret : raw_serve_control(&self->server, &control);
}

/* Whoever looks at every new disk, as udev does, may still have it open for a moment. */
static int stop_once_unused(FIXTURE_DATA(safe_stop) *self)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	int ret;

	while ((ret = try_stop(self)) == -EBUSY && raw_now_ms() < end)
		raw_pause();
	return ret;
}

TEST_F(safe_stop, is_refused_while_the_disk_is_open)
{
	struct ublksrv_ctrl_dev_info info;
	struct raw_io io;
	int fd;

	ASSERT_EQ(0, start(self));
	EXPECT_EQ(UBLK_F_SAFE_STOP_DEV, self->device.info.flags & UBLK_F_SAFE_STOP_DEV);
	fd = raw_open_block(self->device.id, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(-EBUSY, try_stop(self));
	EXPECT_EQ(0, raw_get_info(self->device.id, &info));
	EXPECT_EQ(UBLK_S_DEV_LIVE, info.state);
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, raw_pages(4096), 4096, 0));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_EQ(-EBUSY, try_stop(self));
	close(fd);

	EXPECT_EQ(0, stop_once_unused(self));
	EXPECT_EQ(0, raw_get_info(self->device.id, &info));
	EXPECT_EQ(UBLK_S_DEV_DEAD, info.state);
	EXPECT_GT(0, raw_open_block(self->device.id, O_RDONLY));
}

TEST_F(safe_stop, needs_a_disk)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);

	EXPECT_EQ(-ENODEV, raw_control(UBLK_U_CMD_TRY_STOP_DEV, &command));
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(0, stop_once_unused(self));
	EXPECT_EQ(-ENODEV, raw_control(UBLK_U_CMD_TRY_STOP_DEV, &command));
}

static void *open_and_read(void *argument)
{
	FIXTURE_DATA(safe_stop) *self = argument;
	int opens = 0;

	while (!atomic_load(&self->enough)) {
		int fd = raw_open_block(self->device.id, O_RDONLY);

		if (fd < 0)
			continue;
		/* whoever has it open, has a disk */
		opens++;
		usleep(500);
		close(fd);
	}
	atomic_store(&self->opens, opens);
	return NULL;
}

TEST_F(safe_stop, may_race_with_openers)
{
	unsigned int i, stopped = 0, refused = 0;
	pthread_t opener;

	ASSERT_EQ(0, pthread_create(&opener, NULL, open_and_read, self));
	for (i = 0; i < 10; i++) {
		long long end = raw_now_ms() + RAW_DEADLINE;
		int ret;

		ASSERT_EQ(0, start(self));
		while ((ret = try_stop(self)) == -EBUSY && raw_now_ms() < end)
			refused++;
		EXPECT_EQ(0, ret);
		stopped += !ret;
		raw_server_close(&self->server);
	}
	atomic_store(&self->enough, true);
	pthread_join(opener, NULL);
	TH_LOG("%u stopped, %u refused, %d opened", stopped, refused, atomic_load(&self->opens));
}

TEST_HARNESS_MAIN
