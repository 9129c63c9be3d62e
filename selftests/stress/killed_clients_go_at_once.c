// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every control command that has to wait can be killed: whoever sent it sleeps so that signals wake
 * him, is gone within 2 s of a SIGKILL, and the device can be deleted afterwards.
 */
// # timeout: 240
#include <kselftest_harness.h>

#include <fcntl.h>

#include "client.h"
#include "recoverable.h"
#include "zoned_server.h"

#define LENGTH 16384
#define RECOVERY (UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE)

FIXTURE(waiting)
{
	struct recoverable disk;
	struct client client;
	struct raw_io io;
	bool has_io;
};

FIXTURE_SETUP(waiting)
{
	raw_none(&self->disk.device, NULL);
	self->disk.pid = -1;
}

FIXTURE_TEARDOWN(waiting)
{
	int id = self->disk.device.id;

	EXPECT_EQ(0, recoverable_end(&self->disk));
	EXPECT_EQ(0, raw_reuse(id));
	if (self->has_io)
		EXPECT_NE(-ETIME, raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE));
}

static void expect_killable(struct __test_metadata *_metadata, FIXTURE_DATA(waiting) *self,
			    unsigned int op, __u64 data)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->disk.device.id);

	command.data[0] = data;
	ASSERT_EQ(0, client_send(&self->client, op, &command));
	EXPECT_TRUE(client_can_be_woken(&self->client));
	EXPECT_EQ(SIGKILL, client_kill(&self->client));
}

static void *shared_memory(void)
{
	void *memory = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			    0);

	if (memory != MAP_FAILED)
		memset(memory, 1, LENGTH);
	return memory;
}

/* A disk whose server has a request from @memory and does not answer. */
static void start_stuck(struct __test_metadata *_metadata, FIXTURE_DATA(waiting) *self,
			void *memory)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, HOLDS));
	ASSERT_EQ(0, raw_io_start(&self->io, &self->disk.device, RAW_WRITE, memory, LENGTH,
				  RAW_TEST_OFFSET));
	self->has_io = true;
	ASSERT_EQ(0, raw_await(&self->disk.shared->caught, 1, RAW_DEADLINE));
}

static void add_stuck(struct __test_metadata *_metadata, FIXTURE_DATA(waiting) *self,
		      __u64 features)
{
	ASSERT_EQ(0, recoverable_add(&self->disk, features, 1, 1));
	start_stuck(_metadata, self, raw_pages(LENGTH));
}

TEST_F(waiting, start_without_a_server)
{
	ASSERT_EQ(0, recoverable_add(&self->disk, 0, 1, 2));
	expect_killable(_metadata, self, UBLK_U_CMD_START_DEV, getpid());
}

TEST_F(waiting, start_before_every_fetch)
{
	ASSERT_EQ(0, recoverable_add(&self->disk, 0, 1, 2));
	ASSERT_EQ(0, recoverable_serve(&self->disk, FETCHES_SOME));
	expect_killable(_metadata, self, UBLK_U_CMD_START_DEV, self->disk.pid);
}

TEST_F(waiting, stop_with_a_stuck_server)
{
	add_stuck(_metadata, self, 0);
	expect_killable(_metadata, self, UBLK_U_CMD_STOP_DEV, 0);
}

TEST_F(waiting, delete_with_a_stuck_server)
{
	add_stuck(_metadata, self, 0);
	expect_killable(_metadata, self, UBLK_U_CMD_DEL_DEV, 0);
}

TEST_F(waiting, delete_async_with_a_stuck_server)
{
	add_stuck(_metadata, self, 0);
	expect_killable(_metadata, self, UBLK_U_CMD_DEL_DEV_ASYNC, 0);
}

TEST_F(waiting, delete_with_an_open_disk)
{
	int fd;

	ASSERT_EQ(0, recoverable_add(&self->disk, 0, 1, 2));
	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	fd = raw_open_block(self->disk.device.id, O_RDONLY);
	ASSERT_LE(0, fd);
	expect_killable(_metadata, self, UBLK_U_CMD_DEL_DEV, 0);
	close(fd);
}

TEST_F(waiting, delete_with_an_open_server)
{
	ASSERT_EQ(0, recoverable_add(&self->disk, 0, 1, 2));
	ASSERT_EQ(0, recoverable_serve(&self->disk, FETCHES_SOME));
	expect_killable(_metadata, self, UBLK_U_CMD_DEL_DEV, 0);
}

TEST_F(waiting, try_stop_during_the_search_for_partitions)
{
	ASSERT_EQ(0, recoverable_add(&self->disk, 0, 1, 2));
	ASSERT_EQ(0, recoverable_start(&self->disk, HOLDS_ALL));
	ASSERT_EQ(0, raw_await(&self->disk.shared->caught, 1, RAW_DEADLINE));
	expect_killable(_metadata, self, UBLK_U_CMD_TRY_STOP_DEV, 0);
}

TEST_F(waiting, quiesce_of_a_busy_queue)
{
	add_stuck(_metadata, self, RECOVERY | UBLK_F_QUIESCE);
	expect_killable(_metadata, self, UBLK_U_CMD_QUIESCE_DEV, 0);
}

TEST_F(waiting, end_of_recovery_before_every_fetch)
{
	ASSERT_EQ(0, recoverable_add(&self->disk, RECOVERY, 1, 2));
	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	ASSERT_EQ(0, recoverable_kill(&self->disk));
	ASSERT_EQ(0, recoverable_await_state(&self->disk, UBLK_S_DEV_QUIESCED));
	ASSERT_EQ(0, recoverable_begin_recovery(&self->disk));
	ASSERT_EQ(0, recoverable_serve(&self->disk, FETCHES_SOME));
	expect_killable(_metadata, self, UBLK_U_CMD_END_USER_RECOVERY, self->disk.pid);
}

TEST_F(waiting, unregister_of_a_buffer_in_use)
{
	struct ublk_shmem_buf_reg buffer = { .len = LENGTH };
	struct ublksrv_ctrl_cmd command;
	void *memory = shared_memory();

	ASSERT_NE(MAP_FAILED, memory);
	ASSERT_EQ(0, recoverable_add(&self->disk, UBLK_F_SHMEM_ZC, 1, 1));
	buffer.addr = (unsigned long)memory;
	command = raw_command_for(self->disk.device.id);
	command.addr = (unsigned long)&buffer;
	command.len = sizeof(buffer);
	ASSERT_EQ(0, raw_control(UBLK_U_CMD_REG_BUF, &command));
	start_stuck(_metadata, self, memory);
	expect_killable(_metadata, self, UBLK_U_CMD_UNREG_BUF, 0);
}

/* What a server tells of its zones is needed before there is a disk. */
FIXTURE(zoned)
{
	struct raw_device device;
	struct client starter;
	struct client client;
	struct disk *disk;
	pid_t server;
};

FIXTURE_VARIANT(zoned)
{
	unsigned int op;
	bool has_buffer;
};

FIXTURE_VARIANT_ADD(zoned, start_again) { .op = UBLK_U_CMD_START_DEV };
FIXTURE_VARIANT_ADD(zoned, stop) { .op = UBLK_U_CMD_STOP_DEV };
FIXTURE_VARIANT_ADD(zoned, delete) { .op = UBLK_U_CMD_DEL_DEV };
FIXTURE_VARIANT_ADD(zoned, delete_async) { .op = UBLK_U_CMD_DEL_DEV_ASYNC };
FIXTURE_VARIANT_ADD(zoned, get_params) { .op = UBLK_U_CMD_GET_PARAMS, .has_buffer = true };
FIXTURE_VARIANT_ADD(zoned, set_params) { .op = UBLK_U_CMD_SET_PARAMS, .has_buffer = true };

FIXTURE_SETUP(zoned)
{
	struct ublksrv_ctrl_cmd command;
	int ret = zoned_add(&self->device, &self->disk, &self->server);

	if (ret == -EOPNOTSUPP)
		SKIP(return, "lacks ZONED");
	ASSERT_EQ(0, ret);
	atomic_store(&self->disk->hang, 1);
	command = raw_command_for(self->device.id);
	command.data[0] = self->server;
	ASSERT_EQ(0, client_send(&self->starter, UBLK_U_CMD_START_DEV, &command));
}

FIXTURE_TEARDOWN(zoned)
{
	kill(self->server, SIGKILL);
	EXPECT_EQ(SIGKILL, raw_reap(self->server, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, raw_destroy(&self->device));
}

/* It is answered at once, or whoever sent it can be killed: both are in order. */
TEST_F(zoned, while_it_starts)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct ublk_params *params = &self->device.params;
	int ret;

	if (variant->has_buffer) {
		command.addr = (unsigned long)params;
		command.len = sizeof(*params);
	}
	if (variant->op == UBLK_U_CMD_START_DEV)
		command.data[0] = self->server;
	ret = client_send(&self->client, variant->op, &command);
	EXPECT_TRUE(ret == 0 || ret == -EALREADY || ret == -EBUSY || ret == -EACCES) {
		TH_LOG("the command ended with %d", ret);
	}
	if (ret == 0) {
		EXPECT_TRUE(client_can_be_woken(&self->client));
		EXPECT_EQ(SIGKILL, client_kill(&self->client));
	}
	EXPECT_TRUE(client_can_be_woken(&self->starter));
	EXPECT_EQ(SIGKILL, client_kill(&self->starter));
}

TEST_HARNESS_MAIN
