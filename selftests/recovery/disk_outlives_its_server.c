// SPDX-License-Identifier: GPL-2.0-only
/*
 * With recovery a disk outlives its server: what the users of the disk see then depends on the
 * mode, and the next server takes over. Without recovery there is nothing to take over.
 */
// # timeout: 240
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "kselftest_harness.h"
#include "recoverable.h"

/* As long as an I/O must be seen not to end. */
#define A_WHILE 300

FIXTURE(outlives) {
	struct recoverable disk;
	struct raw_io io[4];
};

FIXTURE_VARIANT(outlives) {
	__u64 features;
	int state;		/* without a server */
	bool waits;		/* what comes while there is none */
	bool reissued;		/* what the old one had */
};

FIXTURE_VARIANT_ADD(outlives, waiting) {
	.features = UBLK_F_USER_RECOVERY,
	.state = UBLK_S_DEV_QUIESCED,
	.waits = true,
};
FIXTURE_VARIANT_ADD(outlives, reissuing) {
	.features = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE,
	.state = UBLK_S_DEV_QUIESCED,
	.waits = true,
	.reissued = true,
};
FIXTURE_VARIANT_ADD(outlives, failing) {
	.features = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_FAIL_IO,
	.state = UBLK_S_DEV_FAIL_IO,
};

FIXTURE_SETUP(outlives)
{
	ASSERT_EQ(0, recoverable_add(&self->disk, variant->features, 2, 16));
	ASSERT_EQ(variant->features, self->disk.device.info.flags & variant->features);
	raw_fill(self->disk.disk, 0, RAW_DISK_BYTES);
}

FIXTURE_TEARDOWN(outlives)
{
	int id = self->disk.device.id;

	EXPECT_EQ(0, recoverable_end(&self->disk));
	EXPECT_EQ(0, raw_reuse(id));
}

static int read_some(struct recoverable *disk, struct raw_io *io, size_t bytes)
{
	return raw_io_start(io, &disk->device, RAW_READ, raw_pages(bytes), bytes, RAW_TEST_OFFSET);
}

static bool has_read(const struct raw_io *io)
{
	return raw_matches(io->buffer, io->offset, io->length);
}

static void lose_server(struct __test_metadata *_metadata, struct recoverable *disk, int state)
{
	struct ublksrv_ctrl_dev_info info;

	ASSERT_EQ(0, recoverable_kill(disk));
	ASSERT_EQ(0, recoverable_await_state(disk, state));
	ASSERT_EQ(0, raw_get_info(disk->device.id, &info));
	EXPECT_EQ(-1, info.ublksrv_pid);
}

TEST_F(outlives, and_the_next_one_serves_it)
{
	struct ublksrv_ctrl_dev_info info;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	lose_server(_metadata, &self->disk, variant->state);
	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	ASSERT_EQ(0, raw_get_info(self->disk.device.id, &info));
	EXPECT_EQ(UBLK_S_DEV_LIVE, info.state);
	EXPECT_EQ(self->disk.pid, info.ublksrv_pid);

	ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 1 << 20));
	EXPECT_EQ(1 << 20, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
	EXPECT_TRUE(has_read(&self->io[0]));
}

TEST_F(outlives, and_what_that_one_had_is_reissued_or_fails)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, HOLDS));
	ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 1 << 20));
	ASSERT_EQ(0, raw_await(&self->disk.shared->caught, 16, RAW_DEADLINE));
	lose_server(_metadata, &self->disk, variant->state);
	if (!variant->reissued) {
		EXPECT_EQ(-EIO, raw_io_wait(&self->io[0], NULL, RAW_DEATH_DEADLINE));
		return;
	}
	EXPECT_EQ(-ETIME, raw_io_wait(&self->io[0], NULL, A_WHILE));
	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	EXPECT_EQ(1 << 20, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
	EXPECT_TRUE(has_read(&self->io[0]));
}

/* 16 requests of 64 KiB in one list, and single ones. */
TEST_F(outlives, and_what_comes_meanwhile_waits_or_fails)
{
	unsigned int i;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	lose_server(_metadata, &self->disk, variant->state);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, read_some(&self->disk, &self->io[i], i ? 4096 : 1 << 20));
	if (!variant->waits) {
		for (i = 0; i < 4; i++)
			EXPECT_EQ(-EIO, raw_io_wait(&self->io[i], NULL, RAW_DEATH_DEADLINE));
		return;
	}
	EXPECT_EQ(-ETIME, raw_io_wait(&self->io[0], NULL, A_WHILE));
	for (i = 1; i < 4; i++)
		EXPECT_EQ(-ETIME, raw_io_wait(&self->io[i], NULL, 0));
	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(self->io[i].length, raw_io_wait(&self->io[i], NULL, RAW_DEADLINE));
		EXPECT_TRUE(has_read(&self->io[i]));
	}
}

TEST_F(outlives, again_and_again)
{
	unsigned int i;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	for (i = 0; i < 5; i++) {
		lose_server(_metadata, &self->disk, variant->state);
		if (variant->waits) {
			ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 1 << 20));
		}
		ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
		if (!variant->waits) {
			ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 1 << 20));
		}
		EXPECT_EQ(1 << 20, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
		EXPECT_TRUE(has_read(&self->io[0]));
	}
}

/* Whatever waits ends when nobody will come. */
TEST_F(outlives, until_it_is_stopped)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	lose_server(_metadata, &self->disk, variant->state);
	ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 1 << 20));
	if (variant->waits) {
		EXPECT_EQ(-ETIME, raw_io_wait(&self->io[0], NULL, A_WHILE));
	}
	EXPECT_EQ(0, raw_stop(self->disk.device.id));
	EXPECT_GE(0, raw_io_wait(&self->io[0], NULL, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, recoverable_await_state(&self->disk, UBLK_S_DEV_DEAD));
	EXPECT_EQ(-EBUSY, recoverable_begin_recovery(&self->disk));

	/* it can be started like a new one */
	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 4096));
	EXPECT_EQ(4096, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
}

TEST_F(outlives, until_it_is_deleted)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, HOLDS));
	ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 1 << 20));
	ASSERT_EQ(0, raw_await(&self->disk.shared->caught, 8, RAW_DEADLINE));
	lose_server(_metadata, &self->disk, variant->state);
	EXPECT_EQ(0, raw_destroy(&self->disk.device));
	EXPECT_GE(0, raw_io_wait(&self->io[0], NULL, RAW_DEATH_DEADLINE));
	ASSERT_EQ(0, recoverable_add(&self->disk, variant->features, 1, 1));
}

/* The new server had fetched, but nobody said that it is to serve. */
TEST_F(outlives, until_it_is_deleted_in_the_middle_of_recovery)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	lose_server(_metadata, &self->disk, variant->state);
	ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 1 << 20));
	ASSERT_EQ(0, recoverable_begin_recovery(&self->disk));
	ASSERT_EQ(0, recoverable_serve(&self->disk, SERVES));
	EXPECT_EQ(0, raw_stop(self->disk.device.id));
	EXPECT_GE(0, raw_io_wait(&self->io[0], NULL, RAW_DEATH_DEADLINE));
	/* it was sent away, so it has exited by itself */
	EXPECT_EQ(0, raw_reap(self->disk.pid, RAW_DEATH_DEADLINE));
	self->disk.pid = -1;
	EXPECT_EQ(0, atomic_load(&self->disk.shared->caught));
}

/* Nobody reads partitions while there is no server, and nobody else waits for that. */
TEST_F(outlives, in_the_middle_of_the_partition_scan)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, HOLDS_ALL));
	ASSERT_EQ(0, raw_await(&self->disk.shared->caught, 1, RAW_DEADLINE));
	lose_server(_metadata, &self->disk, variant->state);
	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 4096));
	EXPECT_EQ(4096, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
}

TEST_F(outlives, until_it_is_deleted_in_the_partition_scan)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, HOLDS_ALL));
	ASSERT_EQ(0, raw_await(&self->disk.shared->caught, 1, RAW_DEADLINE));
	lose_server(_metadata, &self->disk, variant->state);
}

/* What it had not fetched yet is not lost with it either. */
TEST_F(outlives, and_the_next_one_may_die_as_it_comes)
{
	unsigned int i;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	lose_server(_metadata, &self->disk, variant->state);
	if (variant->waits) {
		ASSERT_EQ(0, read_some(&self->disk, &self->io[0], 1 << 20));
	}
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, recoverable_begin_recovery(&self->disk));
		ASSERT_EQ(0, recoverable_serve(&self->disk, i ? SERVES : FETCHES_SOME));
		EXPECT_EQ(-EBUSY, recoverable_begin_recovery(&self->disk));
		lose_server(_metadata, &self->disk, variant->state);
		while (recoverable_begin_recovery(&self->disk) == -EBUSY)
			raw_pause();
	}
	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	if (variant->waits) {
		EXPECT_EQ(1 << 20, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
		EXPECT_TRUE(has_read(&self->io[0]));
	}
}

/* Its slots are there, but nothing goes to it before END_USER_RECOVERY. */
TEST_F(outlives, and_the_next_one_gets_nothing_too_early)
{
	struct raw_io io;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	lose_server(_metadata, &self->disk, variant->state);
	ASSERT_EQ(0, recoverable_begin_recovery(&self->disk));
	ASSERT_EQ(0, recoverable_serve(&self->disk, SERVES));
	ASSERT_EQ(0, read_some(&self->disk, &io, 4096));
	EXPECT_EQ(variant->waits ? -ETIME : -EIO, raw_io_wait(&io, NULL, A_WHILE));
	EXPECT_EQ(0, atomic_load(&self->disk.shared->caught));
	ASSERT_EQ(0, recoverable_end_recovery(&self->disk, self->disk.pid));
	if (variant->waits) {
		EXPECT_EQ(4096, raw_io_wait(&io, NULL, RAW_DEADLINE));
	}
}

TEST_F(outlives, but_recovery_has_an_order)
{
	int id = self->disk.device.id;
	struct raw_control control;
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	/* never fetched, partly fetched, not started */
	EXPECT_EQ(-EBUSY, recoverable_begin_recovery(&self->disk));
	EXPECT_EQ(-EBUSY, recoverable_end_recovery(&self->disk, getpid()));
	ASSERT_EQ(0, recoverable_serve(&self->disk, FETCHES_SOME));
	EXPECT_EQ(-EBUSY, recoverable_begin_recovery(&self->disk));
	ASSERT_EQ(0, recoverable_kill(&self->disk));
	EXPECT_EQ(-EBUSY, recoverable_begin_recovery(&self->disk));

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	EXPECT_EQ(-EBUSY, recoverable_begin_recovery(&self->disk));
	EXPECT_EQ(-EBUSY, recoverable_end_recovery(&self->disk, self->disk.pid));
	EXPECT_EQ(-EEXIST, raw_start(id, self->disk.pid));
	lose_server(_metadata, &self->disk, variant->state);
	EXPECT_EQ(-EEXIST, raw_start(id, getpid()));
	EXPECT_EQ(-EACCES, raw_set_params(id, &self->disk.device.params));

	/* a signal while END_USER_RECOVERY waits for the rest of the tags */
	ASSERT_EQ(0, recoverable_begin_recovery(&self->disk));
	ASSERT_EQ(0, recoverable_serve(&self->disk, FETCHES_SOME));
	command.data[0] = self->disk.pid;
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_END_USER_RECOVERY, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, A_WHILE));
	raw_control_cancel(&control);
	EXPECT_EQ(-EINTR, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
	EXPECT_EQ(0, recoverable_await_state(&self->disk, variant->state));
	ASSERT_EQ(0, recoverable_kill(&self->disk));
	while (recoverable_begin_recovery(&self->disk) == -EBUSY)
		raw_pause();

	/* not its server */
	ASSERT_EQ(0, recoverable_serve(&self->disk, SERVES));
	EXPECT_EQ(-EINVAL, recoverable_end_recovery(&self->disk, getpid()));
	EXPECT_EQ(-EINVAL, recoverable_end_recovery(&self->disk, 0));
	EXPECT_EQ(0, recoverable_end_recovery(&self->disk, self->disk.pid));
	EXPECT_EQ(-EBUSY, recoverable_end_recovery(&self->disk, self->disk.pid));
}

/* A child has the file, so the old server's memory may still be looked at. */
TEST_F(outlives, but_not_before_the_old_one_is_closed)
{
	struct raw_shared *told = raw_share();
	struct raw_server server;
	pid_t child;

	self->disk.pid = raw_fork();
	if (self->disk.pid == 0) {
		if (raw_server_open(&server, &self->disk.device, 0))
			_exit(9);
		server.answer_all = true;
		raw_fetch_all(&server);
		raw_ring_submit(&server.ring, 0);
		child = fork();
		if (child == 0) {
			alarm(60);
			for (;;)
				pause();
		}
		atomic_store(&told->child, child);
		for (;;)
			raw_pump(&server, 1000);
	}
	ASSERT_EQ(0, raw_await(&told->child, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->disk.device.id, self->disk.pid));
	ASSERT_EQ(0, recoverable_kill(&self->disk));
	EXPECT_EQ(-EBUSY, recoverable_begin_recovery(&self->disk));
	kill(atomic_load(&told->child), SIGKILL);
	ASSERT_EQ(0, recoverable_await_state(&self->disk, variant->state));
	EXPECT_EQ(0, recoverable_recover(&self->disk, SERVES));
}

TEST(without_recovery_nothing_is_recovered)
{
	struct recoverable disk;

	ASSERT_EQ(0, recoverable_add(&disk, 0, 1, 4));
	EXPECT_EQ(-EINVAL, recoverable_begin_recovery(&disk));
	EXPECT_EQ(-EINVAL, recoverable_end_recovery(&disk, getpid()));
	ASSERT_EQ(0, recoverable_start(&disk, SERVES));
	ASSERT_EQ(0, recoverable_kill(&disk));
	EXPECT_EQ(0, recoverable_await_state(&disk, UBLK_S_DEV_DEAD));
	EXPECT_EQ(-EINVAL, recoverable_begin_recovery(&disk));
	EXPECT_EQ(0, recoverable_end(&disk));
}

TEST(modes_that_do_not_go_together_are_refused)
{
	static const __u64 bad[] = {
		UBLK_F_USER_RECOVERY_REISSUE,
		UBLK_F_USER_RECOVERY_FAIL_IO,
		UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_USER_RECOVERY_FAIL_IO,
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct ublksrv_ctrl_dev_info info = raw_info(1, 1);

		info.flags = bad[i];
		EXPECT_EQ(-EINVAL, raw_add_info(&info));
	}
}

TEST_HARNESS_MAIN
