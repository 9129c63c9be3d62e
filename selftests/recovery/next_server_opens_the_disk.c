// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk's next server opens the disk before it serves, while somebody who looks for partitions waits
 * for the server and keeps everybody else out: no signal interrupts that, so the server does not come
 * to take its requests, nor to die. That helps nobody, but once it is killed a stop ends all of it.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/aio_abi.h>
#include <linux/fs.h>

#include "recoverable.h"

#define BYTES 4096
#define USERS 3

FIXTURE(disk)
{
	struct recoverable disk;
	aio_context_t users;
	pid_t search;
};

FIXTURE_VARIANT(disk)
{
	unsigned int depth;
};

FIXTURE_VARIANT_ADD(disk, with_one_tag) { .depth = 1 };
FIXTURE_VARIANT_ADD(disk, with_many_tags) { .depth = USERS + 5 };

FIXTURE_SETUP(disk)
{
	self->users = 0;
	ASSERT_EQ(0, recoverable_add(&self->disk, UBLK_F_NO_AUTO_PART_SCAN | UBLK_F_USER_RECOVERY,
				     1, variant->depth));
	ASSERT_EQ(0, recoverable_start(&self->disk, HOLDS_ALL));
}

FIXTURE_TEARDOWN(disk)
{
	int id = self->disk.device.id;

	EXPECT_EQ(0, recoverable_end(&self->disk));
	EXPECT_EQ(0, raw_reuse(id));
}

/* They wait as well, but the disk is open for them. */
static void read_later(struct __test_metadata *_metadata, FIXTURE_DATA(disk) *self, int fd)
{
	unsigned int i;

	ASSERT_EQ(0, syscall(__NR_io_setup, USERS, &self->users));
	for (i = 0; i < USERS; i++) {
		struct iocb iocb = {
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = fd,
			.aio_buf = (unsigned long)raw_pages(BYTES),
			.aio_nbytes = BYTES,
			.aio_offset = RAW_TEST_OFFSET + i * 65536,
		};
		struct iocb *list[] = { &iocb };

		ASSERT_EQ(1, syscall(__NR_io_submit, self->users, 1, list));
	}
}

static void expect_reads_fail(struct __test_metadata *_metadata, FIXTURE_DATA(disk) *self)
{
	struct timespec timeout = { .tv_sec = RAW_DEATH_DEADLINE / 1000 };
	struct io_event events[USERS];
	unsigned int i;

	ASSERT_EQ(USERS, syscall(__NR_io_getevents, self->users, USERS, USERS, events, &timeout));
	for (i = 0; i < USERS; i++)
		EXPECT_EQ(-EIO, events[i].res);
}

static void look_for_partitions(struct __test_metadata *_metadata, FIXTURE_DATA(disk) *self)
{
	int fd = raw_open_block(self->disk.device.id, O_RDONLY | O_DIRECT);

	ASSERT_LE(0, fd);
	if (self->disk.device.info.queue_depth > 1)
		read_later(_metadata, self, fd);
	self->search = raw_fork();
	ASSERT_LE(0, self->search);
	if (!self->search)
		_exit(ioctl(fd, BLKRRPART) ? errno : 0);
	close(fd);
	ASSERT_EQ(0, raw_await_state(self->search, 'D'));
}

TEST_F(disk, is_stopped_when_its_server_was_killed)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->disk.device.id);
	struct raw_control control;

	ASSERT_EQ(0, recoverable_kill(&self->disk));
	ASSERT_EQ(0, recoverable_await_state(&self->disk, UBLK_S_DEV_QUIESCED));
	look_for_partitions(_metadata, self);
	ASSERT_EQ(0, recoverable_begin_recovery(&self->disk));
	ASSERT_EQ(0, recoverable_serve(&self->disk, OPENS_DISK));
	ASSERT_EQ(0, raw_await_state(self->disk.pid, 'D'));
	/* From now on the requests are on their way to it. */
	ASSERT_EQ(0, recoverable_end_recovery(&self->disk, self->disk.pid));

	ASSERT_EQ(0, kill(self->disk.pid, SIGKILL));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	EXPECT_EQ(SIGKILL, raw_reap(self->disk.pid, RAW_DEATH_DEADLINE));
	self->disk.pid = -1;
	EXPECT_NE(-ETIME, raw_reap(self->search, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
	if (self->users)
		expect_reads_fail(_metadata, self);
}

TEST_HARNESS_MAIN
