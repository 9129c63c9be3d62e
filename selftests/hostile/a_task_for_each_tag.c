// SPDX-License-Identifier: GPL-2.0-only
/* Every tag may be fetched and served by a task of its own. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <kselftest_harness.h>

#include "raw.h"

#define TAGS 4

struct worker {
	struct raw_server server;	/* the device's, with a ring of its own */
	struct tags *shared;
	unsigned int tag;
	pthread_t thread;
	unsigned int served;
	bool wrong;
};

struct tags {
	atomic_int holding;	/* workers that have a request at the same time */
	atomic_bool enough;
};

FIXTURE(tasks) {
	struct raw_device device;
	struct raw_server server;
	struct worker workers[TAGS];
	struct tags shared;
};

FIXTURE_SETUP(tasks)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, raw_add(&self->device, 1, TAGS));
}

FIXTURE_TEARDOWN(tasks)
{
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

/* Answers only once every worker has a request, the first time. */
static void serve(struct worker *worker)
{
	struct raw_server *server = &worker->server;
	struct raw_request request;
	char *buffer;

	if (!raw_catch(server, &request))
		return;
	if (request.tag != worker->tag)
		worker->wrong = true;
	if (!worker->served++)
		atomic_fetch_add(&worker->shared->holding, 1);
	raw_await(&worker->shared->holding, TAGS, RAW_DEADLINE);
	buffer = raw_buffer(server, 0, request.tag);
	raw_fill(buffer, request.descriptor.start_sector << 9, raw_request_bytes(&request));
	raw_io_queue(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, request.tag,
		     raw_request_bytes(&request), (unsigned long)buffer);
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct raw_server *server = &worker->server;

	if (raw_ring_open(&server->ring, 8, 0))
		return NULL;
	raw_io_queue(server, UBLK_U_IO_FETCH_REQ, 0, worker->tag, 0,
		     (unsigned long)raw_buffer(server, 0, worker->tag));
	while (!atomic_load(&worker->shared->enough)) {
		raw_pump(server, 20);
		if (server->caught_count)
			serve(worker);
	}
	raw_ring_close(&server->ring);
	return NULL;
}

TEST_F(tasks, serve_at_the_same_time)
{
	struct raw_io io[TAGS];
	unsigned int i;

	EXPECT_EQ(UBLK_F_PER_IO_DAEMON, self->device.info.flags & UBLK_F_PER_IO_DAEMON);
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	for (i = 0; i < TAGS; i++) {
		struct worker *worker = &self->workers[i];

		worker->server = self->server;
		worker->server.caught = calloc(TAGS, sizeof(*worker->server.caught));
		worker->shared = &self->shared;
		worker->tag = i;
		ASSERT_EQ(0, pthread_create(&worker->thread, NULL, work, worker));
	}
	ASSERT_EQ(0, raw_start(self->device.id, getpid()));
	for (i = 0; i < TAGS; i++)
		ASSERT_EQ(0, raw_io_start(&io[i], &self->device, RAW_READ, raw_pages(1 << 20),
					  1 << 20, RAW_TEST_OFFSET));
	for (i = 0; i < TAGS; i++) {
		EXPECT_EQ(1 << 20, raw_io_wait(&io[i], NULL, RAW_DEADLINE));
		EXPECT_TRUE(raw_matches(io[i].buffer, RAW_TEST_OFFSET, 1 << 20));
	}
	EXPECT_EQ(TAGS, atomic_load(&self->shared.holding));
	atomic_store(&self->shared.enough, true);
	for (i = 0; i < TAGS; i++) {
		pthread_join(self->workers[i].thread, NULL);
		EXPECT_LT(0, self->workers[i].served);
		EXPECT_FALSE(self->workers[i].wrong);
		free(self->workers[i].server.caught);
	}
}

/* Keeps its request until the others have theirs, then serves until it is told to end. Its ring stays. */
static void *leave(void *argument)
{
	struct worker *worker = argument;
	struct raw_server *server = &worker->server;
	struct raw_request request;

	if (raw_ring_open(&server->ring, 8, 0))
		return NULL;
	raw_io_queue(server, UBLK_U_IO_FETCH_REQ, 0, worker->tag, 0,
		     (unsigned long)raw_buffer(server, 0, worker->tag));
	while (!atomic_load(&worker->shared->enough)) {
		raw_pump(server, 5);
		if (!server->caught_count || !atomic_load(&worker->shared->holding))
			continue;
		raw_catch(server, &request);
		raw_commit(server, &request, 4096);
	}
	return NULL;
}

static unsigned int count_done(struct raw_io *io, unsigned int count)
{
	unsigned int done = 0;

	while (count--)
		done += atomic_load(&io[count].done);
	return done;
}

/*
 * A request is sent to a task that has just ended. The server is gone, but what its other tasks have
 * they may still commit.
 */
TEST_F(tasks, keep_what_they_have_when_one_ends)
{
	struct worker *worker = &self->workers[0];
	struct raw_request requests[TAGS - 1];
	struct raw_io io[TAGS], last;
	unsigned int i;
	ssize_t result;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	worker->server = self->server;
	worker->server.caught = calloc(TAGS, sizeof(*worker->server.caught));
	worker->shared = &self->shared;
	for (i = 1; i < TAGS; i++)
		raw_io_queue(&self->server, UBLK_U_IO_FETCH_REQ, 0, i, 0,
			     (unsigned long)raw_buffer(&self->server, 0, i));
	raw_pump(&self->server, 0);
	ASSERT_EQ(0, pthread_create(&worker->thread, NULL, leave, worker));
	ASSERT_EQ(0, raw_server_go(&self->server));

	/* one for each tag; then the other task answers its own */
	for (i = 0; i < TAGS; i++)
		ASSERT_EQ(0, raw_io_start(&io[i], &self->device, RAW_READ, raw_pages(4096), 4096,
					  RAW_TEST_OFFSET + i * 4096));
	for (i = 0; i < TAGS - 1; i++)
		ASSERT_TRUE(raw_catch(&self->server, &requests[i]));
	atomic_store(&self->shared.holding, 1);
	while (!count_done(io, TAGS))
		raw_pump(&self->server, 5);
	atomic_store(&self->shared.enough, true);
	pthread_join(worker->thread, NULL);
	ASSERT_EQ(0, raw_io_start(&last, &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	/* at once if it was sent to the task; who just opens the disk may wait for the others */
	result = raw_io_wait(&last, NULL, 1000);
	for (i = 0; i < TAGS - 1; i++)
		raw_commit(&self->server, &requests[i], 4096);
	for (i = 0; i < TAGS; i++)
		EXPECT_EQ(4096, raw_io_wait(&io[i], NULL, RAW_DEADLINE));
	if (result == -ETIME)
		result = raw_io_wait(&last, NULL, RAW_DEADLINE);
	EXPECT_GT(0, result);
	EXPECT_NE(-ETIME, result);
	raw_ring_close(&worker->server.ring);
	free(worker->server.caught);
}

TEST_HARNESS_MAIN
