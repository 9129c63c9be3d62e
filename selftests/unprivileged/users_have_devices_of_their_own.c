// SPDX-License-Identifier: GPL-2.0-only
/*
 * A user without privileges adds, serves, uses and deletes a device, and can do nothing to anybody
 * else's; nor can the user's device do anything to others.
 */
// # timeout: 240
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/fs.h>

#include "kselftest_harness.h"
#include "raw.h"

#define ALICE 1000
#define BOB 1001
#define CONTROL "/dev/ublk-control"
#define LIMIT "/sys/module/ublk_drv/parameters/ublks_max"
#define CGROUP "/tmp/charged"

/* The saved ids stay root's, so that the test can be somebody else again. */
static void become_root(void)
{
	if (setresuid(0, 0, 0) || setresgid(0, 0, 0))
		abort();
}

static void become_user(unsigned int user)
{
	become_root();
	if (setgroups(0, NULL) || setresgid(user, user, 0) || setresuid(user, user, 0))
		abort();
}

/* A control command whose buffer begins with the path of a node, if there is one. */
static int command_with(int id, unsigned int op, const char *path, const void *payload,
			size_t length, __u64 data)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);
	char buffer[4096 + sizeof(struct ublk_params)] = {};
	size_t path_length = path ? strlen(path) + 1 : 0;

	if (path)
		memcpy(buffer, path, path_length);
	if (payload)
		memcpy(buffer + path_length, payload, length);
	command.addr = (unsigned long)buffer;
	command.len = path_length + length;
	command.dev_path_len = path_length;
	command.data[0] = data;
	return raw_control(op, &command);
}

FIXTURE(user) {
	struct raw_device device;
	struct raw_server server;
	char chr[32];
	char block[32];
};

static int add(struct raw_device *device, __u64 features)
{
	int ret;

	device->info = raw_info(1, 4);
	device->info.flags = features;
	ret = raw_add_info(&device->info);
	if (ret)
		return ret;
	device->id = device->info.dev_id;
	device->params = raw_params(&device->info);
	return 0;
}

/* What udev rules do when the node of a user's device appears. */
static int give(const char *node, unsigned int user)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	int ret;

	become_root();
	while ((ret = chown(node, user, user)) && errno == ENOENT && raw_now_ms() < end)
		raw_pause();
	ret = ret ? -errno : 0;
	become_user(user);
	return ret;
}

FIXTURE_SETUP(user)
{
	raw_none(&self->device, &self->server);
	ASSERT_EQ(0, chmod(CONTROL, 0666));
	become_user(ALICE);
	ASSERT_EQ(0, add(&self->device, UBLK_F_UNPRIVILEGED_DEV));
	snprintf(self->chr, sizeof(self->chr), "/dev/ublkc%d", self->device.id);
	snprintf(self->block, sizeof(self->block), "/dev/ublkb%d", self->device.id);
	ASSERT_EQ(0, give(self->chr, ALICE));
	ASSERT_EQ(0, command_with(self->device.id, UBLK_U_CMD_SET_PARAMS, self->chr,
				  &self->device.params, sizeof(self->device.params), 0));
}

FIXTURE_TEARDOWN(user)
{
	raw_server_close(&self->server);
	become_root();
	/* root need not name the node */
	EXPECT_EQ(0, raw_destroy(&self->device));
	EXPECT_EQ(0, chmod(CONTROL, 0600));
}

static int start(FIXTURE_DATA(user) *self)
{
	int ret = raw_server_open(&self->server, &self->device, 0);

	if (ret)
		return ret;
	raw_fetch_all(&self->server);
	raw_pump(&self->server, 0);
	ret = command_with(self->device.id, UBLK_U_CMD_START_DEV, self->chr, NULL, 0, getpid());
	return ret ? ret : give(self->block, ALICE);
}

TEST_F(user, adds_serves_uses_and_deletes)
{
	struct raw_request request;
	struct raw_io io;

	EXPECT_EQ(UBLK_F_UNPRIVILEGED_DEV, self->device.info.flags & UBLK_F_UNPRIVILEGED_DEV);
	EXPECT_EQ(ALICE, self->device.info.owner_uid);
	EXPECT_EQ(ALICE, self->device.info.owner_gid);
	ASSERT_EQ(0, start(self));
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	raw_fill(raw_buffer(&self->server, 0, request.tag), RAW_TEST_OFFSET, 4096);
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(io.buffer, RAW_TEST_OFFSET, 4096));

	EXPECT_EQ(0, command_with(self->device.id, UBLK_U_CMD_STOP_DEV, self->chr, NULL, 0, 0));
	raw_server_close(&self->server);
	EXPECT_EQ(0, command_with(self->device.id, UBLK_U_CMD_DEL_DEV, self->chr, NULL, 0, 0));
	self->device.id = -1;
}

TEST_F(user, must_name_the_node_of_the_device)
{
	static const unsigned int ops[] = {
		UBLK_U_CMD_GET_DEV_INFO, UBLK_U_CMD_GET_DEV_INFO2, UBLK_U_CMD_GET_PARAMS,
		UBLK_U_CMD_GET_QUEUE_AFFINITY, UBLK_U_CMD_SET_PARAMS, UBLK_U_CMD_START_DEV,
		UBLK_U_CMD_STOP_DEV, UBLK_U_CMD_TRY_STOP_DEV, UBLK_U_CMD_UPDATE_SIZE,
		UBLK_U_CMD_QUIESCE_DEV, UBLK_U_CMD_START_USER_RECOVERY,
		UBLK_U_CMD_END_USER_RECOVERY, UBLK_U_CMD_DEL_DEV, UBLK_U_CMD_DEL_DEV_ASYNC,
	};
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	int id = self->device.id;
	unsigned int i;

	for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		EXPECT_EQ(-EINVAL, command_with(id, ops[i], NULL, &self->device.info, 64, 0));
		EXPECT_EQ(-EPERM, command_with(id, ops[i], "/dev/null", &self->device.info, 64, 0));
		EXPECT_EQ(-EPERM, command_with(id, ops[i], "/dev", &self->device.info, 64, 0));
		EXPECT_EQ(-ENOENT, command_with(id, ops[i], "/dev/none", &self->device.info, 64,
						0));
	}
	command.dev_path_len = 12;
	command.len = 64;
	EXPECT_EQ(-EFAULT, raw_control(UBLK_U_CMD_STOP_DEV, &command));
	command.len = 11;
	EXPECT_EQ(-EINVAL, raw_control(UBLK_U_CMD_STOP_DEV, &command));
	command.dev_path_len = command.len = 4097;
	EXPECT_EQ(-EINVAL, raw_control(UBLK_U_CMD_STOP_DEV, &command));
	EXPECT_EQ(0, command_with(id, UBLK_U_CMD_GET_DEV_INFO, self->chr, &self->device.info, 64,
				  0));
	EXPECT_EQ(0, command_with(id, UBLK_U_CMD_GET_DEV_INFO2, self->chr, &self->device.info, 64,
				  0));
}

TEST_F(user, can_do_nothing_to_others_devices)
{
	struct raw_device roots;
	int fd;

	become_user(BOB);
	EXPECT_EQ(-EACCES, command_with(self->device.id, UBLK_U_CMD_STOP_DEV, self->chr, NULL, 0,
					0));
	EXPECT_EQ(-EACCES, command_with(self->device.id, UBLK_U_CMD_GET_DEV_INFO, self->chr,
					&self->device.info, 64, 0));
	EXPECT_EQ(-EACCES, raw_open_char(self->device.id));

	become_root();
	ASSERT_EQ(0, raw_add(&roots, 1, 1));
	become_user(ALICE);
	EXPECT_EQ(-EPERM, raw_delete(roots.id));
	/* no node of hers gives her anything on it */
	EXPECT_EQ(-EPERM, command_with(roots.id, UBLK_U_CMD_DEL_DEV, self->chr, NULL, 0, 0));
	become_root();
	EXPECT_EQ(0, raw_destroy(&roots));

	/* a disk is its owner's, whatever its node allows */
	become_user(ALICE);
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(0, chmod(self->block, 0666));
	fd = raw_open_block(self->device.id, O_RDONLY);
	EXPECT_LE(0, fd);
	close(fd);
	become_user(BOB);
	EXPECT_EQ(-EPERM, raw_open_block(self->device.id, O_RDONLY));
	become_root();
	fd = raw_open_block(self->device.id, O_RDONLY);
	EXPECT_LE(0, fd);
	/* nobody has read its partition table, and nobody can ask for that */
	EXPECT_NE(0, ioctl(fd, BLKRRPART));
	close(fd);
	raw_pump(&self->server, 100);
	EXPECT_EQ(0, self->server.sequence - 4);
}

TEST_F(user, gets_no_privileged_feature)
{
	static const __u64 refused[] = {
		UBLK_F_USER_COPY, UBLK_F_SUPPORT_ZERO_COPY, UBLK_F_AUTO_BUF_REG,
	};
	static const __u64 dropped = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE |
				     UBLK_F_QUIESCE;
	struct raw_device other = { .id = -1 };
	unsigned int i;

	EXPECT_EQ(-EPERM, add(&other, 0));
	EXPECT_EQ(-EINVAL, add(&other, UBLK_F_UNPRIVILEGED_DEV | UBLK_F_USER_COPY));
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		int ret = add(&other, UBLK_F_UNPRIVILEGED_DEV | refused[i]);

		/* a driver that does not know the feature does not grant it */
		EXPECT_TRUE(ret == -EINVAL || (!ret && !(other.info.flags & refused[i])));
		become_root();
		EXPECT_EQ(0, raw_destroy(&other));
		become_user(ALICE);
	}
	ASSERT_EQ(0, add(&other, UBLK_F_UNPRIVILEGED_DEV | dropped));
	EXPECT_EQ(0, other.info.flags & dropped);
	become_root();
	EXPECT_EQ(0, raw_destroy(&other));

	/* root's device is not a user's, asked for or not */
	ASSERT_EQ(0, add(&other, UBLK_F_UNPRIVILEGED_DEV));
	EXPECT_EQ(0, other.info.flags & UBLK_F_UNPRIVILEGED_DEV);
	EXPECT_EQ(0, raw_destroy(&other));
}

static int set_limit(int limit)
{
	FILE *file = fopen(LIMIT, "w");

	if (!file)
		return -errno;
	fprintf(file, "%d\n", limit);
	return fclose(file) ? -errno : 0;
}

TEST_F(user, can_have_only_so_many)
{
	struct raw_device other = { .id = -1 }, roots = { .id = -1 };

	become_root();
	ASSERT_EQ(0, set_limit(2));
	become_user(BOB);
	EXPECT_EQ(0, add(&other, UBLK_F_UNPRIVILEGED_DEV));
	EXPECT_EQ(-EACCES, add(&roots, UBLK_F_UNPRIVILEGED_DEV));
	become_root();
	EXPECT_EQ(0, add(&roots, 0));
	EXPECT_EQ(0, raw_destroy(&roots));
	EXPECT_EQ(0, raw_destroy(&other));
	become_user(BOB);
	EXPECT_EQ(0, add(&other, UBLK_F_UNPRIVILEGED_DEV));
	become_root();
	EXPECT_EQ(0, raw_destroy(&other));
	EXPECT_EQ(0, set_limit(64));
}

TEST_F(user, leaves_something_to_others)
{
	struct raw_device hers[64], his = { .id = -1 };
	unsigned int count = 0;
	int ret;

	while (count < 64 && !(ret = add(&hers[count], UBLK_F_UNPRIVILEGED_DEV)))
		count++;
	EXPECT_EQ(-EACCES, ret);
	EXPECT_GT(32, count);
	become_user(BOB);
	EXPECT_EQ(0, add(&his, UBLK_F_UNPRIVILEGED_DEV));
	become_root();
	EXPECT_EQ(0, raw_destroy(&his));

	/* each that goes makes room for one */
	EXPECT_EQ(0, raw_destroy(&hers[0]));
	become_user(ALICE);
	EXPECT_EQ(0, add(&hers[0], UBLK_F_UNPRIVILEGED_DEV));
	EXPECT_EQ(-EACCES, add(&his, UBLK_F_UNPRIVILEGED_DEV));
	become_root();
	while (count--)
		EXPECT_EQ(0, raw_destroy(&hers[count]));
}

static long read_number(const char *path)
{
	FILE *file = fopen(path, "r");
	long number = -1;

	if (!file)
		return -errno;
	if (fscanf(file, "%ld", &number) != 1)
		number = -1;
	fclose(file);
	return number;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t done;

	if (fd < 0)
		return -errno;
	done = write(fd, text, strlen(text));
	close(fd);
	return done < 0 ? -errno : 0;
}

/* Slots and descriptors of two queues of 4096 take 700 KB. */
TEST_F(user, pays_for_the_memory_of_her_devices)
{
	struct raw_shared *shared = raw_share();
	long before, after;
	pid_t child;

	become_root();
	ASSERT_TRUE(!mkdir(CGROUP, 0755) || errno == EEXIST);
	ASSERT_EQ(0, mount("charged", CGROUP, "cgroup2", 0, NULL));
	write_text(CGROUP "/cgroup.subtree_control", "+memory");
	ASSERT_EQ(0, mkdir(CGROUP "/hers", 0755));
	before = read_number(CGROUP "/hers/memory.current");
	ASSERT_LE(0, before);
	child = raw_fork();
	if (!child) {
		struct raw_device device = { .info = raw_info(2, 4096) };

		if (write_text(CGROUP "/hers/cgroup.procs", "0"))
			_exit(1);
		become_user(ALICE);
		device.info.flags = UBLK_F_UNPRIVILEGED_DEV;
		if (raw_add_info(&device.info))
			_exit(2);
		atomic_store(&shared->caught, device.info.dev_id);
		_exit(0);
	}
	EXPECT_EQ(0, raw_reap(child, RAW_DEADLINE));
	after = read_number(CGROUP "/hers/memory.current");
	EXPECT_LE(500 << 10, after - before);
	EXPECT_EQ(0, raw_delete(atomic_load(&shared->caught)));
	EXPECT_EQ(0, rmdir(CGROUP "/hers"));
	EXPECT_EQ(0, umount(CGROUP));
	become_user(ALICE);
}

/* Opened by root, served by somebody else: who could make the kernel read any partition table? */
TEST_F(user, who_serves_is_not_who_has_opened)
{
	struct raw_device device;
	struct raw_server server;
	pid_t asker;

	become_root();
	raw_none(&device, &server);
	ASSERT_EQ(0, raw_add(&device, 1, 4));
	ASSERT_EQ(0, raw_server_open(&server, &device, 0));
	server.answer_all = true;
	become_user(ALICE);
	raw_fetch_all(&server);
	raw_pump(&server, 0);
	become_root();
	ASSERT_EQ(0, raw_server_go(&server));
	asker = raw_fork();
	if (!asker) {
		int fd = raw_open_block(device.id, O_RDONLY);

		_exit(ioctl(fd, BLKRRPART) ? errno : 0);
	}
	while (true) {
		int status = raw_reap(asker, 0);

		raw_pump(&server, 20);
		if (status == -ETIME)
			continue;
		EXPECT_EQ(EINVAL, status >> 8);
		break;
	}
	EXPECT_EQ(0, raw_finish(&device, &server));
	become_user(ALICE);
}

static int set_io_timeout(int id, unsigned int ms)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/queue/io_timeout", id);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fprintf(file, "%u\n", ms);
	return fclose(file) ? -errno : 0;
}

/* Others may wait for the disk, whoever syncs all disks for example. */
TEST_F(user, whose_server_does_not_answer_loses_it)
{
	static const struct raw_style style = { .hold_all = true };
	struct raw_shared *shared = raw_share();
	struct raw_io io;
	pid_t pid;

	pid = fork();
	if (pid == 0)
		raw_server_main(&self->device, shared, &style);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, raw_await(&shared->fetched, 4, RAW_DEADLINE));
	ASSERT_EQ(0, command_with(self->device.id, UBLK_U_CMD_START_DEV, self->chr, NULL, 0, pid));
	ASSERT_EQ(0, give(self->block, ALICE));
	become_root();
	ASSERT_EQ(0, set_io_timeout(self->device.id, 1000));
	ASSERT_EQ(0, raw_io_start(&io, &self->device, RAW_READ, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	EXPECT_EQ(SIGKILL, raw_reap(pid, RAW_DEADLINE));
	EXPECT_EQ(-EIO, raw_io_wait(&io, NULL, RAW_DEATH_DEADLINE));
}

TEST_HARNESS_MAIN
