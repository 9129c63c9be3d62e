// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands from a thread or process that did not fetch the tag: a request is committed only by the
 * task it was delivered to, wherever else the file has gone.
 */
// # timeout: 90
#include <kselftest_harness.h>

#include "raw.h"

FIXTURE(task)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_request request;
	struct raw_io io;
};

/* The test's thread serves, and holds one request. */
FIXTURE_SETUP(task)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 1, 4));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	ASSERT_EQ(0, raw_io_start(&self->io, &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &self->request));
}

/* Whatever others did, the request is still the server's to finish. */
FIXTURE_TEARDOWN(task)
{
	raw_fill(raw_buffer(&self->server, 0, self->request.tag), RAW_TEST_OFFSET, 4096);
	EXPECT_FALSE(atomic_load(&self->io.done));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &self->request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->io.buffer, RAW_TEST_OFFSET, 4096));
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

struct attempt {
	int chr;
	unsigned int op;
	struct ublksrv_io_cmd command;
	int result;
};

static void *attempt_thread(void *argument)
{
	struct attempt *attempt = argument;

	attempt->result = raw_single_command(attempt->chr, attempt->op, &attempt->command, 1000);
	return NULL;
}

static int from_thread(struct attempt *attempt)
{
	pthread_t thread;

	attempt->result = -ECHILD;
	if (!pthread_create(&thread, NULL, attempt_thread, attempt))
		pthread_join(thread, NULL);
	return attempt->result;
}

static int from_process(struct attempt *attempt)
{
	pid_t pid = raw_fork();
	int status;

	if (pid == 0) {
		attempt_thread(attempt);
		_exit(attempt->result < 0 ? -attempt->result : 255);
	}
	status = raw_reap(pid, RAW_DEADLINE);
	return status < 0 ? status : -WEXITSTATUS(status);
}

static struct attempt attempt_of(FIXTURE_DATA(task) *self, unsigned int op, unsigned int tag)
{
	struct attempt attempt = {
		.chr = self->server.chr,
		.op = op,
		.command = {
			.tag = tag,
			.result = 4096,
			.addr = (unsigned long)raw_buffer(&self->server, 0, tag),
		},
	};

	return attempt;
}

TEST_F(task, another_thread_commits_what_the_server_holds)
{
	struct attempt attempt = attempt_of(self, UBLK_U_IO_COMMIT_AND_FETCH_REQ,
					    self->request.tag);

	EXPECT_EQ(-EINVAL, from_thread(&attempt));
}

TEST_F(task, another_thread_commits_what_nobody_holds)
{
	struct attempt attempt = attempt_of(self, UBLK_U_IO_COMMIT_AND_FETCH_REQ,
					    (self->request.tag + 1) % 4);
	int ret = from_thread(&attempt);

	EXPECT_TRUE(ret == -EINVAL || ret == -EBUSY);
}

TEST_F(task, another_thread_fetches)
{
	unsigned int tag;

	for (tag = 0; tag < 4; tag++) {
		struct attempt attempt = attempt_of(self, UBLK_U_IO_FETCH_REQ, tag);
		int ret = from_thread(&attempt);

		EXPECT_TRUE(ret == -EINVAL || ret == -EBUSY);
	}
}

TEST_F(task, another_process_commits_and_fetches)
{
	struct attempt attempt = attempt_of(self, UBLK_U_IO_COMMIT_AND_FETCH_REQ,
					    self->request.tag);
	int ret;

	EXPECT_EQ(-EINVAL, from_process(&attempt));
	attempt = attempt_of(self, UBLK_U_IO_FETCH_REQ, self->request.tag);
	ret = from_process(&attempt);
	EXPECT_TRUE(ret == -EINVAL || ret == -EBUSY);
}

TEST_F(task, another_thread_asks_for_data)
{
	struct attempt attempt = attempt_of(self, UBLK_U_IO_NEED_GET_DATA, self->request.tag);
	int ret = from_thread(&attempt);

	EXPECT_TRUE(ret == -EINVAL || ret == -EBUSY);
}

/* A ring may be shared: what counts is who submits. */
static void *submit_on_servers_ring(void *argument)
{
	struct raw_server *server = argument;

	raw_ring_submit(&server->ring, 0);
	return NULL;
}

TEST_F(task, another_thread_submits_on_the_servers_ring)
{
	struct raw_server *server = &self->server;
	pthread_t thread;

	raw_io_queue(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, self->request.tag, 4096,
		     (unsigned long)raw_buffer(server, 0, self->request.tag));
	ASSERT_EQ(0, pthread_create(&thread, NULL, submit_on_servers_ring, server));
	pthread_join(thread, NULL);
	raw_pump(server, 1000);
	EXPECT_EQ(-EINVAL, server->fault);
	server->fault = 0;
}

/* A tag that two tasks fetch has one of them as its server, and the round still ends. */
FIXTURE(split)
{
	struct raw_device device;
	struct raw_server server;
};

FIXTURE_SETUP(split)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 1, 4));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
}

FIXTURE_TEARDOWN(split)
{
	int id = self->device.id;

	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
	EXPECT_EQ(0, raw_reuse(id));
}

/* The thread that fetched is gone, its ring with it: the device must notice, not wait for it. */
TEST_F(split, a_thread_fetches_and_exits)
{
	struct attempt attempt = {
		.chr = self->server.chr,
		.op = UBLK_U_IO_FETCH_REQ,
		.command = { .addr = (unsigned long)self->server.buffers },
	};
	unsigned int tag;
	int ret;

	for (tag = 0; tag < 4; tag++) {
		attempt.command.tag = tag;
		ret = from_thread(&attempt);
		EXPECT_TRUE(ret == RAW_PARKED || ret == UBLK_IO_RES_ABORT || ret == -EINVAL) {
			TH_LOG("fetch returned %d", ret);
		}
	}
}

TEST_F(split, a_process_fetches_and_exits)
{
	struct attempt attempt = {
		.chr = self->server.chr,
		.op = UBLK_U_IO_FETCH_REQ,
		.command = { .addr = (unsigned long)self->server.buffers },
	};

	EXPECT_NE(-ETIME, from_process(&attempt));
	attempt.command.tag = 3;
	EXPECT_NE(-ETIME, from_process(&attempt));
}

TEST_HARNESS_MAIN
