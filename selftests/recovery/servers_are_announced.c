// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whoever listens to uevents learns when a server goes and when one comes: from the character device,
 * never from the disk, which would be read for that.
 */
// # timeout: 120
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "kselftest_harness.h"
#include "recoverable.h"

FIXTURE(announced) {
	struct recoverable disk;
	int listener;
	unsigned int of_disk;	/* changes of the disk itself */
};

FIXTURE_SETUP(announced)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };

	self->listener = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	ASSERT_LE(0, self->listener);
	ASSERT_EQ(0, bind(self->listener, (void *)&kernel, sizeof(kernel)));
	ASSERT_EQ(0, recoverable_add(&self->disk, UBLK_F_USER_RECOVERY | UBLK_F_QUIESCE |
				     UBLK_F_NO_AUTO_PART_SCAN, 1, 4));
}

FIXTURE_TEARDOWN(announced)
{
	close(self->listener);
	EXPECT_EQ(0, recoverable_end(&self->disk));
}

/* The value of a key in a message of lines that end with 0; "" if it is not there. */
static const char *value_of(const char *message, ssize_t size, const char *key)
{
	size_t length = strlen(key);
	const char *line;

	for (line = message; line < message + size; line += strlen(line) + 1) {
		if (!strncmp(line, key, length) && line[length] == '=')
			return line + length + 1;
	}
	return "";
}

/* What the device says next of its server; "" if nothing comes. */
static const char *hear(FIXTURE_DATA(announced) *self, int wait_ms)
{
	static char message[8192];
	long long end = raw_now_ms() + wait_ms;
	char chr[32], block[32];

	snprintf(chr, sizeof(chr), "ublkc%d", self->disk.device.id);
	snprintf(block, sizeof(block), "ublkb%d", self->disk.device.id);
	while (raw_now_ms() < end) {
		struct pollfd poller = { .fd = self->listener, .events = POLLIN };
		const char *name;
		ssize_t size;

		if (poll(&poller, 1, end - raw_now_ms()) <= 0)
			break;
		size = recv(self->listener, message, sizeof(message) - 1, 0);
		if (size <= 0)
			break;
		message[size] = 0;
		name = value_of(message, size, "DEVNAME");
		if (strcmp(value_of(message, size, "ACTION"), "change"))
			continue;
		if (!strcmp(name, block) && *value_of(message, size, "UBLK_SERVER"))
			self->of_disk++;
		if (!strcmp(name, chr))
			return value_of(message, size, "UBLK_SERVER");
	}
	return "";
}

TEST_F(announced, when_they_come_and_go)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	EXPECT_STREQ("ready", hear(self, RAW_DEADLINE));
	ASSERT_EQ(0, recoverable_kill(&self->disk));
	EXPECT_STREQ("gone", hear(self, RAW_DEADLINE));
	ASSERT_EQ(0, recoverable_await_state(&self->disk, UBLK_S_DEV_QUIESCED));
	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	EXPECT_STREQ("ready", hear(self, RAW_DEADLINE));

	/* one that is sent away is gone, too */
	EXPECT_EQ(0, recoverable_quiesce(&self->disk, 0));
	EXPECT_STREQ("gone", hear(self, RAW_DEADLINE));
	EXPECT_LE(0, raw_reap(self->disk.pid, RAW_DEADLINE));
	self->disk.pid = -1;
	ASSERT_EQ(0, recoverable_await_state(&self->disk, UBLK_S_DEV_QUIESCED));
	EXPECT_STREQ("", hear(self, 300));
	EXPECT_EQ(0, self->of_disk);
}

/* It had not fetched everything: there was no server to rely on, but one to wait for. */
TEST_F(announced, when_they_die_as_they_come)
{
	ASSERT_EQ(0, recoverable_serve(&self->disk, FETCHES_SOME));
	EXPECT_STREQ("", hear(self, 300));
	ASSERT_EQ(0, recoverable_kill(&self->disk));
	EXPECT_STREQ("gone", hear(self, RAW_DEADLINE));
}

TEST_HARNESS_MAIN
