// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server dies in every way there is, at every moment, on every kind of ring. The users' I/O ends
 * within five seconds, nobody hangs, and the device is deleted and its id reused.
 */
// # timeout: 600
#include <kselftest_harness.h>

#include <fcntl.h>
#include <signal.h>

#include "raw.h"

#ifndef IORING_SETUP_SINGLE_ISSUER
#define IORING_SETUP_SINGLE_ISSUER (1U << 12)
#endif
#ifndef IORING_SETUP_DEFER_TASKRUN
#define IORING_SETUP_DEFER_TASKRUN (1U << 13)
#endif

FIXTURE(death)
{
	struct raw_device device;
	struct raw_shared *shared;
	struct raw_io io[4];
	pid_t pid;
};

FIXTURE_VARIANT(death)
{
	struct raw_style style;
};

FIXTURE_VARIANT_ADD(death, plain) { .style = { .ring_flags = 0 } };
FIXTURE_VARIANT_ADD(death, sqpoll) { .style = { .ring_flags = IORING_SETUP_SQPOLL } };
FIXTURE_VARIANT_ADD(death, coop) { .style = { .ring_flags = IORING_SETUP_COOP_TASKRUN } };
FIXTURE_VARIANT_ADD(death, defer) {
	.style = { .ring_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN },
};
/* every command starts in a worker thread of io_uring */
FIXTURE_VARIANT_ADD(death, async) { .style = { .sqe_flags = IOSQE_ASYNC } };
FIXTURE_VARIANT_ADD(death, registered) { .style = { .registered_file = true } };

FIXTURE_SETUP(death)
{
	raw_none(&self->device, NULL);
	self->pid = -1;
	self->shared = raw_share();
	ASSERT_NE(NULL, self->shared);
	ASSERT_EQ(0, raw_add(&self->device, 2, 4));
}

/* Every test ends here: the server is gone, the device can go, the id is free. */
FIXTURE_TEARDOWN(death)
{
	EXPECT_EQ(0, raw_kill(&self->device, self->pid));
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(death) *self,
		  const struct raw_style *style)
{
	self->pid = raw_server_fork(&self->device, self->shared, style);
	ASSERT_LT(0, self->pid);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->device.id, self->pid));
}

/* @held requests reach the server, which never answers. */
static void hold(struct __test_metadata *_metadata, FIXTURE_DATA(death) *self, unsigned int held)
{
	unsigned int i;

	for (i = 0; i < held; i++)
		ASSERT_EQ(0, raw_io_start(&self->io[i], &self->device,
					  i % 2 ? RAW_WRITE : RAW_READ, raw_pages(4096), 4096,
					  RAW_TEST_OFFSET + i * 65536));
	ASSERT_EQ(0, raw_await(&self->shared->caught, held, RAW_DEADLINE));
}

static void expect_errors(struct __test_metadata *_metadata, FIXTURE_DATA(death) *self,
			  unsigned int held)
{
	long long begin = raw_now_ms();
	unsigned int i;

	for (i = 0; i < held; i++) {
		ssize_t ret = raw_io_wait(&self->io[i], NULL, RAW_DEATH_DEADLINE);

		EXPECT_TRUE(ret < 0 && ret != -ETIME) {
			TH_LOG("I/O %u returned %zd", i, ret);
		}
	}
	TH_LOG("I/O ended after %lld ms", raw_now_ms() - begin);
}

static void end(struct __test_metadata *_metadata, FIXTURE_DATA(death) *self, int signal)
{
	if (signal)
		ASSERT_EQ(0, kill(self->pid, signal));
	EXPECT_EQ(signal, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

/* What comes after the server's death fails at once, if the disk is there at all. */
static void expect_no_service(struct __test_metadata *_metadata, FIXTURE_DATA(death) *self)
{
	struct raw_io io;
	ssize_t ret;

	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	ret = raw_io_wait(&io, NULL, RAW_DEATH_DEADLINE);
	EXPECT_TRUE(ret <= 0 && ret != -ETIME) {
		TH_LOG("late I/O returned %zd", ret);
	}
}

TEST_F(death, killed_while_idle)
{
	start(_metadata, self, &variant->style);
	end(_metadata, self, SIGKILL);
	expect_no_service(_metadata, self);
}

TEST_F(death, killed_while_it_holds_requests)
{
	start(_metadata, self, &variant->style);
	hold(_metadata, self, 3);
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	expect_errors(_metadata, self, 3);
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
	expect_no_service(_metadata, self);
}

TEST_F(death, killed_by_sigterm)
{
	start(_metadata, self, &variant->style);
	hold(_metadata, self, 1);
	ASSERT_EQ(0, kill(self->pid, SIGTERM));
	expect_errors(_metadata, self, 1);
	EXPECT_EQ(SIGTERM, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

TEST_F(death, stopped_process_is_killed)
{
	start(_metadata, self, &variant->style);
	hold(_metadata, self, 1);
	ASSERT_EQ(0, kill(self->pid, SIGSTOP));
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	expect_errors(_metadata, self, 1);
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

/* A user waits in the kernel for a server that does not even run task work. */
TEST_F(death, requests_wait_for_a_stopped_process_that_is_killed)
{
	ssize_t ret;

	start(_metadata, self, &variant->style);
	ASSERT_EQ(0, kill(self->pid, SIGSTOP));
	ASSERT_EQ(0, raw_io_start(&self->io[0], &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	EXPECT_EQ(-ETIME, raw_io_wait(&self->io[0], NULL, 300));
	end(_metadata, self, SIGKILL);
	/* it may even have waited to open the disk: then it reads the end of a disk that is gone */
	ret = raw_io_wait(&self->io[0], NULL, RAW_DEATH_DEADLINE);
	EXPECT_TRUE(ret <= 0 && ret != -ETIME);
}

TEST_F(death, killed_in_the_middle_of_traffic)
{
	unsigned int i;

	start(_metadata, self, &variant->style);
	hold(_metadata, self, 2);
	/* more than the two queues of four tags can take: some wait in the block layer */
	for (i = 2; i < 4; i++)
		ASSERT_EQ(0, raw_io_start(&self->io[i], &self->device, RAW_READ,
					  raw_pages(1 << 20), 1 << 20,
					  RAW_TEST_OFFSET + (1 << 20)));
	ASSERT_EQ(0, raw_await(&self->shared->caught, 4, RAW_DEADLINE));
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	expect_errors(_metadata, self, 2);
	/* of these one may not even have begun: it reads the end of a disk that is gone */
	for (i = 2; i < 4; i++) {
		ssize_t ret = raw_io_wait(&self->io[i], NULL, RAW_DEATH_DEADLINE);

		EXPECT_TRUE(ret <= 0 && ret != -ETIME);
	}
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

/* A server that does @act to itself once it holds a request, or at once if @partial. */
enum act {
	EXIT,
	EXIT_THREAD,
	EXEC,
	EXEC_KEEPS_FILE,
	FORK,
	CLOSE_RING,
	CLOSE_FILE,
	CLOSE_EVERYTHING,
	UNMAP_BUFFERS,
};

static void do_act(struct raw_server *server, enum act act, atomic_int *child)
{
	pid_t pid;

	switch (act) {
	case EXIT:
		_exit(0);
	case EXIT_THREAD:
		/* the leader alone: the process has no other thread, so this is its end */
		pthread_exit(NULL);
	case EXEC:
		if (server->chr >= 0)
			fcntl(server->chr, F_SETFD, FD_CLOEXEC);
		execl("/bin/sleep", "sleep", "600", NULL);
		_exit(1);
	case EXEC_KEEPS_FILE:
		execl("/bin/sleep", "sleep", "600", NULL);
		_exit(1);
	case FORK:
		/* the child has the file and the ring, and lives until the test kills it */
		pid = fork();
		if (pid == 0) {
			alarm(60);
			for (;;)
				pause();
		}
		atomic_store(child, pid);
		break;
	case CLOSE_EVERYTHING:
		raw_server_close(server);
		break;
	case CLOSE_RING:
		raw_ring_close(&server->ring);
		break;
	case CLOSE_FILE:
		if (server->chr >= 0)
			close(server->chr);
		break;
	case UNMAP_BUFFERS:
		munmap(server->buffers, server->queues * server->depth * server->buffer_size);
		break;
	}
}

static void __attribute__((noreturn)) act_main(FIXTURE_DATA(death) *self,
					       const struct raw_style *style, enum act act,
					       unsigned int tags)
{
	struct raw_request request;
	struct raw_server server;
	unsigned int tag;

	if (raw_server_open_style(&server, &self->device, style))
		_exit(9);
	if (tags) {
		for (tag = 0; tag < tags; tag++)
			raw_io_queue(&server, UBLK_U_IO_FETCH_REQ, tag / 4, tag % 4, 0,
				     (unsigned long)server.buffers);
	} else {
		raw_fetch_all(&server);
	}
	raw_ring_submit(&server.ring, 0);
	atomic_store(&self->shared->fetched, server.parked);
	if (tags)
		raw_pump(&server, 100);
	else
		raw_catch(&server, &request);
	atomic_fetch_add(&self->shared->caught, 1);
	while (!atomic_load(&self->shared->go))
		raw_pause();
	do_act(&server, act, &self->shared->child);
	atomic_store(&self->shared->go, 2);
	for (;;)
		raw_pause();
}

static void start_act(struct __test_metadata *_metadata, FIXTURE_DATA(death) *self,
		      const struct raw_style *style, enum act act, unsigned int tags)
{
	self->pid = raw_fork();
	if (self->pid == 0)
		act_main(self, style, act, tags);
	ASSERT_LT(0, self->pid);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	if (!tags) {
		ASSERT_EQ(0, raw_start(self->device.id, self->pid));
		hold(_metadata, self, 1);
	}
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	atomic_store(&self->shared->go, 1);
}

TEST_F(death, exits_without_stop)
{
	start_act(_metadata, self, &variant->style, EXIT, 0);
	expect_errors(_metadata, self, 1);
	end(_metadata, self, 0);
	expect_no_service(_metadata, self);
}

TEST_F(death, its_thread_exits)
{
	start_act(_metadata, self, &variant->style, EXIT_THREAD, 0);
	expect_errors(_metadata, self, 1);
	end(_metadata, self, 0);
}

/* exec() waits for io_uring, which waits for the driver. */
TEST_F(death, executes_another_program)
{
	start_act(_metadata, self, &variant->style, EXEC, 0);
	expect_errors(_metadata, self, 1);
	expect_no_service(_metadata, self);
	/* the new program neither serves nor holds anything */
	EXPECT_EQ(0, raw_destroy(&self->device));
	self->device.id = -1;
	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
}

TEST_F(death, executes_another_program_that_inherits_the_file)
{
	long long limit = raw_now_ms() + RAW_DEATH_DEADLINE;

	start_act(_metadata, self, &variant->style, EXEC_KEEPS_FILE, 0);
	while (!raw_is_named(self->pid, "sleep") && raw_now_ms() < limit)
		raw_pause();
	EXPECT_TRUE(raw_is_named(self->pid, "sleep"));
	end(_metadata, self, SIGKILL);
	expect_errors(_metadata, self, 1);
}

/* The task lives on, the commands have nobody to come back to. */
TEST_F(death, closes_everything)
{
	start_act(_metadata, self, &variant->style, CLOSE_EVERYTHING, 0);
	ASSERT_EQ(0, raw_await(&self->shared->go, 2, RAW_DEATH_DEADLINE));
	expect_errors(_metadata, self, 1);
	expect_no_service(_metadata, self);
	EXPECT_EQ(0, raw_destroy(&self->device));
	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
}

TEST_F(death, closes_the_ring)
{
	start_act(_metadata, self, &variant->style, CLOSE_RING, 0);
	ASSERT_EQ(0, raw_await(&self->shared->go, 2, RAW_DEATH_DEADLINE));
	expect_no_service(_metadata, self);
	end(_metadata, self, SIGKILL);
	expect_errors(_metadata, self, 1);
}

TEST_F(death, closes_the_file)
{
	start_act(_metadata, self, &variant->style, CLOSE_FILE, 0);
	ASSERT_EQ(0, raw_await(&self->shared->go, 2, RAW_DEATH_DEADLINE));
	end(_metadata, self, SIGKILL);
	expect_errors(_metadata, self, 1);
	expect_no_service(_metadata, self);
}

TEST_F(death, unmaps_its_buffers_and_is_killed)
{
	start_act(_metadata, self, &variant->style, UNMAP_BUFFERS, 0);
	ASSERT_EQ(0, raw_await(&self->shared->go, 2, RAW_DEATH_DEADLINE));
	end(_metadata, self, SIGKILL);
	expect_errors(_metadata, self, 1);
}

/* Nobody is recorded as the server of a round that never became complete. */
TEST_F(death, fetches_some_and_exits)
{
	start_act(_metadata, self, &variant->style, EXIT, 5);
	end(_metadata, self, 0);
}

TEST_F(death, fetches_some_and_is_killed)
{
	start_act(_metadata, self, &variant->style, UNMAP_BUFFERS, 3);
	end(_metadata, self, SIGKILL);
}

TEST_F(death, fetches_some_and_closes_everything)
{
	start_act(_metadata, self, &variant->style, CLOSE_EVERYTHING, 3);
	ASSERT_EQ(0, raw_await(&self->shared->go, 2, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, raw_destroy(&self->device));
	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
}

TEST_F(death, fetches_some_and_executes_another_program)
{
	start_act(_metadata, self, &variant->style, EXEC, 3);
	EXPECT_EQ(0, raw_destroy(&self->device));
	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
}

TEST_F(death, fetches_all_and_dies_before_start)
{
	start_act(_metadata, self, &variant->style, UNMAP_BUFFERS, 8);
	end(_metadata, self, SIGKILL);
}

/* A new server takes the device after the first one left the round incomplete. */
TEST_F(death, the_next_server_starts_afresh)
{
	struct raw_server server;
	long long limit;
	int ret;

	start_act(_metadata, self, &variant->style, EXIT, 5);
	end(_metadata, self, 0);
	limit = raw_now_ms() + RAW_DEATH_DEADLINE;
	while ((ret = raw_server_open(&server, &self->device, 0)) == -EBUSY &&
	       raw_now_ms() < limit)
		raw_pause();
	ASSERT_EQ(0, ret);
	EXPECT_EQ(0, raw_server_start(&server));
	EXPECT_EQ(0, server.fault);
	raw_server_close(&server);
}

TEST_F(death, start_waits_for_a_server_that_is_killed)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;

	start_act(_metadata, self, &variant->style, UNMAP_BUFFERS, 5);
	command.data[0] = self->pid;
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_START_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	end(_metadata, self, SIGKILL);
	/* it may go on waiting for the next server, but not for ever once it is told to end */
	raw_control_cancel(&control);
	EXPECT_GT(0, raw_control_wait(&control, RAW_DEATH_DEADLINE));
	raw_control_end(&control);
}

/* The server is gone, whoever else has its file. */
TEST_F(death, killed_while_its_child_keeps_the_file)
{
	pid_t child;

	start_act(_metadata, self, &variant->style, FORK, 0);
	ASSERT_EQ(0, raw_await(&self->shared->go, 2, RAW_DEATH_DEADLINE));
	child = atomic_load(&self->shared->child);
	ASSERT_LT(0, child);
	end(_metadata, self, SIGKILL);
	expect_errors(_metadata, self, 1);
	expect_no_service(_metadata, self);
	EXPECT_EQ(0, kill(child, SIGKILL));
}

/* Whoever looks for partitions must not keep the device alive. */
TEST_F(death, killed_in_the_partition_scan)
{
	struct raw_style style = variant->style;

	style.hold_all = true;
	start(_metadata, self, &style);
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	end(_metadata, self, SIGKILL);
}

TEST_F(death, deleted_then_killed_in_the_partition_scan)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_style style = variant->style;
	struct raw_control control;

	style.hold_all = true;
	start(_metadata, self, &style);
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_DEL_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	end(_metadata, self, SIGKILL);
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEATH_DEADLINE));
	raw_control_end(&control);
}

/* The moment of death is anywhere: in a copy, a commit, a dispatch. */
TEST_F_TIMEOUT(death, killed_at_random_moments, 120)
{
	struct raw_style style = variant->style;
	unsigned int i, k, seed = 4711;

	style.answer_all = true;
	for (i = 0; i < 8; i++) {
		struct timespec pause = { .tv_nsec = rand_r(&seed) % 60000000 };

		atomic_store(&self->shared->fetched, 0);
		start(_metadata, self, &style);
		for (k = 0; k < 4; k++)
			ASSERT_EQ(0, raw_io_start(&self->io[k], &self->device,
						  k % 2 ? RAW_WRITE : RAW_READ, raw_pages(4 << 20),
						  4 << 20, RAW_TEST_OFFSET));
		nanosleep(&pause, NULL);
		end(_metadata, self, SIGKILL);
		for (k = 0; k < 4; k++)
			EXPECT_NE(-ETIME, raw_io_wait(&self->io[k], NULL, RAW_DEATH_DEADLINE));
		ASSERT_EQ(0, raw_destroy(&self->device));
		ASSERT_EQ(0, raw_add(&self->device, 2, 4));
	}
}

TEST_HARNESS_MAIN
