// SPDX-License-Identifier: GPL-2.0-only
/*
 * With user copy, a thread of the server can be stuck in the middle of a copy, waiting for a page
 * of its own memory, when the request is committed or the server dies. The request ends all the same,
 * and once it has, the copy touches nothing of it.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <linux/userfaultfd.h>

#include "raw.h"

#define LENGTH 16384
#define PAGE 4096

/* A page that is not there until the test gives it, and who waits for it. */
struct stuck {
	int faults;
	char *page;
	int chr;
	off_t position;
	bool reads;		/* what is written to the disk */
	pthread_t thread;
	atomic_bool done;
	ssize_t result;
};

FIXTURE(copy)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_shared *shared;
	struct stuck stuck;
	struct raw_io io;
	char *memory;
	pid_t pid;
};

FIXTURE_VARIANT(copy)
{
	enum raw_io_kind kind;
};

FIXTURE_VARIANT_ADD(copy, of_a_read) { .kind = RAW_READ };
FIXTURE_VARIANT_ADD(copy, of_a_write) { .kind = RAW_WRITE };

FIXTURE_SETUP(copy)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	raw_none(&self->device, &self->server);
	self->pid = -1;
	self->shared = raw_share();
	self->memory = raw_pages(LENGTH);
	info.flags = UBLK_F_USER_COPY;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_EQ(UBLK_F_USER_COPY, self->device.info.flags & UBLK_F_USER_COPY);
}

FIXTURE_TEARDOWN(copy)
{
	int id = self->device.id;

	if (self->pid > 0) {
		kill(self->pid, SIGKILL);
		EXPECT_NE(-ETIME, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	}
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
	EXPECT_EQ(0, raw_reuse(id));
}

static void *copy_and_wait(void *argument)
{
	struct stuck *stuck = argument;

	stuck->result = stuck->reads ? pread(stuck->chr, stuck->page, PAGE, stuck->position) :
				       pwrite(stuck->chr, stuck->page, PAGE, stuck->position);
	if (stuck->result < 0)
		stuck->result = -errno;
	atomic_store(&stuck->done, true);
	return NULL;
}

static int watch_page(struct stuck *stuck)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	stuck->page = raw_pages(PAGE);
	stuck->faults = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (stuck->faults < 0)
		return -errno;
	range.range.start = (unsigned long)stuck->page;
	range.range.len = PAGE;
	if (ioctl(stuck->faults, UFFDIO_API, &api) ||
	    ioctl(stuck->faults, UFFDIO_REGISTER, &range))
		return -errno;
	return 0;
}

/* Returns 0 once a thread waits for the page in the middle of a copy. */
static int get_stuck(struct stuck *stuck, const struct raw_server *server,
		     const struct raw_request *request)
{
	struct pollfd fault;
	int ret = watch_page(stuck);

	if (ret)
		return ret;
	stuck->chr = server->chr;
	stuck->position = UBLKSRV_IO_BUF_OFFSET + ((off_t)request->tag << UBLK_TAG_OFF);
	stuck->reads = ublksrv_get_op(&request->descriptor) == UBLK_IO_OP_WRITE;
	atomic_init(&stuck->done, false);
	ret = pthread_create(&stuck->thread, NULL, copy_and_wait, stuck);
	if (ret)
		return -ret;
	fault = (struct pollfd) { .fd = stuck->faults, .events = POLLIN };
	return poll(&fault, 1, RAW_DEADLINE) == 1 ? 0 : -ETIME;
}

/* Give it the page: what the copy says. */
static ssize_t get_unstuck(struct stuck *stuck)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)stuck->page, .len = PAGE },
	};

	if (ioctl(stuck->faults, UFFDIO_ZEROPAGE, &zero))
		return -errno;
	pthread_join(stuck->thread, NULL);
	close(stuck->faults);
	return stuck->result;
}

static void start_io(struct __test_metadata *_metadata, FIXTURE_DATA(copy) *self,
		     enum raw_io_kind kind)
{
	raw_fill(self->memory, RAW_TEST_OFFSET, LENGTH);
	ASSERT_EQ(0, raw_io_start(&self->io, &self->device, kind, self->memory, LENGTH,
				  RAW_TEST_OFFSET));
}

/* A request in the hands of a server in this process, and a thread stuck in its data. */
static void obtain_stuck(struct __test_metadata *_metadata, FIXTURE_DATA(copy) *self,
			 enum raw_io_kind kind, struct raw_request *request)
{
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	start_io(_metadata, self, kind);
	ASSERT_TRUE(raw_catch(&self->server, request));
	ASSERT_EQ(0, get_stuck(&self->stuck, &self->server, request));
}

/* The copy finds no request any more, and has copied nothing. */
static void expect_cut_short(struct __test_metadata *_metadata, FIXTURE_DATA(copy) *self)
{
	EXPECT_FALSE(atomic_load(&self->stuck.done));
	EXPECT_EQ(-EINVAL, get_unstuck(&self->stuck));
	EXPECT_EQ(0, self->stuck.page[0]);
}

TEST_F(copy, is_cut_short_by_a_commit)
{
	struct raw_request request;

	obtain_stuck(_metadata, self, variant->kind, &request);
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, PAGE));
	/* It ends in part; the rest comes again and fails. */
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_EQ(LENGTH - PAGE, raw_request_bytes(&request));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, -EIO));
	EXPECT_NE(-ETIME, raw_io_wait(&self->io, &self->server, RAW_DEADLINE));
	expect_cut_short(_metadata, self);
	if (variant->kind == RAW_READ) {
		EXPECT_EQ(0, self->memory[0]);
	}
}

TEST_F(copy, is_cut_short_by_a_server_that_closes_its_ring)
{
	struct raw_request request;

	obtain_stuck(_metadata, self, variant->kind, &request);
	raw_ring_close(&self->server.ring);
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE));
	expect_cut_short(_metadata, self);
	raw_server_close(&self->server);
}

TEST_F(copy, is_cut_short_by_a_stop)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;
	struct raw_request request;

	obtain_stuck(_metadata, self, variant->kind, &request);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	/* It parks until the stop, which has waited for it, sends the server away. */
	raw_commit(&self->server, &request, -EIO);
	EXPECT_EQ(0, raw_serve_control(&self->server, &control));
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
	expect_cut_short(_metadata, self);
}

static void __attribute__((noreturn)) serve_and_get_stuck(FIXTURE_DATA(copy) *self)
{
	struct raw_request request;
	struct raw_server server;

	if (raw_server_open(&server, &self->device, 0))
		_exit(1);
	raw_fetch_all(&server);
	raw_pump(&server, 0);
	atomic_store(&self->shared->fetched, 1);
	if (!raw_catch(&server, &request) || get_stuck(&self->stuck, &server, &request))
		_exit(2);
	atomic_store(&self->shared->caught, 1);
	for (;;)
		raw_pump(&server, 1000);
}

/* Nobody will give it the page any more: a copy that waits for ever must not outlive its server. */
TEST_F(copy, ends_with_a_server_that_is_killed)
{
	self->pid = raw_fork();
	ASSERT_LE(0, self->pid);
	if (self->pid == 0)
		serve_and_get_stuck(self);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->device.id, self->pid));
	start_io(_metadata, self, variant->kind);
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE));
}

TEST_HARNESS_MAIN
