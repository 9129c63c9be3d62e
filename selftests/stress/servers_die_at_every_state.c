// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server dies at the very moment at which it moves a slot from one state to the next, for every
 * pair of states that there is. The I/O ends, or goes on with the next server, and the device serves
 * again as if nothing had been.
 */
// # timeout: 300
// # full-timeout: 1800
#include <kselftest_harness.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include "fault_point.h"
#include "recoverable.h"

#define DEPTH 4
#define BYTES 4096
#define USERS 3

FIXTURE(server)
{
	struct recoverable disk;
	struct fault_point point;
	struct raw_io io[USERS];
	bool busy[USERS];
};

FIXTURE_VARIANT(server)
{
	const char *from, *to;
	__u64 flags;
	bool uses_disk;
	bool before_start;
};

#define STATES(name, ...) \
	FIXTURE_VARIANT_ADD(server, name) { __VA_ARGS__ }

#define RECOVERY (UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE)
#define FAIL_IO (UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_FAIL_IO)

/* Each in all modes of recovery, but where the server waits for a disk that waits for a server. */
#define IN_ALL_MODES(name, ...) \
	STATES(name, __VA_ARGS__); \
	STATES(name##_recovery, .flags = RECOVERY, __VA_ARGS__); \
	STATES(name##_fail_io, .flags = FAIL_IO, __VA_ARGS__)
#define WITH_DATA_ON_REQUEST(name, ...) \
	STATES(name, .flags = UBLK_F_NEED_GET_DATA, __VA_ARGS__); \
	STATES(name##_recovery, .flags = RECOVERY | UBLK_F_NEED_GET_DATA, __VA_ARGS__)

IN_ALL_MODES(fetches, .from = "empty", .to = "armed", .before_start = true);
STATES(asks, .from = "armed", .to = "claimed", .uses_disk = true);
STATES(asks_fail_io, .from = "armed", .to = "claimed", .flags = FAIL_IO, .uses_disk = true);
IN_ALL_MODES(gets_a_request, .from = "claimed", .to = "server");
IN_ALL_MODES(commits, .from = "server", .to = "commit");
IN_ALL_MODES(parks, .from = "commit", .to = "armed");
IN_ALL_MODES(faults_to_get_a_write, .from = "claimed", .to = "faulting");
IN_ALL_MODES(got_memory_for_a_write, .from = "faulting", .to = "claimed");
IN_ALL_MODES(faults_to_give_a_read, .from = "commit", .to = "faulting");
IN_ALL_MODES(got_memory_of_a_read, .from = "faulting", .to = "commit");
WITH_DATA_ON_REQUEST(is_offered_a_write, .from = "claimed", .to = "offered");
WITH_DATA_ON_REQUEST(asks_for_data, .from = "offered", .to = "commit");
WITH_DATA_ON_REQUEST(got_data, .from = "commit", .to = "server");

static void *use_own_disk(void *argument)
{
	const struct raw_device *device = argument;
	char *memory = raw_pages(BYTES);
	int fd = raw_open_block(device->id, O_RDWR | O_DIRECT);

	while (fd >= 0 && pread(fd, memory, BYTES, 0) == BYTES)
		continue;
	return NULL;
}

/* No buffer has a page when it is needed. */
static void answer(struct raw_server *server, const struct raw_request *request)
{
	void *buffer = raw_buffer(server, request->queue, request->tag);

	madvise(buffer, server->buffer_size, MADV_DONTNEED);
	raw_io_queue(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request->queue, request->tag,
		     raw_request_bytes(request), (unsigned long)buffer);
}

/* shared->fetched: 1: may be watched, 2: all fetched. shared->go: 1: fetch, 2: there is a disk. */
static void serve(struct recoverable *disk, bool uses_disk)
{
	struct raw_request request;
	struct raw_server server;
	pthread_t user;

	if (raw_server_open_next(&server, &disk->device))
		_exit(1);
	server.hold_all = true;
	atomic_store(&disk->shared->fetched, 1);
	if (raw_await(&disk->shared->go, 1, RAW_DEADLINE))
		_exit(2);
	raw_fetch_all(&server);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&disk->shared->fetched, 2);
	while (server.parked || server.caught_count) {
		if (uses_disk && atomic_load(&disk->shared->go) == 2) {
			uses_disk = false;
			pthread_create(&user, NULL, use_own_disk, &disk->device);
		}
		raw_pump(&server, 50);
		while (server.caught_count && raw_catch(&server, &request))
			answer(&server, &request);
	}
	_exit(0);
}

/* Until it has opened the device. */
static void start_server(struct __test_metadata *_metadata, struct recoverable *disk, bool uses_disk)
{
	atomic_store(&disk->shared->fetched, 0);
	atomic_store(&disk->shared->go, 0);
	disk->pid = raw_fork();
	ASSERT_LE(0, disk->pid);
	if (!disk->pid)
		serve(disk, uses_disk);
	ASSERT_EQ(0, raw_await(&disk->shared->fetched, 1, RAW_DEADLINE));
}

static void let_fetch(struct __test_metadata *_metadata, struct recoverable *disk)
{
	atomic_store(&disk->shared->go, 1);
	ASSERT_EQ(0, raw_await(&disk->shared->fetched, 2, RAW_DEADLINE));
}

FIXTURE_SETUP(server)
{
	self->point.program = -1;
	ASSERT_EQ(0, recoverable_add(&self->disk, variant->flags | UBLK_F_NO_AUTO_PART_SCAN, 1,
				     DEPTH));
}

FIXTURE_TEARDOWN(server)
{
	int id = self->disk.device.id;

	fault_point_remove(&self->point);
	EXPECT_EQ(0, recoverable_end(&self->disk));
	EXPECT_EQ(0, raw_reuse(id));
}

/* Keeps reads and writes under way until the server is dead: false if it does not die. */
static bool load_kills(FIXTURE_DATA(server) *self)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	unsigned int i;
	int status;

	while ((status = raw_reap(self->disk.pid, 0)) == -ETIME) {
		if (raw_now_ms() > end)
			return false;
		for (i = 0; i < USERS; i++) {
			if (self->busy[i] && !atomic_load(&self->io[i].done))
				continue;
			if (self->busy[i])
				raw_io_wait(&self->io[i], NULL, 0);
			self->busy[i] = !raw_io_start(&self->io[i], &self->disk.device,
						      i % 2 ? RAW_READ : RAW_WRITE,
						      raw_pages(BYTES), BYTES,
						      RAW_TEST_OFFSET + i * 65536);
		}
	}
	self->disk.pid = -1;
	return status == SIGKILL;
}

static void expect_io_ends(struct __test_metadata *_metadata, FIXTURE_DATA(server) *self,
			   bool well)
{
	unsigned int i;

	for (i = 0; i < USERS; i++) {
		ssize_t ret;

		if (!self->busy[i])
			continue;
		ret = raw_io_wait(&self->io[i], NULL, RAW_DEATH_DEADLINE);
		EXPECT_NE(-ETIME, ret);
		if (well) {
			EXPECT_EQ(BYTES, ret);
		}
		self->busy[i] = false;
	}
}

static void expect_service(struct __test_metadata *_metadata, FIXTURE_DATA(server) *self)
{
	ASSERT_EQ(0, raw_io_start(&self->io[0], &self->disk.device, RAW_READ, raw_pages(BYTES),
				  BYTES, RAW_TEST_OFFSET));
	EXPECT_EQ(BYTES, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
}

/* The device's next server, after one that died with a disk. */
static void go_on(struct __test_metadata *_metadata, FIXTURE_DATA(server) *self, __u64 flags)
{
	struct recoverable *disk = &self->disk;
	int state = (flags & UBLK_F_USER_RECOVERY_FAIL_IO) ? UBLK_S_DEV_FAIL_IO :
							     UBLK_S_DEV_QUIESCED;

	if (!(flags & UBLK_F_USER_RECOVERY)) {
		expect_io_ends(_metadata, self, false);
		ASSERT_EQ(0, recoverable_await_state(disk, UBLK_S_DEV_DEAD));
		ASSERT_EQ(0, raw_stop(disk->device.id));
		start_server(_metadata, disk, false);
		let_fetch(_metadata, disk);
		ASSERT_EQ(0, raw_start(disk->device.id, disk->pid));
		return;
	}
	if (flags & UBLK_F_USER_RECOVERY_FAIL_IO)
		expect_io_ends(_metadata, self, false);
	ASSERT_EQ(0, recoverable_await_state(disk, state));
	ASSERT_EQ(0, recoverable_begin_recovery(disk));
	start_server(_metadata, disk, false);
	let_fetch(_metadata, disk);
	ASSERT_EQ(0, recoverable_end_recovery(disk, disk->pid));
	expect_io_ends(_metadata, self, flags & UBLK_F_USER_RECOVERY_REISSUE);
}

static void die_before_start(struct __test_metadata *_metadata, FIXTURE_DATA(server) *self)
{
	struct recoverable *disk = &self->disk;

	atomic_store(&disk->shared->go, 1);
	EXPECT_EQ(SIGKILL, raw_reap(disk->pid, RAW_DEATH_DEADLINE));
	disk->pid = -1;
	start_server(_metadata, disk, false);
	let_fetch(_metadata, disk);
	ASSERT_EQ(0, raw_start(disk->device.id, disk->pid));
}

static void die(struct __test_metadata *_metadata, FIXTURE_DATA(server) *self,
		const FIXTURE_VARIANT(server) *variant)
{
	struct recoverable *disk = &self->disk;

	start_server(_metadata, disk, variant->uses_disk);
	if (!variant->before_start) {
		let_fetch(_metadata, disk);
		ASSERT_EQ(0, raw_start(disk->device.id, disk->pid));
	}
	ASSERT_EQ(0, fault_point_set(&self->point, disk->device.id, disk->pid, variant->from,
				     variant->to));
	if (variant->before_start) {
		die_before_start(_metadata, self);
	} else {
		atomic_store(&disk->shared->go, 2);
		ASSERT_TRUE(load_kills(self)) {
			TH_LOG("the server never goes from %s to %s", variant->from, variant->to);
		}
		go_on(_metadata, self, variant->flags);
	}
	fault_point_remove(&self->point);
	expect_service(_metadata, self);
	ASSERT_EQ(0, raw_stop(disk->device.id));
	/* It was told to leave. */
	EXPECT_NE(-ETIME, raw_reap(disk->pid, RAW_DEATH_DEADLINE));
	disk->pid = -1;
}

TEST_F(server, dies)
{
	unsigned int times = raw_amount(1, 20);

	while (times--)
		die(_metadata, self, variant);
}

TEST_HARNESS_MAIN
