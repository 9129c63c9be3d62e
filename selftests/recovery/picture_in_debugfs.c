// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs shows how a device is, in every state, at once and to root alone: above all while
 * everything else hangs.
 */
// # timeout: 180
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "recoverable.h"

#define DEBUGFS "/sys/kernel/debug"
#define DEPTH 4

FIXTURE(picture) {
	struct recoverable disk;
	char path[64];
};

FIXTURE_SETUP(picture)
{
	EXPECT_TRUE(!mount("debugfs", DEBUGFS, "debugfs", 0, NULL) || errno == EBUSY);
	ASSERT_EQ(0, recoverable_add(&self->disk, UBLK_F_USER_RECOVERY |
				     UBLK_F_NO_AUTO_PART_SCAN, 1, DEPTH));
	snprintf(self->path, sizeof(self->path), DEBUGFS "/ublk/ublkc%d", self->disk.device.id);
}

FIXTURE_TEARDOWN(picture)
{
	EXPECT_EQ(0, recoverable_end(&self->disk));
	EXPECT_EQ(-1, access(self->path, F_OK));
}

/* In a process of its own, for it may not hang, and must not if it does. */
static const char *look(FIXTURE_DATA(picture) *self)
{
	static char text[4096];
	int ends[2];
	ssize_t got, size = 0;
	pid_t reader;

	if (pipe(ends))
		return "no pipe";
	reader = raw_fork();
	if (!reader) {
		int fd = open(self->path, O_RDONLY);

		while ((got = read(fd, text, sizeof(text))) > 0)
			if (write(ends[1], text, got) != got)
				_exit(1);
		_exit(fd < 0 || got);
	}
	close(ends[1]);
	if (raw_reap(reader, RAW_DEATH_DEADLINE))
		return "it cannot be read";
	while ((got = read(ends[0], text + size, sizeof(text) - 1 - size)) > 0)
		size += got;
	close(ends[0]);
	text[size] = 0;
	return text;
}

static bool shows(FIXTURE_DATA(picture) *self, const char *what)
{
	return strstr(look(self), what);
}

#define SHOWS(what) do { \
	const char *expected = what; \
	long long end = raw_now_ms() + RAW_DEADLINE; \
\
	while (!shows(self, expected) && raw_now_ms() < end) \
		raw_pause(); \
	EXPECT_TRUE(shows(self, expected)) { \
		TH_LOG("no '%s' in:\n%s", expected, look(self)); \
	} \
} while (0)

TEST_F(picture, of_every_state)
{
	char text[64];

	SHOWS("device: idle");
	SHOWS("server: none");
	SHOWS("disk: none");
	SHOWS("queue 0: empty=4");

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	SHOWS("device: live");
	snprintf(text, sizeof(text), "server: ready pid=%d fetched=4", self->disk.pid);
	SHOWS(text);
	SHOWS("slots=4 inbox=empty");
	SHOWS("queue 0: armed=4");
	SHOWS("counts: faults=0 sweeps=0 recalls=0 orphans=0");

	ASSERT_EQ(0, recoverable_kill(&self->disk));
	SHOWS("device: quiesced");
	SHOWS("server: none");
	EXPECT_FALSE(shows(self, "sweeps=0"));

	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	SHOWS("device: live");
	ASSERT_EQ(0, recoverable_command(self->disk.device.id, UBLK_U_CMD_STOP_DEV, 0));
	SHOWS("device: idle");
}

/* A server that is stopped answers nothing, and a delete waits for it, as does the disk's user. */
TEST_F(picture, of_what_hangs)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->disk.device.id);
	struct raw_control control;
	struct raw_io io;

	ASSERT_EQ(0, recoverable_start(&self->disk, HOLDS));
	ASSERT_EQ(0, raw_io_start(&io, &self->disk.device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	SHOWS("server=1");
	ASSERT_EQ(0, kill(self->disk.pid, SIGSTOP));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_DEL_DEV, &command));
	SHOWS("device: stopping");
	SHOWS("server: ready");
	SHOWS("queue 0: armed=3 server=1");
	SHOWS("disk: openers=1 waiting=0");
	ASSERT_EQ(0, kill(self->disk.pid, SIGCONT));
	ASSERT_EQ(0, recoverable_kill(&self->disk));
	EXPECT_EQ(-EIO, raw_io_wait(&io, NULL, RAW_DEATH_DEADLINE));
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
	EXPECT_EQ(-1, access(self->path, F_OK));
	self->disk.device.id = -1;
}

/* Requests that wait for the next server are in no slot. */
TEST_F(picture, of_what_waits)
{
	struct raw_io io;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	ASSERT_EQ(0, recoverable_kill(&self->disk));
	ASSERT_EQ(0, recoverable_await_state(&self->disk, UBLK_S_DEV_QUIESCED));
	ASSERT_EQ(0, raw_io_start(&io, &self->disk.device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	SHOWS("disk: openers=1 waiting=1");
	EXPECT_FALSE(shows(self, "orphans=0"));
	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	EXPECT_EQ(4096, raw_io_wait(&io, NULL, RAW_DEADLINE));
	SHOWS("waiting=0");
}

TEST_F(picture, is_for_root)
{
	struct stat status;

	ASSERT_EQ(0, stat(self->path, &status));
	EXPECT_EQ(S_IFREG | 0400, status.st_mode);
	EXPECT_EQ(0, status.st_uid);
}

/* Whoever has it open sees no device that is gone, and keeps none. */
TEST_F(picture, outlives_no_device)
{
	int id = self->disk.device.id;
	int fd = open(self->path, O_RDONLY);
	char text[256];

	ASSERT_LE(0, fd);
	EXPECT_LT(0, read(fd, text, 10));
	EXPECT_EQ(0, raw_delete(id));
	EXPECT_EQ(-1, pread(fd, text, sizeof(text), 0));
	EXPECT_EQ(0, raw_reuse(id));
	EXPECT_EQ(-1, pread(fd, text, sizeof(text), 0));
	close(fd);
	self->disk.device.id = -1;
}

TEST_HARNESS_MAIN
