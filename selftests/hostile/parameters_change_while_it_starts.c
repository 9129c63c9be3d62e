// SPDX-License-Identifier: GPL-2.0-only
/*
 * SET_PARAMS while START_DEV makes the disk: whatever GET_PARAMS tells afterwards is what the disk
 * was made of, and stays so until it is stopped.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <fcntl.h>
#include <sys/ioctl.h>

#include <linux/fs.h>

#include "raw.h"

#define ROUNDS 20
#define SETTERS 2

FIXTURE(params)
{
	struct raw_device device;
	struct raw_server server;
	atomic_int taken;	/* how often SET_PARAMS succeeded */
	atomic_int refused;	/* how often it came too late */
	atomic_int other;	/* any other result */
	atomic_bool stop;
	pthread_t setters[SETTERS];
};

FIXTURE_SETUP(params)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	/* the thread that serves opens the disk, too */
	info.flags = UBLK_F_NO_AUTO_PART_SCAN;
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
}

FIXTURE_TEARDOWN(params)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static struct ublk_params params_of_size(const struct raw_device *device, unsigned int blocks)
{
	struct ublk_params params = device->params;

	params.basic.logical_bs_shift = 9 + blocks % 4;
	params.basic.dev_sectors = (1 + blocks) << 3;
	return params;
}

static void *set_on(void *argument)
{
	FIXTURE_DATA(params) *self = argument;
	unsigned int i;

	for (i = 0; !atomic_load(&self->stop); i++) {
		struct ublk_params params = params_of_size(&self->device, i % 1000);

		switch (raw_set_params(self->device.id, &params)) {
		case 0:
			atomic_fetch_add(&self->taken, 1);
			break;
		case -EACCES:
			atomic_fetch_add(&self->refused, 1);
			break;
		default:
			atomic_fetch_add(&self->other, 1);
			break;
		}
	}
	return NULL;
}

static void start_setters(struct __test_metadata *_metadata, FIXTURE_DATA(params) *self)
{
	unsigned int i;

	atomic_store(&self->stop, false);
	atomic_store(&self->taken, 0);
	atomic_store(&self->refused, 0);
	for (i = 0; i < SETTERS; i++)
		ASSERT_EQ(0, pthread_create(&self->setters[i], NULL, set_on, self));
	ASSERT_EQ(0, raw_await(&self->taken, SETTERS, RAW_DEADLINE));
}

static void stop_setters(FIXTURE_DATA(params) *self)
{
	unsigned int i;

	atomic_store(&self->stop, true);
	for (i = 0; i < SETTERS; i++)
		pthread_join(self->setters[i], NULL);
}

static void expect_disk_as_told(struct __test_metadata *_metadata, int id)
{
	struct ublk_params params;
	unsigned int block = 0;
	__u64 bytes = 0;
	int fd;

	EXPECT_EQ(0, raw_get_params(id, &params));
	fd = raw_open_block(id, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, ioctl(fd, BLKGETSIZE64, &bytes));
	EXPECT_EQ(0, ioctl(fd, BLKSSZGET, &block));
	close(fd);
	EXPECT_EQ(params.basic.dev_sectors << 9, bytes);
	EXPECT_EQ(1U << params.basic.logical_bs_shift, block);
}

static void stop_serving(struct __test_metadata *_metadata, FIXTURE_DATA(params) *self)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;

	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	EXPECT_EQ(0, raw_serve_control(&self->server, &control));
	raw_server_close(&self->server);
}

TEST_F_TIMEOUT(params, belong_to_the_disk_that_was_made_of_them, 100)
{
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		ASSERT_EQ(0, raw_server_open_next(&self->server, &self->device));
		self->server.answer_all = true;
		start_setters(_metadata, self);
		EXPECT_EQ(0, raw_server_start(&self->server));
		/* those that waited for the start have had their turn */
		EXPECT_EQ(0, raw_await(&self->refused, 2 * SETTERS, RAW_DEADLINE));
		stop_setters(self);
		expect_disk_as_told(_metadata, self->device.id);
		stop_serving(_metadata, self);
	}
	EXPECT_EQ(0, atomic_load(&self->other));
}

TEST_F(params, are_free_again_after_a_stop)
{
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct ublk_params params = params_of_size(&self->device, 10 + i), seen;

		EXPECT_EQ(0, raw_set_params(self->device.id, &params));
		ASSERT_EQ(0, raw_server_open_next(&self->server, &self->device));
		self->server.answer_all = true;
		ASSERT_EQ(0, raw_server_start(&self->server));
		EXPECT_EQ(-EACCES, raw_set_params(self->device.id, &self->device.params));
		EXPECT_EQ(0, raw_get_params(self->device.id, &seen));
		EXPECT_EQ((11 + i) << 3, seen.basic.dev_sectors);
		expect_disk_as_told(_metadata, self->device.id);
		stop_serving(_metadata, self);
	}
}

TEST_HARNESS_MAIN
