// SPDX-License-Identifier: GPL-2.0-only
/*
 * The deepest queues there are, with every tag of every queue in the server's hands at once: no
 * descriptor, buffer or offset is taken for another's.
 */
// # timeout: 300
#include <kselftest_harness.h>

#include <fcntl.h>
#include <sched.h>

#include "raw.h"

#define DEPTH UBLK_MAX_QUEUE_DEPTH
#define STRIDE 1536

FIXTURE(deep)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_ring ring;
	char *memory;
	int disk;
};

FIXTURE_SETUP(deep)
{
	raw_none(&self->device, &self->server);
	self->ring.fd = -1;
	self->disk = -1;
	self->device.info = raw_info(2, DEPTH);
	self->device.info.max_io_buf_bytes = 4096;
	ASSERT_EQ(0, raw_add_info(&self->device.info));
	self->device.id = self->device.info.dev_id;
	self->device.params = raw_params(&self->device.info);
	ASSERT_EQ(0, raw_set_params(self->device.id, &self->device.params));
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	ASSERT_EQ(0, raw_ring_open(&self->ring, DEPTH, 0));
}

FIXTURE_TEARDOWN(deep)
{
	EXPECT_EQ(0, self->server.fault);
	/* Closing the disk may wait for others' I/O, which must not wait for this thread. */
	raw_server_close(&self->server);
	raw_ring_close(&self->ring);
	if (self->disk >= 0)
		close(self->disk);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

static bool write_setting(int id, const char *name, const char *value)
{
	char path[64];
	bool written;
	int fd;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/queue/%s", id, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	written = write(fd, value, strlen(value)) == (ssize_t)strlen(value);
	close(fd);
	return written;
}

struct settings {
	pthread_t thread;
	int id;
	int disk;
	bool written;
	atomic_bool done;
};

/* A scheduler would keep some requests back, merging would join them. */
static void *settings_thread(void *argument)
{
	struct settings *settings = argument;

	settings->written = write_setting(settings->id, "scheduler", "none") &&
			    write_setting(settings->id, "nomerges", "2");
	settings->disk = raw_open_block(settings->id, O_RDONLY | O_DIRECT);
	atomic_store(&settings->done, true);
	return NULL;
}

/* Changing them and opening the disk wait for the partition scan, which waits for the server. */
static int open_disk(struct __test_metadata *_metadata, struct raw_server *server)
{
	struct settings settings = { .id = server->device->id };

	ASSERT_EQ(0, pthread_create(&settings.thread, NULL, settings_thread, &settings));
	while (!atomic_load(&settings.done))
		raw_pump(server, 5);
	pthread_join(settings.thread, NULL);
	EXPECT_TRUE(settings.written);
	return settings.disk;
}

static void read_sectors(struct __test_metadata *_metadata, FIXTURE_DATA(deep) *self,
			 unsigned int first, unsigned int count)
{
	unsigned int i;

	for (i = first; i < first + count; i++) {
		struct io_uring_sqe *sqe = raw_ring_sqe(&self->ring);

		ASSERT_NE(NULL, sqe);
		sqe->opcode = IORING_OP_READ;
		sqe->fd = self->disk;
		sqe->addr = (unsigned long)self->memory + i * 512;
		sqe->len = 512;
		sqe->off = RAW_TEST_OFFSET + i * STRIDE;
		sqe->user_data = i;
		if (i % 64 == 63)
			ASSERT_EQ(0, raw_ring_submit(&self->ring, 0));
	}
	ASSERT_EQ(0, raw_ring_submit(&self->ring, 0));
}

static unsigned int catch_until(FIXTURE_DATA(deep) *self, unsigned int count)
{
	long long end = raw_now_ms() + 3 * RAW_DEADLINE;

	while (self->server.caught_count < count && raw_now_ms() < end)
		raw_pump(&self->server, 50);
	return self->server.caught_count;
}

static void use_processor(struct __test_metadata *_metadata, unsigned int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
}

static void answer_all(struct __test_metadata *_metadata, FIXTURE_DATA(deep) *self,
		       unsigned char *seen)
{
	struct raw_request request;

	while (self->server.caught_count) {
		ASSERT_TRUE(raw_catch(&self->server, &request));
		EXPECT_EQ(512, raw_request_bytes(&request));
		EXPECT_EQ(0, seen[request.queue * DEPTH + request.tag]++) {
			TH_LOG("tag %u of queue %u came twice", request.tag, request.queue);
		}
		raw_fill(raw_buffer(&self->server, request.queue, request.tag),
			 request.descriptor.start_sector << 9, 512);
		raw_io_queue(&self->server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request.queue,
			     request.tag, 512,
			     (unsigned long)raw_buffer(&self->server, request.queue, request.tag));
	}
}

TEST_F_TIMEOUT(deep, reads_fill_every_queue, 250)
{
	unsigned int queues = self->server.queues, total = queues * DEPTH, queue, ended = 0;
	unsigned char *seen = calloc(total, 1);
	long long end = raw_now_ms() + 4 * RAW_DEADLINE;
	struct io_uring_cqe cqe;
	unsigned int i;

	self->memory = raw_pages(total * 512);
	self->disk = open_disk(_metadata, &self->server);
	ASSERT_LE(0, self->disk);

	for (queue = 0; queue < queues; queue++) {
		use_processor(_metadata, queue);
		read_sectors(_metadata, self, queue * DEPTH, DEPTH);
		EXPECT_EQ((queue + 1) * DEPTH, catch_until(self, (queue + 1) * DEPTH));
	}
	answer_all(_metadata, self, seen);
	while (ended < total && raw_now_ms() < end) {
		raw_pump(&self->server, 20);
		raw_ring_submit(&self->ring, 0);
		while (raw_ring_next(&self->ring, &cqe)) {
			ended++;
			EXPECT_EQ(512, cqe.res);
		}
		answer_all(_metadata, self, seen);
	}
	EXPECT_EQ(total, ended);
	for (i = 0; i < total; i++) {
		EXPECT_EQ(1, seen[i]);
		ASSERT_TRUE(raw_matches(self->memory + i * 512, RAW_TEST_OFFSET + i * STRIDE,
					512)) {
			TH_LOG("read %u has another's data", i);
		}
	}
	free(seen);
}

TEST_HARNESS_MAIN
