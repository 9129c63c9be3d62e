// SPDX-License-Identifier: GPL-2.0-only
/*
 * A node gives its permissions on a device only where nodes are devices: not on file systems that
 * anybody may mount, whose nodes are what their owner says. And a file system that does not answer
 * keeps nobody's device from being deleted.
 */
// # timeout: 180
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/fuse.h>

#include "kselftest_harness.h"
#include "raw.h"

#define ALICE 1000
#define BOB 1001
#define CONTROL "/dev/ublk-control"
#define PLACE "/tmp/forged"
#define NODE 2
#define REQUEST (1 << 17)

/* What a process of Bob's tells of its file system. */
struct forger {
	atomic_int mounted;
	atomic_int shown;	/* its node looks like Alice's */
	atomic_int asked;	/* somebody waits for an answer */
	atomic_int seen;	/* results */
	atomic_int stopped;
	atomic_int done;
	atomic_int server;	/* the process that serves the file system */
};

FIXTURE(forged) {
	struct raw_device device;
	struct forger *forger;
	dev_t number;
	pid_t bob;
};

static int command_on(int id, unsigned int op, const char *path)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);
	char buffer[256] = {};

	strcpy(buffer, path);
	command.addr = (unsigned long)buffer;
	command.dev_path_len = strlen(path) + 1;
	command.len = command.dev_path_len + sizeof(struct ublksrv_ctrl_dev_info);
	return raw_control(op, &command);
}

static void become(unsigned int user)
{
	if (setgroups(0, NULL) || setresgid(user, user, 0) || setresuid(user, user, 0))
		abort();
}

static void become_root(void)
{
	if (setresuid(0, 0, 0) || setresgid(0, 0, 0))
		abort();
}

FIXTURE_SETUP(forged)
{
	struct stat status;
	char path[32];

	self->bob = -1;
	self->forger = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(0, chmod(CONTROL, 0666));
	ASSERT_TRUE(!mkdir(PLACE, 0755) || errno == EEXIST);
	ASSERT_EQ(0, chown(PLACE, BOB, BOB));
	become(ALICE);
	self->device.info = raw_info(1, 1);
	self->device.info.flags = UBLK_F_UNPRIVILEGED_DEV;
	ASSERT_EQ(0, raw_add_info(&self->device.info));
	self->device.id = self->device.info.dev_id;
	become_root();
	snprintf(path, sizeof(path), "/dev/ublkc%d", self->device.id);
	while (stat(path, &status))
		raw_pause();
	self->number = status.st_rdev;
}

FIXTURE_TEARDOWN(forged)
{
	if (atomic_load(&self->forger->server))
		kill(atomic_load(&self->forger->server), SIGKILL);
	if (self->bob > 0) {
		kill(self->bob, SIGKILL);
		EXPECT_LE(0, raw_reap(self->bob, RAW_DEADLINE));
	}
	EXPECT_EQ(0, raw_destroy(&self->device));
	EXPECT_EQ(0, chmod(CONTROL, 0600));
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != strlen(text))
		_exit(1);
	close(fd);
}

static struct fuse_attr attributes_of(__u64 id, dev_t number)
{
	struct fuse_attr attributes = {
		.ino = id,
		.mode = id == NODE ? S_IFCHR | 0666 : S_IFDIR | 0755,
		.nlink = 1,
		.uid = BOB,
		.gid = BOB,
		/* as a 32-bit number of the kernel's */
		.rdev = id == NODE ? (minor(number) & 0xff) | major(number) << 8 |
				     (minor(number) & ~0xffU) << 12 : 0,
	};

	return attributes;
}

struct filesystem {
	int fd;
	dev_t number;
	struct forger *forger;
};

static void answer(const struct filesystem *fs, __u64 unique, int error, const void *data, size_t size)
{
	char reply[256];
	struct fuse_out_header header = {
		.len = sizeof(header) + size, .error = error, .unique = unique,
	};

	memcpy(reply, &header, sizeof(header));
	memcpy(reply + sizeof(header), data, size);
	if (write(fs->fd, reply, header.len) != header.len)
		return;
}

/* A directory in which every name is Alice's device, but for one that is never found nor not found. */
static void run_filesystem(const struct filesystem *fs)
{
	char *request = malloc(REQUEST);

	while (read(fs->fd, request, REQUEST) > 0) {
		struct fuse_in_header *in = (void *)request;
		struct fuse_init_out init = {
			.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096,
		};
		struct fuse_entry_out entry = {
			.nodeid = NODE, .attr = attributes_of(NODE, fs->number),
		};
		struct fuse_attr_out attr = { .attr = attributes_of(in->nodeid, fs->number) };

		if (in->opcode == FUSE_INIT)
			answer(fs, in->unique, 0, &init, sizeof(init));
		else if (in->opcode == FUSE_LOOKUP && !strcmp(request + sizeof(*in), "never"))
			atomic_store(&fs->forger->asked, 1);
		else if (in->opcode == FUSE_LOOKUP)
			answer(fs, in->unique, 0, &entry, sizeof(entry));
		else if (in->opcode == FUSE_GETATTR)
			answer(fs, in->unique, 0, &attr, sizeof(attr));
		else if (in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET)
			answer(fs, in->unique, -ENOSYS, NULL, 0);
	}
}

/*
 * Bob, in a user namespace of his own, mounts what he likes. Another process serves it: who waits for an
 * answer can only die when the one who should give it has.
 */
static void mount_filesystem(struct filesystem *fs)
{
	char text[128];
	pid_t server;

	if (setgroups(0, NULL) || setresgid(BOB, BOB, BOB) || setresuid(BOB, BOB, BOB) ||
	    prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER | CLONE_NEWNS))
		_exit(2);
	write_file("/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%d %d 1", BOB, BOB);
	write_file("/proc/self/uid_map", text);
	write_file("/proc/self/gid_map", text);
	fs->fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(text, sizeof(text), "fd=%d,rootmode=40000,user_id=%d,group_id=%d", fs->fd, BOB,
		 BOB);
	if (fs->fd < 0 || mount("forged", PLACE, "fuse", MS_NOSUID | MS_NODEV, text))
		_exit(3);
	server = raw_fork();
	if (!server) {
		run_filesystem(fs);
		_exit(0);
	}
	close(fs->fd);
	atomic_store(&fs->forger->server, server);
	atomic_store(&fs->forger->mounted, 1);
}

static void forge(FIXTURE_DATA(forged) *self, const char *name)
{
	struct filesystem fs = { .number = self->number, .forger = self->forger };
	struct stat status;

	mount_filesystem(&fs);
	if (!strcmp(name, PLACE "/node") && !stat(name, &status))
		atomic_store(&self->forger->shown, S_ISCHR(status.st_mode) &&
			     status.st_rdev == self->number && (status.st_mode & 0777) == 0666);
	atomic_store(&self->forger->seen, command_on(self->device.id, UBLK_U_CMD_GET_DEV_INFO2,
						     name));
	atomic_store(&self->forger->stopped, command_on(self->device.id, UBLK_U_CMD_STOP_DEV,
							name));
	atomic_store(&self->forger->done, 1);
	for (;;)
		raw_pause();
}

static void be_bob(struct __test_metadata *_metadata, FIXTURE_DATA(forged) *self, const char *name)
{
	ASSERT_EQ(0, system("modprobe fuse"));
	ASSERT_EQ(0, chmod("/dev/fuse", 0666));
	self->bob = raw_fork();
	ASSERT_LE(0, self->bob);
	if (!self->bob)
		forge(self, name);
	if (raw_await(&self->forger->mounted, 1, RAW_DEADLINE)) {
		int status = raw_reap(self->bob, 0);

		self->bob = -1;
		ASSERT_EQ(0, status);
	}
}

TEST_F(forged, node_of_ones_own_file_system)
{
	be_bob(_metadata, self, PLACE "/node");
	ASSERT_EQ(0, raw_await(&self->forger->done, 1, RAW_DEADLINE));
	EXPECT_EQ(1, atomic_load(&self->forger->shown));
	EXPECT_EQ(-EPERM, atomic_load(&self->forger->seen));
	EXPECT_EQ(-EPERM, atomic_load(&self->forger->stopped));
}

TEST_F(forged, file_system_that_does_not_answer)
{
	int id = self->device.id;

	be_bob(_metadata, self, PLACE "/never");
	ASSERT_EQ(0, raw_await(&self->forger->asked, 1, RAW_DEADLINE));
	EXPECT_EQ(0, raw_delete(id));
	EXPECT_EQ(0, raw_reuse(id));
	self->device.id = -1;
}

static void at_node(struct __test_metadata *_metadata, FIXTURE_DATA(forged) *self,
		    unsigned long flags, int expected)
{
	ASSERT_EQ(0, mount("forged", PLACE, "tmpfs", flags, NULL));
	EXPECT_EQ(0, mknod(PLACE "/node", S_IFCHR | 0600, self->number));
	EXPECT_EQ(0, chown(PLACE "/node", ALICE, ALICE));
	EXPECT_EQ(0, chmod(PLACE, 0755));
	become(ALICE);
	EXPECT_EQ(expected, command_on(self->device.id, UBLK_U_CMD_GET_DEV_INFO2, PLACE "/node"));
	become_root();
	EXPECT_EQ(0, umount(PLACE));
}

/* The administrator's nodes may lie anywhere, but for where he wants none. */
TEST_F(forged, node_that_is_no_device)
{
	at_node(_metadata, self, 0, 0);
	at_node(_metadata, self, MS_NODEV, -EPERM);
}

TEST_HARNESS_MAIN
