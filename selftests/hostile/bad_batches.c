// SPDX-License-Identifier: GPL-2.0-only
/*
 * Commands that are about many tags: a PREP that is wrong somewhere arms nothing, a COMMIT stops at
 * the first element that is wrong, a FETCH ends when it gets no buffer and loses no request, and a
 * server that dies at any point between them takes nobody along.
 */
// # timeout: 150
#include <kselftest_harness.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/fs.h>

#include "raw_batch.h"

#define DEPTH RAW_BATCH_DEPTH
#define BYTES RAW_BATCH_BYTES

FIXTURE(batch)
{
	struct raw_device device;
	struct batch_server server;
	struct raw_io io;
};

static int add(struct raw_device *device, unsigned int depth)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, depth);
	int ret;

	info.flags = UBLK_F_BATCH_IO;
	info.max_io_buf_bytes = BYTES;
	ret = raw_add_with(device, &info);
	if (ret || (device->info.flags & UBLK_F_BATCH_IO))
		return ret;
	raw_destroy(device);
	return -EOPNOTSUPP;
}

FIXTURE_SETUP(batch)
{
	int ret;

	raw_none(&self->device, NULL);
	self->server.chr = -1;
	self->server.ring.fd = -1;
	ret = add(&self->device, DEPTH);
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, batch_open(&self->server, &self->device));
}

FIXTURE_TEARDOWN(batch)
{
	batch_close(&self->server);
	EXPECT_EQ(0, raw_destroy(&self->device));
}

static int start_read(struct raw_io *io, const struct raw_device *device)
{
	return raw_io_start(io, device, RAW_READ, raw_pages(BYTES), BYTES, RAW_TEST_OFFSET);
}

TEST_F(batch, requests_are_served)
{
	__u16 tag;

	ASSERT_EQ(0, batch_prep(&self->server, 0, 3));
	ASSERT_EQ(0, batch_prep(&self->server, 3, DEPTH - 3));
	ASSERT_EQ(0, batch_go(&self->server));
	ASSERT_EQ(0, start_read(&self->io, &self->device));
	ASSERT_TRUE(batch_caught(&self->server));
	tag = self->server.queue[--self->server.caught];
	raw_fill(self->server.buffers + tag * BYTES, RAW_TEST_OFFSET, BYTES);
	EXPECT_EQ(sizeof(struct batch_element), batch_commit(&self->server, tag, BYTES));
	EXPECT_EQ(-EBUSY, batch_commit(&self->server, tag, BYTES));
	EXPECT_EQ(BYTES, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->io.buffer, RAW_TEST_OFFSET, BYTES));
}

TEST_F(batch, wrong_prep_arms_nothing)
{
	struct ublk_batch_io header = batch_header(DEPTH);
	struct batch_element elements[DEPTH];
	unsigned int i, wrong;

	for (wrong = 0; wrong < DEPTH; wrong++) {
		for (i = 0; i < DEPTH; i++)
			elements[i] = batch_element(&self->server, i, 0);
		elements[wrong].header.tag = DEPTH;
		EXPECT_EQ(-EINVAL, batch_command(&self->server, UBLK_U_IO_PREP_IO_CMDS, &header,
						 elements));
		elements[wrong].header.tag = (wrong + 1) % DEPTH;
		EXPECT_EQ(-EINVAL, batch_command(&self->server, UBLK_U_IO_PREP_IO_CMDS, &header,
						 elements));
		elements[wrong] = batch_element(&self->server, wrong, 0);
		elements[wrong].address = 0;
		EXPECT_EQ(-EINVAL, batch_command(&self->server, UBLK_U_IO_PREP_IO_CMDS, &header,
						 elements));
	}
	EXPECT_EQ(0, batch_prep(&self->server, 0, DEPTH - 1));
	/* Some are armed already. */
	EXPECT_EQ(-EINVAL, batch_prep(&self->server, DEPTH - 2, 2));
	EXPECT_EQ(0, batch_prep(&self->server, DEPTH - 1, 1));
	EXPECT_EQ(-EBUSY, batch_prep(&self->server, 0, 1));
	EXPECT_EQ(0, batch_go(&self->server));
}

TEST_F(batch, wrong_headers_are_refused)
{
	const unsigned int ops[] = { UBLK_U_IO_PREP_IO_CMDS, UBLK_U_IO_COMMIT_IO_CMDS };
	struct batch_element elements[DEPTH + 1] = {};
	unsigned int i;

	for (i = 0; i < 2; i++) {
		struct ublk_batch_io header = batch_header(1);

#define refused(error) \
		EXPECT_EQ(error, batch_command(&self->server, ops[i], &header, elements))
		header.q_id = 1;
		refused(-EINVAL);
		header = batch_header(DEPTH + 1);
		refused(-E2BIG);
		header = batch_header(1);
		header.elem_bytes = sizeof(struct ublk_elem_header);
		refused(-EINVAL);
		header.elem_bytes = 255;
		refused(-EINVAL);
		header = batch_header(1);
		header.flags |= 1 << 3;
		refused(-EINVAL);
		header = batch_header(1);
		header.flags |= UBLK_BATCH_F_HAS_ZONE_LBA;
		header.elem_bytes += 8;
		refused(-EINVAL);
		header = batch_header(1);
		header.flags |= UBLK_BATCH_F_AUTO_BUF_REG_FALLBACK;
		refused(-EINVAL);
		header = batch_header(1);
		EXPECT_EQ(-EFAULT, batch_command(&self->server, ops[i], &header, NULL));
		EXPECT_EQ(-EFAULT, batch_command(&self->server, ops[i], &header,
						 (void *)RAW_KERNEL_ADDRESS));
	}
	EXPECT_EQ(0, batch_prep(&self->server, 0, DEPTH));
}

TEST_F(batch, commit_stops_at_the_first_wrong_element)
{
	struct ublk_batch_io header = batch_header(2);
	struct batch_element elements[2];
	__u16 tag;

	ASSERT_EQ(0, batch_prep(&self->server, 0, DEPTH));
	EXPECT_EQ(-EBUSY, batch_commit(&self->server, 0, BYTES));
	EXPECT_EQ(-EINVAL, batch_commit(&self->server, DEPTH, BYTES));
	EXPECT_EQ(-EINVAL, batch_commit(&self->server, 0xffff, BYTES));
	ASSERT_EQ(0, batch_go(&self->server));
	ASSERT_EQ(0, start_read(&self->io, &self->device));
	ASSERT_TRUE(batch_caught(&self->server));
	tag = self->server.queue[--self->server.caught];
	elements[0] = batch_element(&self->server, DEPTH, BYTES);
	elements[1] = batch_element(&self->server, tag, -ENOSPC);
	EXPECT_EQ(-EINVAL, batch_command(&self->server, UBLK_U_IO_COMMIT_IO_CMDS, &header,
					 elements));
	EXPECT_FALSE(atomic_load(&self->io.done));
	elements[0] = elements[1];
	/* The second time the tag is not the server's any more. */
	EXPECT_EQ(sizeof(struct batch_element), batch_command(&self->server, UBLK_U_IO_COMMIT_IO_CMDS,
							&header, elements));
	EXPECT_EQ(-ENOSPC, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
}

TEST_F(batch, commands_for_single_tags_are_refused)
{
	struct ublksrv_io_cmd command = { .addr = (unsigned long)self->server.buffers };

	EXPECT_EQ(-EOPNOTSUPP, raw_single_command(self->server.chr, UBLK_U_IO_FETCH_REQ, &command,
						  1000));
	EXPECT_EQ(-EOPNOTSUPP, raw_single_command(self->server.chr,
						  UBLK_U_IO_COMMIT_AND_FETCH_REQ, &command, 1000));
	EXPECT_EQ(-EOPNOTSUPP, raw_single_command(self->server.chr, UBLK_U_IO_NEED_GET_DATA,
						  &command, 1000));
}

struct other {
	struct batch_server *server;
	__u16 tag;
	int result;
};

static void *commit_elsewhere(void *argument)
{
	struct ublk_batch_io header = batch_header(1);
	struct other *other = argument;
	struct batch_server mine = *other->server;
	struct batch_element element = batch_element(&mine, other->tag, -ENOSPC);

	raw_ring_open(&mine.ring, 8, 0);
	other->result = batch_command(&mine, UBLK_U_IO_COMMIT_IO_CMDS, &header, &element);
	raw_ring_close(&mine.ring);
	return NULL;
}

TEST_F(batch, any_thread_commits)
{
	struct other other = { .server = &self->server };
	pthread_t thread;

	ASSERT_EQ(0, batch_prep(&self->server, 0, DEPTH));
	ASSERT_EQ(0, batch_go(&self->server));
	ASSERT_EQ(0, start_read(&self->io, &self->device));
	ASSERT_TRUE(batch_caught(&self->server));
	other.tag = self->server.queue[--self->server.caught];
	ASSERT_EQ(0, pthread_create(&thread, NULL, commit_elsewhere, &other));
	pthread_join(thread, NULL);
	EXPECT_EQ(sizeof(struct batch_element), other.result);
	EXPECT_EQ(-ENOSPC, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
}

/* Let the parked FETCH end, and leave no buffer behind. */
static bool use_up_buffers(struct batch_server *server, struct raw_device *device)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	struct raw_io io;

	while (server->fetching && raw_now_ms() < end) {
		if (start_read(&io, device))
			return false;
		while (!atomic_load(&io.done) && server->fetching && raw_now_ms() < end) {
			batch_pump(server, 20);
			batch_commit_all(server, BYTES);
		}
		if (!server->fetching && !atomic_load(&io.done)) {
			/* It waits in the driver: the next FETCH brings it. */
			if (!batch_caught(server) || batch_commit_all(server, BYTES) < 0)
				return false;
			if (raw_io_wait(&io, NULL, RAW_DEADLINE) != BYTES)
				return false;
			return true;
		}
		raw_io_wait(&io, NULL, RAW_DEADLINE);
	}
	return false;
}

TEST_F(batch, fetch_without_buffers_ends_and_loses_nothing)
{
	ASSERT_EQ(0, batch_prep(&self->server, 0, DEPTH));
	ASSERT_EQ(0, batch_go(&self->server));
	EXPECT_TRUE(use_up_buffers(&self->server, &self->device));
	EXPECT_EQ(-ENOBUFS, self->server.fetch_result);
}

TEST_F(batch, bad_buffer_for_tags_ends_fetch_and_fails_the_request)
{
	ASSERT_EQ(0, batch_prep(&self->server, 0, DEPTH));
	ASSERT_EQ(0, batch_go(&self->server));
	/* The buffers that wait are all in this page. */
	ASSERT_EQ(0, mprotect(self->server.tags, BYTES, PROT_NONE));
	ASSERT_EQ(0, start_read(&self->io, &self->device));
	while (self->server.fetching && !atomic_load(&self->io.done))
		batch_pump(&self->server, 20);
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
	batch_pump(&self->server, 100);
	EXPECT_FALSE(self->server.fetching);
	EXPECT_EQ(-EFAULT, self->server.fetch_result);
	EXPECT_EQ(0, self->server.caught);
	ASSERT_EQ(0, mprotect(self->server.tags, BYTES, PROT_READ | PROT_WRITE));
}

TEST_F(batch, fetch_that_is_not_one_is_refused)
{
	struct ublk_batch_io header = { .elem_bytes = sizeof(__u16) };

	EXPECT_EQ(-EINVAL, batch_command(&self->server, UBLK_U_IO_FETCH_IO_CMDS, &header, NULL));
}

enum point {
	OPENED,
	PREPARED_SOME,
	PREPARED_ALL,
	FETCHING,
	HOLDING,
	WAITING,
};

/* A server that stops at a point and waits to be killed. */
static void dying_server(struct raw_device *device, struct raw_shared *shared, enum point point)
{
	struct batch_server server;

	if (batch_open(&server, device))
		_exit(1);
	if (point >= PREPARED_SOME && batch_prep(&server, 0, DEPTH / 2))
		_exit(2);
	if (point >= PREPARED_ALL && batch_prep(&server, DEPTH / 2, DEPTH / 2))
		_exit(3);
	if (point >= FETCHING && batch_go(&server))
		_exit(4);
	/* The next request ends the FETCH, and the one after it waits in the driver. */
	if (point == WAITING && mprotect(server.tags, BYTES, PROT_NONE))
		_exit(5);
	atomic_store(&shared->fetched, 1);
	for (;;) {
		if (point >= HOLDING)
			batch_pump(&server, 20);
		else
			raw_pause();
		atomic_store(&shared->caught, point == WAITING ? !server.fetching : server.caught);
	}
}

FIXTURE(death)
{
	struct raw_device device;
	struct raw_shared *shared;
	struct raw_io io;
};

FIXTURE_VARIANT(death)
{
	enum point point;
	bool stopped;	/* and a request is on its way to it, with the only FETCH */
};

FIXTURE_VARIANT_ADD(death, after_open) { .point = OPENED };
FIXTURE_VARIANT_ADD(death, after_half_a_prep) { .point = PREPARED_SOME };
FIXTURE_VARIANT_ADD(death, after_prep) { .point = PREPARED_ALL };
FIXTURE_VARIANT_ADD(death, while_fetching) { .point = FETCHING };
FIXTURE_VARIANT_ADD(death, with_a_request) { .point = HOLDING };
FIXTURE_VARIANT_ADD(death, with_a_request_that_waits_for_a_fetch) { .point = WAITING };
FIXTURE_VARIANT_ADD(death, with_a_request_on_its_way) { .point = FETCHING, .stopped = true };

FIXTURE_SETUP(death)
{
	int ret;

	raw_none(&self->device, NULL);
	ret = add(&self->device, DEPTH);
	ASSERT_EQ(0, ret);
	self->shared = raw_share();
	ASSERT_NE(NULL, self->shared);
}

FIXTURE_TEARDOWN(death)
{
	EXPECT_EQ(0, raw_destroy(&self->device));
}

TEST_F(death, takes_nobody_along)
{
	bool started = variant->point >= FETCHING;
	pid_t pid = raw_fork();

	if (pid == 0)
		dying_server(&self->device, self->shared, variant->point);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	if (variant->stopped) {
		ASSERT_EQ(0, kill(pid, SIGSTOP));
		ASSERT_EQ(0, raw_await_state(pid, 'T'));
	}
	if (started)
		ASSERT_EQ(0, start_read(&self->io, &self->device));
	/* Who comes to a disk that is being removed reads nothing, without an error. */
	if (started && variant->point != WAITING)
		ASSERT_EQ(0, raw_await_reads(&self->device, 1));
	if (variant->point >= HOLDING)
		ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	if (variant->point == WAITING) {
		EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
		ASSERT_EQ(0, start_read(&self->io, &self->device));
		usleep(200000);
		EXPECT_FALSE(atomic_load(&self->io.done));
	}
	kill(pid, SIGKILL);
	ASSERT_EQ(SIGKILL, raw_reap(pid, RAW_DEADLINE));
	if (started) {
		ssize_t result = raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE);

		EXPECT_LT(result, 0);
		EXPECT_NE(-ETIME, result);
	}
	EXPECT_EQ(0, raw_stop(self->device.id));
}

/* A server whose ring only a child of it keeps open. */
static void server_without_a_ring(struct raw_device *device, struct raw_shared *shared)
{
	struct batch_server server;
	pid_t child;

	if (batch_open(&server, device) || batch_prep(&server, 0, DEPTH) || batch_go(&server))
		_exit(1);
	child = raw_fork();
	if (child == 0)
		for (;;)
			pause();
	atomic_store(&shared->child, child);
	raw_ring_close(&server.ring);
	atomic_store(&shared->fetched, 1);
	for (;;)
		raw_pause();
}

FIXTURE(ring)
{
	struct raw_device device;
	struct raw_shared *shared;
	struct raw_io io;
	pid_t pid;
};

FIXTURE_SETUP(ring)
{
	raw_none(&self->device, NULL);
	ASSERT_EQ(0, add(&self->device, DEPTH));
	self->shared = raw_share();
	ASSERT_NE(NULL, self->shared);
	self->pid = raw_fork();
	if (self->pid == 0)
		server_without_a_ring(&self->device, self->shared);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
}

FIXTURE_TEARDOWN(ring)
{
	kill(self->pid, SIGKILL);
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, raw_destroy(&self->device));
}

/* io_uring wants the only FETCH back, and its task, which is stopped, has not run it yet. */
TEST_F(ring, is_closed_while_a_request_is_on_its_way)
{
	ASSERT_EQ(0, kill(self->pid, SIGSTOP));
	ASSERT_EQ(0, raw_await_state(self->pid, 'T'));
	ASSERT_EQ(0, start_read(&self->io, &self->device));
	ASSERT_EQ(0, raw_await_reads(&self->device, 1));
	ASSERT_EQ(0, kill(atomic_load(&self->shared->child), SIGKILL));
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE));
	ASSERT_EQ(0, kill(self->pid, SIGCONT));
}

/* A server whose tags go to a mapping of the disk it serves, which has only one tag. */
static void server_with_tags_on_its_disk(struct raw_device *device, struct raw_shared *shared)
{
	struct batch_server server;
	int fd;

	if (batch_open(&server, device) || batch_prep(&server, 0, 1) || batch_go(&server))
		_exit(1);
	fd = raw_open_block(device->id, O_RDWR);
	if (fd < 0 || mmap(server.tags, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			   0) == MAP_FAILED)
		_exit(2);
	atomic_store(&shared->fetched, 1);
	for (;;)
		batch_serve(&server, 1000);
}

/* Commits the only tag when it is told to. */
static void *commit_later(void *argument)
{
	struct batch_server *server = argument;
	struct ublk_batch_io header = batch_header(1);
	struct batch_element element = batch_element(server, 0, BYTES);
	struct raw_ring ring;

	if (raw_ring_open(&ring, 4, 0) || raw_await(&server->shared->go, 1, RAW_DEADLINE))
		_exit(1);
	batch_sqe(&ring, server->chr, UBLK_U_IO_COMMIT_IO_CMDS, &header, &element);
	raw_ring_submit(&ring, 0);
	return NULL;
}

/* A server whose thread that fetches opens the disk, when it is told to. */
static void server_that_opens_its_disk(struct raw_device *device, struct raw_shared *shared)
{
	struct batch_server server;
	pthread_t thread;

	if (batch_open(&server, device) || batch_prep(&server, 0, 1) || batch_go(&server))
		_exit(1);
	server.shared = shared;
	atomic_store(&shared->fetched, 1);
	if (!batch_caught(&server) || pthread_create(&thread, NULL, commit_later, &server))
		_exit(2);
	batch_keep_fetching(&server);
	atomic_store(&shared->caught, 1);
	if (raw_await(&shared->child, 1, RAW_DEADLINE))
		_exit(3);
	raw_open_block(device->id, O_RDONLY);
	_exit(0);
}

FIXTURE(own_disk)
{
	struct raw_device device;
	struct raw_shared *shared;
	struct raw_io io;
	pid_t pid;
};

FIXTURE_SETUP(own_disk)
{
	raw_none(&self->device, NULL);
	ASSERT_EQ(0, add(&self->device, 1));
	self->shared = raw_share();
	ASSERT_NE(NULL, self->shared);
}

FIXTURE_TEARDOWN(own_disk)
{
	EXPECT_EQ(0, raw_destroy(&self->device));
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(own_disk) *self,
		  void (*serve)(struct raw_device *device, struct raw_shared *shared))
{
	self->pid = raw_fork();
	if (self->pid == 0)
		serve(&self->device, self->shared);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, start_read(&self->io, &self->device));
}

TEST_F(own_disk, dies_with_its_server_when_its_tags_cannot_be_written)
{
	start(_metadata, self, server_with_tags_on_its_disk);
	ASSERT_EQ(0, raw_await_state(self->pid, 'D'));
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE));
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
}

/* Until whoever looks for partitions has read the disk, nobody opens it. */
TEST_F(own_disk, dies_with_its_server_that_opens_it)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;
	pid_t search;

	start(_metadata, self, server_that_opens_its_disk);
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	search = raw_fork();
	if (search == 0)
		_exit(ioctl(raw_open_block(self->device.id, O_RDONLY), BLKRRPART) ? errno : 0);
	ASSERT_EQ(0, raw_await_state(search, 'D'));
	atomic_store(&self->shared->child, 1);
	ASSERT_EQ(0, raw_await_state(self->pid, 'D'));
	atomic_store(&self->shared->go, 1);
	EXPECT_EQ(BYTES, raw_io_wait(&self->io, NULL, RAW_DEADLINE));

	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	EXPECT_NE(-ETIME, raw_reap(search, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
}

static void __attribute__((constructor)) need_feature(void)
{
	raw_require_feature(UBLK_F_BATCH_IO, "BATCH_IO");
}

TEST_HARNESS_MAIN
