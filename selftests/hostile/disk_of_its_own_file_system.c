// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server whose buffers are a file on the file system of its own disk, which is being frozen: its task
 * waits for the end of the freeze, where no signal wakes it, and the freeze waits for a request that
 * the same task has taken and not delivered yet. A server that is killed then loses it all the same.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <unistd.h>

#include <linux/fs.h>

#include "raw_batch.h"

/* The request whose data go to the file, and the one that the freeze waits for: no tag is left. */
#define DEPTH 2
#define BYTES RAW_BATCH_BYTES

struct place {
	char folder[32];
	char buffers[64];	/* the file */
	char other[64];
};

/* --- the server: an honest disk in memory, until it is told to use the file --- */

static int serve_request(char *disk, const struct ublksrv_io_desc *descriptor, char *buffer)
{
	size_t bytes = (size_t)descriptor->nr_sectors << 9;
	char *at = disk + (descriptor->start_sector << 9);

	switch (ublksrv_get_op(descriptor)) {
	case UBLK_IO_OP_READ:
		memcpy(buffer, at, bytes);
		return bytes;
	case UBLK_IO_OP_WRITE:
		memcpy(at, buffer, bytes);
		return bytes;
	case UBLK_IO_OP_WRITE_ZEROES:
	case UBLK_IO_OP_DISCARD:
		memset(at, 0, bytes);
		return bytes;
	default:
		return 0;
	}
}

/* What is copied to @memory goes to the file from now on. It is there, but not to be written. */
static void put_into_file(char *memory, const char *path)
{
	int fd = open(path, O_RDWR);
	volatile char sum = 0;
	unsigned int tag;

	if (fd < 0 || mmap(memory, DEPTH * BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			   fd, 0) == MAP_FAILED)
		_exit(1);
	for (tag = 0; tag < DEPTH; tag++)
		sum += memory[tag * BYTES];
	close(fd);
}

static void serve_single(struct raw_device *device, struct raw_shared *shared,
			 const struct place *place)
{
	char *disk = raw_pages(RAW_DISK_BYTES);
	struct raw_server server;
	struct raw_request request;

	if (!disk || raw_server_open(&server, device, 0))
		_exit(1);
	server.hold_all = true;
	raw_fetch_all(&server);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&shared->fetched, 1);
	for (;;) {
		raw_pump(&server, 20);
		while (server.caught_count) {
			raw_catch(&server, &request);
			raw_io_queue(&server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, 0, request.tag,
				     serve_request(disk, &request.descriptor,
						   raw_buffer(&server, 0, request.tag)),
				     raw_address(&server, 0, request.tag));
			raw_ring_submit(&server.ring, 0);
		}
		if (atomic_load(&shared->go) == 1) {
			put_into_file(server.buffers, place->buffers);
			atomic_store(&shared->go, 2);
		}
	}
}

static void serve_batches(struct raw_device *device, struct raw_shared *shared,
			  const struct place *place)
{
	char *disk = raw_pages(RAW_DISK_BYTES);
	const struct ublksrv_io_desc *descriptors;
	struct batch_server server;

	if (!disk || batch_open(&server, device))
		_exit(1);
	descriptors = mmap(NULL, raw_descriptor_bytes(DEPTH), PROT_READ, MAP_SHARED, server.chr,
			   raw_descriptor_offset(0));
	if (descriptors == MAP_FAILED || batch_prep(&server, 0, DEPTH))
		_exit(1);
	batch_keep_fetching(&server);
	atomic_store(&shared->fetched, 1);
	for (;;) {
		batch_pump(&server, 20);
		while (server.caught) {
			unsigned int tag = server.queue[--server.caught];

			batch_commit(&server, tag, serve_request(disk, &descriptors[tag],
								 server.buffers + tag * BYTES));
		}
		batch_keep_fetching(&server);
		if (atomic_load(&shared->go) == 1) {
			put_into_file(server.buffers, place->buffers);
			atomic_store(&shared->go, 2);
		}
	}
}

/* --- the file system --- */

static int make_file_system(const struct raw_device *device, struct place *place)
{
	char command[128], node[32];

	snprintf(node, sizeof(node), "/dev/ublkb%d", device->id);
	/* It writes nothing that nobody has asked for. */
	snprintf(command, sizeof(command),
		 "mkfs.ext4 -q -O ^has_journal -E nodiscard,lazy_itable_init=0 %s", node);
	strcpy(place->folder, "/tmp/ublk.XXXXXX");
	if (system(command) || !mkdtemp(place->folder) ||
	    mount(node, place->folder, "ext4", MS_NOATIME, NULL))
		return -1;
	snprintf(place->other, sizeof(place->other), "%s/other", place->folder);
	return 0;
}

static int write_file(const char *path, size_t bytes)
{
	char *data = raw_pages(bytes);
	int fd = open(path, O_RDWR | O_CREAT, 0600), ret;

	if (fd < 0)
		return -errno;
	memset(data, 1, bytes);
	ret = write(fd, data, bytes) == bytes ? 0 : -EIO;
	close(fd);
	munmap(data, bytes);
	return ret;
}

struct freeze {
	pthread_t thread;
	int fd;
	atomic_bool done;
};

static void *freeze(void *argument)
{
	struct freeze *freeze = argument;

	ioctl(freeze->fd, FIFREEZE, 0);
	atomic_store(&freeze->done, true);
	return NULL;
}

/* How many WRITEs the driver has. */
static unsigned int writes_under_way(const struct raw_device *device)
{
	unsigned int reads, writes = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/inflight", device->id);
	file = fopen(path, "r");
	if (file) {
		if (fscanf(file, "%u %u", &reads, &writes) != 2)
			writes = 0;
		fclose(file);
	}
	return writes;
}

static int await_writes(const struct raw_device *device, unsigned int writes)
{
	long long end = raw_now_ms() + RAW_DEADLINE;

	while (writes_under_way(device) < writes) {
		if (raw_now_ms() > end)
			return -ETIME;
		raw_pause();
	}
	return 0;
}

FIXTURE(server)
{
	struct raw_device device;
	struct raw_shared *shared;
	struct place place;
	struct freeze freeze;
	struct raw_io io;
	pid_t pid;
};

FIXTURE_VARIANT(server)
{
	__u64 flags;
	void (*serve)(struct raw_device *device, struct raw_shared *shared,
		      const struct place *place);
};

FIXTURE_VARIANT_ADD(server, plain) { .serve = serve_single };
FIXTURE_VARIANT_ADD(server, in_batches) { .serve = serve_batches, .flags = UBLK_F_BATCH_IO };

FIXTURE_SETUP(server)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, DEPTH);
	struct place *place;

	raw_none(&self->device, NULL);
	self->pid = -1;
	self->freeze.fd = -1;
	self->shared = raw_share();
	place = mmap(NULL, sizeof(*place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	info.flags = UBLK_F_NO_AUTO_PART_SCAN | variant->flags;
	info.max_io_buf_bytes = BYTES;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	/* Not every kernel has batches: see hostile/bad_batches. */
	if ((self->device.info.flags & variant->flags) != variant->flags)
		return;
	self->pid = raw_fork();
	ASSERT_LE(0, self->pid);
	if (!self->pid)
		variant->serve(&self->device, self->shared, place);
	ASSERT_EQ(0, raw_await(&self->shared->fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_start(self->device.id, self->pid));

	ASSERT_EQ(0, make_file_system(&self->device, place));
	snprintf(place->buffers, sizeof(place->buffers), "%s/buffers", place->folder);
	ASSERT_EQ(0, write_file(place->buffers, DEPTH * BYTES));
	ASSERT_EQ(0, write_file(place->other, BYTES));
	sync();
	self->place = *place;
	self->freeze.fd = open(place->folder, O_RDONLY | O_DIRECTORY);
	ASSERT_LE(0, self->freeze.fd);
	atomic_store(&self->shared->go, 1);
	ASSERT_EQ(0, raw_await(&self->shared->go, 2, RAW_DEADLINE));
}

FIXTURE_TEARDOWN(server)
{
	if (self->pid > 0)
		kill(self->pid, SIGKILL);
	/* Otherwise nobody can do anything about it. */
	if (self->freeze.fd >= 0 && atomic_load(&self->freeze.done)) {
		ioctl(self->freeze.fd, FITHAW, 0);
		close(self->freeze.fd);
		EXPECT_EQ(0, umount(self->place.folder));
		rmdir(self->place.folder);
	}
	EXPECT_EQ(0, raw_kill(&self->device, self->pid));
}

TEST_F(server, dies_while_it_waits_for_what_it_has_in_hand)
{
	long long end;

	if (self->pid < 0)
		return;
	/* Both requests come to it at once, for it does not run. */
	ASSERT_EQ(0, kill(self->pid, SIGSTOP));
	ASSERT_EQ(0, raw_await_state(self->pid, 'T'));
	ASSERT_EQ(0, write_file(self->place.other, BYTES));
	ASSERT_EQ(0, raw_io_start(&self->io, &self->device, RAW_WRITE, raw_pages(BYTES), BYTES,
				  RAW_TEST_OFFSET));
	ASSERT_EQ(0, await_writes(&self->device, 1));
	ASSERT_EQ(0, pthread_create(&self->freeze.thread, NULL, freeze, &self->freeze));
	ASSERT_EQ(0, await_writes(&self->device, 2));
	ASSERT_EQ(0, kill(self->pid, SIGCONT));
	ASSERT_EQ(0, raw_await_state(self->pid, 'D'));

	ASSERT_EQ(0, kill(self->pid, SIGKILL));
	EXPECT_EQ(-EIO, raw_io_wait(&self->io, NULL, RAW_DEATH_DEADLINE));
	end = raw_now_ms() + RAW_DEATH_DEADLINE;
	while (!atomic_load(&self->freeze.done) && raw_now_ms() < end)
		raw_pause();
	ASSERT_TRUE(atomic_load(&self->freeze.done));
	ioctl(self->freeze.fd, FITHAW, 0);
	EXPECT_EQ(SIGKILL, raw_reap(self->pid, RAW_DEATH_DEADLINE));
	self->pid = -1;
}

TEST_HARNESS_MAIN
