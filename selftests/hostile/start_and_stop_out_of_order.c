// SPDX-License-Identifier: GPL-2.0-only
/*
 * START_DEV, STOP_DEV and DEL_DEV in every wrong order, twice, from the wrong process, interrupted,
 * and in the middle of fetching: each ends in bounded time and the device can still be deleted.
 */
// # timeout: 240
#include <kselftest_harness.h>

#include <fcntl.h>

#include "raw.h"

FIXTURE(life)
{
	struct raw_device device;
	struct raw_server server;
};

FIXTURE_SETUP(life)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 2, 8));
}

FIXTURE_TEARDOWN(life)
{
	int id = self->device.id;

	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
	EXPECT_EQ(0, raw_reuse(id));
}

static struct ublksrv_ctrl_cmd start_command(struct raw_device *device, pid_t pid)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(device->id);

	command.data[0] = pid;
	return command;
}

TEST_F(life, stop_and_delete_of_what_never_ran)
{
	int id = self->device.id;

	EXPECT_EQ(0, raw_stop(id));
	EXPECT_EQ(0, raw_stop(id));
	EXPECT_EQ(0, raw_delete(id));
	EXPECT_EQ(-ENODEV, raw_delete(id));
	EXPECT_EQ(-ENODEV, raw_stop(id));
	EXPECT_EQ(-ENODEV, raw_start(id, getpid()));
}

TEST_F(life, delete_without_waiting)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	int ret;

	EXPECT_EQ(0, raw_control(UBLK_U_CMD_DEL_DEV_ASYNC, &command));
	ret = raw_delete(self->device.id);
	EXPECT_TRUE(ret == 0 || ret == -ENODEV);
}

TEST_F(life, start_names_a_process)
{
	static const pid_t wrong[] = { 0, -1, INT32_MIN };
	unsigned int i;

	for (i = 0; i < 3; i++)
		EXPECT_EQ(-EINVAL, raw_start(self->device.id, wrong[i]));
}

TEST_F(life, start_for_another_process_is_refused)
{
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	raw_fetch_all(&self->server);
	raw_pump(&self->server, 0);
	EXPECT_EQ(-EINVAL, raw_start(self->device.id, getppid()));
	EXPECT_EQ(-EINVAL, raw_start(self->device.id, 1));
	EXPECT_EQ(-EINVAL, raw_start(self->device.id, (1 << 22) - 1));
	/* none of this spoiled the round */
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_server_go(&self->server));
}

TEST_F(life, start_twice)
{
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	EXPECT_EQ(-EEXIST, raw_start(self->device.id, getpid()));
	EXPECT_EQ(0, self->server.fault);
}

/* Nobody said that the server has to come first. */
TEST_F(life, start_waits_for_the_last_fetch)
{
	struct ublksrv_ctrl_cmd command = start_command(&self->device, getpid());
	struct raw_control control;
	unsigned int tag;
	int result;

	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_START_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	for (tag = 0; tag < self->server.depth; tag++)
		EXPECT_EQ(RAW_PARKED, raw_fetch(&self->server, 0, tag));
	for (tag = 0; tag < self->server.depth - 1; tag++)
		EXPECT_EQ(RAW_PARKED, raw_fetch(&self->server, 1, tag));
	EXPECT_FALSE(raw_control_poll(&control, &result));
	raw_io_queue(&self->server, UBLK_U_IO_FETCH_REQ, 1, tag, 0,
		     (unsigned long)raw_buffer(&self->server, 1, tag));
	EXPECT_EQ(0, raw_serve_control(&self->server, &control));
}

/* An ignored -EINTR once started devices half. */
TEST_F(life, start_can_be_interrupted)
{
	struct ublksrv_ctrl_cmd command = start_command(&self->device, getpid());
	struct ublksrv_ctrl_dev_info info;
	struct raw_control control;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	EXPECT_EQ(RAW_PARKED, raw_fetch(&self->server, 0, 0));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_START_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	ASSERT_EQ(0, raw_control_cancel(&control));
	EXPECT_EQ(-EINTR, raw_control_wait(&control, RAW_DEATH_DEADLINE));
	raw_control_end(&control);
	EXPECT_EQ(0, raw_get_info(self->device.id, &info));
	EXPECT_EQ(UBLK_S_DEV_DEAD, info.state);
	EXPECT_EQ(-ENOENT, raw_open_block(self->device.id, O_RDONLY));
	/* The disk of a start that goes on behind the answer may come later. */
	EXPECT_EQ(0, raw_set_params(self->device.id, &self->device.params));
}

TEST_F(life, whoever_starts_may_be_killed)
{
	struct ublksrv_ctrl_cmd command = start_command(&self->device, getpid());
	struct raw_shared *shared = raw_share();
	struct raw_control control;
	pid_t pid = raw_fork();

	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (raw_control_begin(&control, UBLK_U_CMD_START_DEV, &command))
			_exit(1);
		raw_control_wait(&control, 100);
		atomic_store(&shared->go, 1);
		raw_control_wait(&control, RAW_DEADLINE);
		_exit(2);
	}
	ASSERT_EQ(0, raw_await(&shared->go, 1, RAW_DEADLINE));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	EXPECT_EQ(SIGKILL, raw_reap(pid, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, raw_delete(self->device.id));
}

TEST_F(life, stop_ends_a_start_that_waits)
{
	struct ublksrv_ctrl_cmd command = start_command(&self->device, getpid());
	struct raw_control control;
	int ret;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	EXPECT_EQ(RAW_PARKED, raw_fetch(&self->server, 0, 0));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_START_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	EXPECT_EQ(0, raw_stop(self->device.id));
	ret = raw_control_wait(&control, RAW_DEATH_DEADLINE);
	EXPECT_TRUE(ret == -EBUSY || ret == -EINVAL || ret == -ENODEV || ret == -EINTR) {
		TH_LOG("START_DEV ended with %d", ret);
	}
	raw_control_end(&control);
	/* the parked command came back, and another is not taken in this round */
	raw_pump(&self->server, 500);
	EXPECT_EQ(1, self->server.aborted);
	EXPECT_EQ(UBLK_IO_RES_ABORT,
		  raw_fetch(&self->server, 0, 1));
}

/* Every tag was fetched, and no longer is: that was a server, and is none. */
TEST_F(life, a_server_that_was_sent_away_is_not_started)
{
	struct ublksrv_ctrl_dev_info info;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	raw_fetch_all(&self->server);
	raw_pump(&self->server, 0);
	EXPECT_EQ(0, raw_stop(self->device.id));
	EXPECT_EQ(-EBUSY, raw_start(self->device.id, getpid()));
	EXPECT_EQ(0, raw_get_info(self->device.id, &info));
	EXPECT_EQ(UBLK_S_DEV_DEAD, info.state);
	EXPECT_EQ(-ENOENT, raw_open_block(self->device.id, O_RDONLY));

	raw_server_close(&self->server);
	ASSERT_EQ(0, raw_server_open_next(&self->server, &self->device));
	EXPECT_EQ(0, raw_server_start(&self->server));
}

TEST_F(life, delete_waits_for_an_open_server_and_can_be_interrupted)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;
	long long end;
	int ret;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_DEL_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	ASSERT_EQ(0, raw_control_cancel(&control));
	EXPECT_EQ(-EINTR, raw_control_wait(&control, RAW_DEATH_DEADLINE));
	raw_control_end(&control);
	raw_server_close(&self->server);
	/* the delete was begun: it ends with the server, without another command */
	end = raw_now_ms() + RAW_DEATH_DEADLINE;
	do {
		raw_pause();
		ret = raw_reuse(self->device.id);
	} while (ret == -EEXIST && raw_now_ms() < end);
	EXPECT_EQ(0, ret);
}

TEST_F(life, stop_while_the_server_fetches)
{
	unsigned int queue, tag, i;

	for (i = 0; i < 10; i++) {
		struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
		struct raw_control control;

		ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
		for (queue = 0; queue < self->server.queues; queue++) {
			for (tag = 0; tag < self->server.depth; tag++) {
				raw_io_queue(&self->server, UBLK_U_IO_FETCH_REQ, queue, tag, 0,
					     (unsigned long)raw_buffer(&self->server, queue, tag));
				raw_ring_submit(&self->server.ring, 0);
				if (queue * self->server.depth + tag == i)
					ASSERT_EQ(0, raw_control_begin(&control,
								       UBLK_U_CMD_STOP_DEV,
								       &command));
			}
		}
		EXPECT_EQ(0, raw_serve_control(&self->server, &control));
		while (self->server.parked && raw_pump(&self->server, 500))
			;
		EXPECT_EQ(0, self->server.parked);
		EXPECT_EQ(0, self->server.fault);
		EXPECT_EQ(self->server.queues * self->server.depth, self->server.aborted);
		raw_server_close(&self->server);
	}
}

TEST_F(life, a_server_may_close_before_start)
{
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	raw_fetch_all(&self->server);
	raw_pump(&self->server, 0);
	raw_server_close(&self->server);
}

/* A stopped device may be served again, once the old server let go of it. */
TEST_F(life, stopped_then_started_again)
{
	struct ublksrv_ctrl_dev_info info;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
		struct raw_control control;
		long long end = raw_now_ms() + RAW_DEATH_DEADLINE;
		int ret;

		while ((ret = raw_server_open(&self->server, &self->device, 0)) == -EBUSY &&
		       raw_now_ms() < end)
			raw_pause();
		ASSERT_EQ(0, ret);
		ASSERT_EQ(0, raw_server_start(&self->server));
		EXPECT_EQ(0, raw_get_info(self->device.id, &info));
		EXPECT_EQ(UBLK_S_DEV_LIVE, info.state);
		EXPECT_EQ(getpid(), info.ublksrv_pid);
		ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
		EXPECT_EQ(0, raw_serve_control(&self->server, &control));
		while (self->server.parked && raw_pump(&self->server, 500))
			;
		EXPECT_EQ(16, self->server.aborted);
		EXPECT_EQ(0, raw_get_info(self->device.id, &info));
		EXPECT_EQ(UBLK_S_DEV_DEAD, info.state);
		EXPECT_EQ(-1, info.ublksrv_pid);
		raw_server_close(&self->server);
	}
}

/* del_gendisk() waits for the request the server holds; the server answers it afterwards. */
TEST_F(life, stop_waits_for_what_the_server_holds)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;
	struct raw_request request;
	struct raw_io io;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 300));
	raw_io_queue(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request.queue, request.tag,
		     4096, (unsigned long)raw_buffer(&self->server, request.queue, request.tag));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_EQ(0, raw_serve_control(&self->server, &control));
	EXPECT_EQ(0, self->server.fault);
}

TEST_F(life, two_deletes_at_once)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control first, second;
	int ret;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	ASSERT_EQ(0, raw_control_begin(&first, UBLK_U_CMD_DEL_DEV, &command));
	ASSERT_EQ(0, raw_control_begin(&second, UBLK_U_CMD_DEL_DEV, &command));
	while (self->server.parked && raw_pump(&self->server, 2000))
		;
	EXPECT_EQ(0, self->server.parked);
	raw_server_close(&self->server);
	EXPECT_EQ(0, raw_control_wait(&first, RAW_DEADLINE));
	ret = raw_control_wait(&second, RAW_DEADLINE);
	EXPECT_TRUE(ret == 0 || ret == -ENODEV);
	raw_control_end(&first);
	raw_control_end(&second);
}

TEST_HARNESS_MAIN
