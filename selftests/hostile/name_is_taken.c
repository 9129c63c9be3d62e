// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block layer refuses the disk because its name is taken: START_DEV says so, nothing of the
 * disk stays, and the device goes on as if it had not been started.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "raw.h"

#define CONFIGFS "/sys/kernel/config"
#define ROUNDS 3

/* A disk of the kernel's null_blk driver can have any name. */
FIXTURE(name)
{
	struct raw_device device;
	struct raw_server server;
	char other[64];		/* where it is configured; empty: nobody has the name */
	bool mounted;
};

FIXTURE_VARIANT(name)
{
	__u64 features;
	int recovery;	/* what START_USER_RECOVERY says of a device without a disk */
};

FIXTURE_VARIANT_ADD(name, plain) { .recovery = -EINVAL };
FIXTURE_VARIANT_ADD(name, recoverable) {
	.features = UBLK_F_USER_RECOVERY,
	.recovery = -EBUSY,
};

static int write_to(const char *directory, const char *file, const char *value)
{
	char path[128];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static void take_name(struct __test_metadata *_metadata, FIXTURE_DATA(name) *self)
{
	char path[128];

	snprintf(path, sizeof(path), CONFIGFS "/nullb/ublkb%d", self->device.id);
	ASSERT_EQ(0, mkdir(path, 0755));
	strcpy(self->other, path);
	EXPECT_EQ(0, write_to(self->other, "size", "1"));
	EXPECT_EQ(0, write_to(self->other, "memory_backed", "0"));
	ASSERT_EQ(0, write_to(self->other, "power", "1"));
	snprintf(path, sizeof(path), "/sys/block/ublkb%d", self->device.id);
	ASSERT_EQ(0, access(path, F_OK)) {
		TH_LOG("null_blk gives its disk another name");
	}
}

static void give_name_back(struct __test_metadata *_metadata, FIXTURE_DATA(name) *self)
{
	if (!self->other[0])
		return;
	write_to(self->other, "power", "0");
	EXPECT_EQ(0, rmdir(self->other));
	self->other[0] = 0;
}

FIXTURE_SETUP(name)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	raw_none(&self->device, &self->server);
	self->other[0] = 0;
	ASSERT_EQ(0, system("modprobe null_blk nr_devices=0"));
	self->mounted = access(CONFIGFS "/nullb", F_OK) &&
			!mount("configfs", CONFIGFS, "configfs", 0, NULL);
	info.flags = variant->features;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_EQ(variant->features, self->device.info.flags & variant->features);
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	raw_fetch_all(&self->server);
	raw_pump(&self->server, 0);
	take_name(_metadata, self);
}

FIXTURE_TEARDOWN(name)
{
	int id = self->device.id;

	give_name_back(_metadata, self);
	if (self->mounted)
		EXPECT_EQ(0, umount(CONFIGFS));
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
	EXPECT_EQ(0, raw_reuse(id));
}

/* The kernel itself tells of a name that is used twice, with a stack: that is not to be a bug. */
static int start_in_vain(int id)
{
	int ret;

	write_to("/dev", "kmsg", "ublk-test: staged splat begins");
	ret = raw_start(id, getpid());
	write_to("/dev", "kmsg", "ublk-test: staged splat ends");
	return ret;
}

static void expect_no_disk(struct __test_metadata *_metadata, FIXTURE_DATA(name) *self,
			   int recovery)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct ublksrv_ctrl_dev_info info;
	struct ublk_params params;

	EXPECT_EQ(0, raw_get_info(self->device.id, &info));
	EXPECT_EQ(UBLK_S_DEV_DEAD, info.state);
	EXPECT_EQ(-1, info.ublksrv_pid);
	EXPECT_EQ(0, raw_get_params(self->device.id, &params));
	EXPECT_EQ(0, params.devt.disk_major);
	EXPECT_EQ(0, params.devt.disk_minor);
	EXPECT_EQ(recovery, raw_control(UBLK_U_CMD_START_USER_RECOVERY, &command));
	EXPECT_EQ(-ENODEV, raw_control(UBLK_U_CMD_TRY_STOP_DEV, &command));
	command.data[0] = 8;
	EXPECT_EQ(-ENODEV, raw_control(UBLK_U_CMD_UPDATE_SIZE, &command));
	/* as before a start */
	EXPECT_EQ(0, raw_set_params(self->device.id, &self->device.params));
}

static void expect_service(struct __test_metadata *_metadata, FIXTURE_DATA(name) *self)
{
	struct raw_request request;
	struct raw_io io;

	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	raw_fill(raw_buffer(&self->server, 0, request.tag), RAW_TEST_OFFSET, 4096);
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(io.buffer, RAW_TEST_OFFSET, 4096));
}

TEST_F(name, and_free_again)
{
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		EXPECT_EQ(-EEXIST, start_in_vain(self->device.id));
		expect_no_disk(_metadata, self, variant->recovery);
	}
	give_name_back(_metadata, self);
	ASSERT_EQ(0, raw_server_go(&self->server));
	expect_service(_metadata, self);
}

TEST_F(name, and_the_device_is_stopped)
{
	EXPECT_EQ(-EEXIST, start_in_vain(self->device.id));
	EXPECT_EQ(0, raw_stop(self->device.id));
	expect_no_disk(_metadata, self, variant->recovery);
	/* the server was sent away, as from a device that ran */
	raw_pump(&self->server, 1000);
	EXPECT_EQ(4, self->server.aborted);
	raw_server_close(&self->server);

	give_name_back(_metadata, self);
	ASSERT_EQ(0, raw_server_open_next(&self->server, &self->device));
	ASSERT_EQ(0, raw_server_start(&self->server));
	expect_service(_metadata, self);
}

TEST_F(name, and_the_server_leaves)
{
	EXPECT_EQ(-EEXIST, start_in_vain(self->device.id));
	raw_server_close(&self->server);
	expect_no_disk(_metadata, self, variant->recovery);
}

TEST_F(name, and_the_device_is_deleted)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);

	EXPECT_EQ(-EEXIST, start_in_vain(self->device.id));
	EXPECT_EQ(0, raw_control(UBLK_U_CMD_DEL_DEV_ASYNC, &command));
	raw_pump(&self->server, 1000);
	EXPECT_EQ(4, self->server.aborted);
}

TEST_HARNESS_MAIN
