// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server waits for the disk it serves: its buffer is a mapping of the disk, or it reads it, and the
 * only tag is the one it is working on; or it opens the disk, which its partitions are looked for on.
 * That helps nobody, but a process that is killed dies, the I/O ends, and the device can be deleted.
 *
 * With several queues on one thread there are tags, too, whose commands wait while it does: to answer
 * them somebody could have to wait for what the thread holds.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw.h"

#define BYTES 4096
#define A_WHILE 500000	/* microseconds; several times the driver's interval */

/* What the server does with its own disk when it has a request. */
enum waits_in {
	COMMIT,		/* gives it as the buffer with what was read */
	DELIVERY,	/* gave it as the buffer for what is written */
	GET_DATA,	/* the same, once it knows of the request */
	USER_COPY,	/* moves the data from it */
	READING,	/* reads it */
};

struct own_disk {
	int fd;
	char *map;
};

static int open_own_disk(const struct raw_device *device, struct own_disk *disk)
{
	disk->fd = raw_open_block(device->id, O_RDWR);
	if (disk->fd < 0)
		return disk->fd;
	disk->map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, disk->fd, 0);
	return disk->map == MAP_FAILED ? -errno : 0;
}

static void wait_for_oneself(struct raw_server *server, enum waits_in where,
			     const struct own_disk *disk, unsigned int queue)
{
	off_t data = UBLKSRV_IO_BUF_OFFSET + ((off_t)queue << UBLK_QID_OFF);
	__u64 map = (unsigned long)disk->map;
	char buffer[BYTES];

	switch (where) {
	case COMMIT:
		raw_io_command(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, queue, 0, BYTES, map);
		break;
	case DELIVERY:
		raw_io_command(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, queue, 0, -EIO, map);
		break;
	case GET_DATA:
		raw_io_command(server, UBLK_U_IO_NEED_GET_DATA, queue, 0, 0, map);
		break;
	case USER_COPY:
		if (pwrite(server->chr, disk->map, BYTES, data) < 0)
			_exit(1);
		break;
	case READING:
		if (pread(disk->fd, buffer, sizeof(buffer), 0) < 0)
			_exit(1);
		break;
	}
}

static void serve(struct raw_device *device, struct raw_shared *shared, enum waits_in where)
{
	struct raw_server server;
	struct raw_request request;
	struct own_disk disk;

	if (raw_server_open(&server, device, 0))
		_exit(1);
	server.hold_offers = where == GET_DATA;
	raw_fetch_all(&server);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&shared->fetched, 1);
	if (raw_await(&shared->go, 1, RAW_DEADLINE) || open_own_disk(device, &disk))
		_exit(1);
	while (raw_catch(&server, &request)) {
		atomic_fetch_add(&shared->caught, 1);
		wait_for_oneself(&server, where, &disk, request.queue);
	}
	for (;;)
		pause();
}

FIXTURE(server)
{
	struct raw_device device;
	struct raw_shared *shared;
	struct raw_io io;
	pid_t pid;
};

FIXTURE_VARIANT(server)
{
	unsigned int queues;
	enum waits_in where;
	enum raw_io_kind kind;
	__u64 flags;
};

FIXTURE_VARIANT_ADD(server, commit) { .queues = 1, .where = COMMIT, .kind = RAW_READ };
FIXTURE_VARIANT_ADD(server, delivery) { .queues = 1, .where = DELIVERY, .kind = RAW_WRITE };
FIXTURE_VARIANT_ADD(server, get_data) {
	.queues = 1, .where = GET_DATA, .kind = RAW_WRITE, .flags = UBLK_F_NEED_GET_DATA,
};
FIXTURE_VARIANT_ADD(server, user_copy) {
	.queues = 1, .where = USER_COPY, .kind = RAW_READ, .flags = UBLK_F_USER_COPY,
};
FIXTURE_VARIANT_ADD(server, reading) { .queues = 1, .where = READING, .kind = RAW_READ };

FIXTURE_VARIANT_ADD(server, commit_of_two) { .queues = 2, .where = COMMIT, .kind = RAW_READ };
FIXTURE_VARIANT_ADD(server, delivery_of_two) { .queues = 2, .where = DELIVERY, .kind = RAW_WRITE };
FIXTURE_VARIANT_ADD(server, get_data_of_two) {
	.queues = 2, .where = GET_DATA, .kind = RAW_WRITE, .flags = UBLK_F_NEED_GET_DATA,
};
FIXTURE_VARIANT_ADD(server, user_copy_of_two) {
	.queues = 2, .where = USER_COPY, .kind = RAW_READ, .flags = UBLK_F_USER_COPY,
};

/* All of the disk's users use its last queue, the server, too: the commands before it are parked. */
static int use_last_queue(const struct raw_device *device)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(device->id);
	cpu_set_t set;
	int ret;

	CPU_ZERO(&set);
	command.addr = (unsigned long)&set;
	command.len = sizeof(set);
	command.data[0] = device->info.nr_hw_queues - 1;
	ret = raw_control(UBLK_U_CMD_GET_QUEUE_AFFINITY, &command);
	if (ret)
		return ret;
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

FIXTURE_SETUP(server)
{
	struct ublksrv_ctrl_dev_info info = raw_info(variant->queues, 1);

	raw_none(&self->device, NULL);
	info.flags = UBLK_F_NO_AUTO_PART_SCAN | variant->flags;
	self->shared = raw_share();
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_EQ(variant->queues, self->device.info.nr_hw_queues);
	ASSERT_EQ(0, use_last_queue(&self->device));
	self->pid = raw_fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		serve(&self->device, self->shared, variant->where);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->device.id, self->pid));
	atomic_store(&self->shared->go, 1);
}

FIXTURE_TEARDOWN(server)
{
	EXPECT_EQ(0, raw_kill(&self->device, self->pid));
}

static ssize_t use_disk(FIXTURE_DATA(server) *self, enum raw_io_kind kind)
{
	return raw_io_start(&self->io, &self->device, kind, raw_pages(BYTES), BYTES,
			    RAW_TEST_OFFSET);
}

static void let_it_wait(struct __test_metadata *_metadata, FIXTURE_DATA(server) *self,
			const FIXTURE_VARIANT(server) *variant)
{
	/* The first answer tells where the data of the next request go. */
	if (variant->where == DELIVERY) {
		ASSERT_EQ(0, use_disk(self, RAW_READ));
		ASSERT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEADLINE));
	}
	ASSERT_EQ(0, use_disk(self, variant->kind));
	/* Where no signal wakes it. */
	ASSERT_EQ(0, raw_await_state(self->pid, 'D'));
}

TEST_F(server, dies_when_it_is_killed)
{
	ssize_t ret;

	let_it_wait(_metadata, self, variant);
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	/* Newer kernels' driver has no reason to look before somebody asks for something. */
	if (variant->where == READING) {
		EXPECT_EQ(0, raw_stop(self->device.id));
	}
	ret = raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE);
	EXPECT_EQ(-EIO, ret);
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

/* Only then does somebody kill it. */
TEST_F(server, dies_when_its_device_is_being_deleted)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;

	let_it_wait(_metadata, self, variant);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_STOP_DEV, &command));
	raw_pause();
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE));
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

/* --- a thread of the server waits for the disk to be ready, which only the server can make it --- */

static void *open_disk(void *argument)
{
	struct raw_device *device = argument;

	raw_open_block(device->id, O_RDONLY);
	return NULL;
}

static void serve_whom_it_waits_for(struct raw_device *device, struct raw_shared *shared)
{
	struct raw_server server;
	pthread_t thread;

	if (raw_server_open(&server, device, 0))
		_exit(1);
	server.hold_all = true;
	raw_fetch_all(&server);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&shared->fetched, 1);
	while (!server.caught_count)
		raw_pump(&server, 100);
	atomic_store(&shared->caught, 1);
	if (pthread_create(&thread, NULL, open_disk, device))
		_exit(1);
	/* Nor does it close the device when it is told to leave. */
	for (;;)
		pause();
}

FIXTURE(opener)
{
	struct raw_device device;
	struct raw_shared *shared;
	pid_t pid;
};

FIXTURE_SETUP(opener)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	raw_none(&self->device, NULL);
	info.flags = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_FAIL_IO | UBLK_F_QUIESCE;
	self->shared = raw_share();
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	self->pid = raw_fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		serve_whom_it_waits_for(&self->device, self->shared);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->device.id, self->pid));
	/* Who looks for partitions keeps everybody from opening the disk. */
	ASSERT_EQ(0, raw_await(&self->shared->caught, 1, RAW_DEADLINE));
}

FIXTURE_TEARDOWN(opener)
{
	EXPECT_EQ(0, raw_destroy(&self->device));
}

static bool a_thread_waits(pid_t pid)
{
	char path[64];
	const struct dirent *entry;
	DIR *tasks;
	bool waits = false;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tasks = opendir(path);
	while (tasks && !waits && (entry = readdir(tasks)))
		waits = atoi(entry->d_name) > 0 && raw_is_in_state(atoi(entry->d_name), 'D');
	if (tasks)
		closedir(tasks);
	return waits;
}

TEST_F(opener, dies_when_it_is_killed_after_it_was_sent_away)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	long long end = raw_now_ms() + RAW_DEADLINE;

	while (!a_thread_waits(self->pid) && raw_now_ms() < end)
		raw_pause();
	ASSERT_TRUE(a_thread_waits(self->pid));
	command.data[0] = 5000;
	ASSERT_EQ(0, raw_control(UBLK_U_CMD_QUIESCE_DEV, &command));
	/* The driver may look once more just when it has sent the server away. */
	usleep(A_WHILE);
	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
}

TEST_HARNESS_MAIN
