// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory runs out: every allocation of every control command, of a server's start and of those of its
 * commands that have some fails once, systematically, the first, the second and so on until there is
 * none left to fail. What failed leaves nothing half-made, because the same again succeeds, and
 * nothing behind.
 */
// # timeout: 900
#include <kselftest_harness.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "raw_batch.h"
#include "recoverable.h"

#define ID 77
#define BYTES 4096
#define SHARED_BYTES 65536
#define PATH_ROOM 32
#define FEATURES \
	(UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_QUIESCE | \
	 UBLK_F_UPDATE_SIZE | UBLK_F_SHMEM_ZC | UBLK_F_SAFE_STOP_DEV | UBLK_F_NO_AUTO_PART_SCAN)

/* More than any command has; a test that comes here does not end by itself. */
#define MOST 2000

/* --- the tasks whose next allocations are counted --- */

#define TARGETS 256

struct targets {
	int files[TARGETS];
	unsigned int count;
};

static void add_target(struct targets *targets, pid_t task)
{
	char path[64];
	int file;

	snprintf(path, sizeof(path), "/proc/%d/fail-nth", task);
	file = open(path, O_RDWR | O_CLOEXEC);
	if (file >= 0 && targets->count < TARGETS)
		targets->files[targets->count++] = file;
	else if (file >= 0)
		close(file);
}

/* The tasks in a folder of /proc with such a name. */
static void add_targets(struct targets *targets, const char *folder, const char *name)
{
	DIR *directory = opendir(folder);
	const struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		pid_t task = atoi(entry->d_name);

		if (task > 0 && raw_is_named(task, name))
			add_target(targets, task);
	}
	if (directory)
		closedir(directory);
}

static void fail_from_now(struct targets *targets, unsigned int nth)
{
	unsigned int i;

	for (i = 0; i < targets->count; i++)
		dprintf(targets->files[i], "%u", nth);
}

static void fail_own(struct targets *self, unsigned int nth)
{
	add_target(self, gettid());
	fail_from_now(self, nth);
}

/* Returns whether an allocation has failed since. */
static bool fail_no_more(struct targets *targets)
{
	bool failed = false;
	unsigned int i;

	for (i = 0; i < targets->count; i++) {
		char left[16] = "";

		if (pread(targets->files[i], left, sizeof(left) - 1, 0) > 0)
			failed |= atoi(left) == 0;
		dprintf(targets->files[i], "0");
		close(targets->files[i]);
	}
	targets->count = 0;
	return failed;
}

/* --- control commands, by one worker thread of io_uring --- */

struct command {
	int control;
	struct raw_ring ring;
	unsigned int op;
	struct ublksrv_ctrl_cmd payload;
};

static int run(struct command *command)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(&command->ring);
	struct io_uring_cqe cqe;
	int ret;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = command->control;
	sqe->flags = IOSQE_ASYNC;
	sqe->cmd_op = command->op;
	memcpy(sqe->cmd, &command->payload, sizeof(command->payload));
	ret = raw_ring_wait(&command->ring, &cqe, RAW_DEADLINE);
	return ret ? ret : cqe.res;
}

/* TRY_STOP_DEV spares who uses the disk: udev, which looks at every new one for a moment. */
static int run_unless_in_use(struct command *command)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	int ret;

	while ((ret = run(command)) == -EBUSY && command->op == UBLK_U_CMD_TRY_STOP_DEV &&
	       raw_now_ms() < end)
		raw_pause();
	return ret;
}

/* So that there is a worker thread. */
static void wake_worker(struct command *command)
{
	struct command features = *command;
	__u64 all;

	features.op = UBLK_U_CMD_GET_FEATURES;
	features.payload = raw_command_for(-1);
	features.payload.addr = (unsigned long)&all;
	features.payload.len = sizeof(all);
	run(&features);
	command->ring = features.ring;
}

/* Ignored where there is no such failure. */
static void set(const char *failure, const char *attribute, const char *value)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", failure, attribute);
	file = fopen(path, "w");
	if (!file)
		return;
	fputs(value, file);
	fclose(file);
}

/* Every allocation counts, and every access to the server's memory; and not a word in the log. */
static bool failures_can_be_caused(void)
{
	set("failslab", "ignore-gfp-wait", "N");
	set("failslab", "verbose", "0");
	set("fail_page_alloc", "ignore-gfp-wait", "N");
	set("fail_page_alloc", "min-order", "0");
	set("fail_page_alloc", "verbose", "0");
	set("fail_usercopy", "verbose", "0");
	return access("/proc/self/fail-nth", W_OK) == 0;
}

/* --- what there must be before a command --- */

enum need {
	NOTHING,
	DEVICE,
	SERVER,		/* that has fetched everything */
	DISK,
	SHARED,		/* and memory shared with its server */
	ORPHAN,		/* a disk that has lost its server */
	HEIR,		/* and has the next one, that is not in charge yet */
};

FIXTURE(command)
{
	struct command command;
	struct recoverable disk;
	struct ublksrv_ctrl_dev_info info;
	struct ublk_params params;
	struct ublk_shmem_buf_reg region;
	void *memory;
	char answer[4096];
};

FIXTURE_VARIANT(command)
{
	unsigned int op;
	enum need need;
	__u64 data;
};

#define COMMAND(name, ...) FIXTURE_VARIANT_ADD(command, name) { __VA_ARGS__ }

COMMAND(get_features, .op = UBLK_U_CMD_GET_FEATURES, .need = NOTHING);
COMMAND(add_dev, .op = UBLK_U_CMD_ADD_DEV, .need = NOTHING);
COMMAND(set_params, .op = UBLK_U_CMD_SET_PARAMS, .need = DEVICE);
COMMAND(get_params, .op = UBLK_U_CMD_GET_PARAMS, .need = DEVICE);
COMMAND(get_dev_info, .op = UBLK_U_CMD_GET_DEV_INFO, .need = DEVICE);
COMMAND(get_dev_info2, .op = UBLK_U_CMD_GET_DEV_INFO2, .need = DEVICE);
COMMAND(get_queue_affinity, .op = UBLK_U_CMD_GET_QUEUE_AFFINITY, .need = DEVICE);
COMMAND(start_dev, .op = UBLK_U_CMD_START_DEV, .need = SERVER);
COMMAND(update_size, .op = UBLK_U_CMD_UPDATE_SIZE, .need = DISK, .data = 8192);
COMMAND(reg_buf, .op = UBLK_U_CMD_REG_BUF, .need = DISK);
COMMAND(unreg_buf, .op = UBLK_U_CMD_UNREG_BUF, .need = SHARED);
COMMAND(quiesce_dev, .op = UBLK_U_CMD_QUIESCE_DEV, .need = DISK, .data = 5000);
COMMAND(start_user_recovery, .op = UBLK_U_CMD_START_USER_RECOVERY, .need = ORPHAN);
COMMAND(end_user_recovery, .op = UBLK_U_CMD_END_USER_RECOVERY, .need = HEIR);
COMMAND(stop_dev, .op = UBLK_U_CMD_STOP_DEV, .need = DISK);
COMMAND(try_stop_dev, .op = UBLK_U_CMD_TRY_STOP_DEV, .need = DISK);
COMMAND(del_dev, .op = UBLK_U_CMD_DEL_DEV, .need = DEVICE);
COMMAND(del_dev_with_a_disk, .op = UBLK_U_CMD_DEL_DEV, .need = DISK);
COMMAND(del_dev_async, .op = UBLK_U_CMD_DEL_DEV_ASYNC, .need = DEVICE);

static void describe_region(FIXTURE_DATA(command) *self, struct ublksrv_ctrl_cmd *payload)
{
	self->region = (struct ublk_shmem_buf_reg) {
		.addr = (unsigned long)self->memory,
		.len = SHARED_BYTES,
	};
	payload->addr = (unsigned long)&self->region;
	payload->len = sizeof(self->region);
}

static void write_payload(FIXTURE_DATA(command) *self, const FIXTURE_VARIANT(command) *variant)
{
	struct ublksrv_ctrl_cmd *payload = &self->command.payload;

	*payload = raw_command_for(variant->need == NOTHING ? ID : self->disk.device.id);
	payload->data[0] = variant->data;
	payload->addr = (unsigned long)self->answer;
	payload->len = sizeof(__u64);
	switch (variant->op) {
	case UBLK_U_CMD_ADD_DEV:
		self->info = raw_info(2, 4);
		self->info.dev_id = ID;
		self->info.flags = FEATURES;
		payload->addr = (unsigned long)&self->info;
		payload->len = sizeof(self->info);
		break;
	case UBLK_U_CMD_GET_DEV_INFO:
		payload->len = sizeof(self->info);
		break;
	case UBLK_U_CMD_GET_DEV_INFO2:
		/* Behind the device's path. */
		snprintf(self->answer, sizeof(self->answer), "/dev/ublkc%d", payload->dev_id);
		payload->dev_path_len = PATH_ROOM;
		payload->len = PATH_ROOM + sizeof(self->info);
		break;
	case UBLK_U_CMD_SET_PARAMS:
	case UBLK_U_CMD_GET_PARAMS:
		self->params = self->disk.device.params;
		payload->addr = (unsigned long)&self->params;
		payload->len = sizeof(self->params);
		break;
	case UBLK_U_CMD_REG_BUF:
		describe_region(self, payload);
		break;
	case UBLK_U_CMD_START_DEV:
	case UBLK_U_CMD_END_USER_RECOVERY:
		payload->data[0] = self->disk.pid;
		break;
	case UBLK_U_CMD_GET_QUEUE_AFFINITY:
		payload->len = sizeof(self->answer);
		break;
	case UBLK_U_CMD_GET_FEATURES:
		break;
	default:
		payload->addr = payload->len = 0;
		break;
	}
}

static int share(FIXTURE_DATA(command) *self)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->disk.device.id);

	describe_region(self, &command);
	return raw_control(UBLK_U_CMD_REG_BUF, &command);
}

static int prepare(FIXTURE_DATA(command) *self, enum need need)
{
	struct recoverable *disk = &self->disk;
	int ret = 0;

	if (need >= DEVICE)
		ret = recoverable_add(disk, FEATURES, 2, 4);
	if (!ret && need >= SERVER)
		ret = recoverable_serve(disk, SERVES);
	if (!ret && need >= DISK)
		ret = raw_start(disk->device.id, disk->pid);
	if (!ret && need == SHARED)
		ret = share(self);
	if (!ret && need >= ORPHAN) {
		ret = recoverable_kill(disk);
		ret = ret ? ret : recoverable_await_state(disk, UBLK_S_DEV_QUIESCED);
	}
	if (!ret && need >= HEIR) {
		ret = recoverable_begin_recovery(disk);
		ret = ret ? ret : recoverable_serve(disk, SERVES);
	}
	return ret;
}

static int clean_up(FIXTURE_DATA(command) *self, enum need need)
{
	if (need >= DEVICE)
		return recoverable_end(&self->disk);
	return self->command.op == UBLK_U_CMD_ADD_DEV ? raw_delete(ID) : 0;
}

FIXTURE_SETUP(command)
{
	struct command *command = &self->command;

	command->control = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, command->control);
	ASSERT_EQ(0, raw_ring_open(&command->ring, 4, IORING_SETUP_SQE128));
	command->op = variant->op;
	self->memory = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);
	ASSERT_NE(MAP_FAILED, self->memory);
}

FIXTURE_TEARDOWN(command)
{
	raw_ring_close(&self->command.ring);
	close(self->command.control);
	munmap(self->memory, SHARED_BYTES);
}

/* Returns whether the command has an allocation with that number. */
static bool survives(struct __test_metadata *_metadata, FIXTURE_DATA(command) *self,
		     const FIXTURE_VARIANT(command) *variant, unsigned int nth)
{
	struct targets targets = { .count = 0 };
	bool failed;
	int ret, again = 0;

	ret = prepare(self, variant->need);
	ASSERT_EQ(0, ret) {
		TH_LOG("before allocation %u", nth);
	}
	write_payload(self, variant);
	wake_worker(&self->command);
	add_targets(&targets, "/proc/self/task", "iou-wrk");
	add_targets(&targets, "/proc", "kworker");
	fail_from_now(&targets, nth);
	ret = run(&self->command);
	failed = fail_no_more(&targets);
	if (ret < 0) {
		write_payload(self, variant);
		again = run_unless_in_use(&self->command);
	}
	EXPECT_LE(0, again) {
		TH_LOG("allocation %u: first %d, then %d", nth, ret, again);
	}
	EXPECT_EQ(0, clean_up(self, variant->need)) {
		TH_LOG("allocation %u: first %d, then %d", nth, ret, again);
	}
	return failed;
}

TEST_F_TIMEOUT(command, survives_each_failed_allocation, 600)
{
	unsigned int nth = 1;

	while (survives(_metadata, self, variant, nth) && nth < MOST)
		nth++;
	EXPECT_LT(nth, MOST);
	TH_LOG("%u allocations failed", nth - 1);
}

/* --- the start of a server --- */

struct start {
	struct raw_server server;
	struct targets self;
};

/* The first time with the failure: 0, or the step that does not succeed the second time. */
static int begin_to_serve(struct start *start, struct raw_device *device, unsigned int nth)
{
	struct raw_server *server = &start->server;
	unsigned int tag;
	int ret;

	fail_own(&start->self, nth);
	ret = raw_server_open(server, device, 0);
	fail_no_more(&start->self);
	if (ret && raw_server_open(server, device, 0))
		return 1;
	for (tag = 0; tag < server->depth; tag++) {
		fail_own(&start->self, nth);
		ret = raw_fetch(server, 0, tag);
		fail_no_more(&start->self);
		if (ret != RAW_PARKED && raw_fetch(server, 0, tag) != RAW_PARKED)
			return 2;
	}
	server->fault = 0;
	return raw_server_go(server) ? 3 : 0;
}

FIXTURE(server)
{
	struct raw_device device;
};

FIXTURE_SETUP(server)
{
	raw_none(&self->device, NULL);
	ASSERT_EQ(0, raw_add(&self->device, 1, 2));
}

FIXTURE_TEARDOWN(server)
{
	EXPECT_EQ(0, raw_destroy(&self->device));
}

TEST_F_TIMEOUT(server, starts_in_spite_of_each_failed_allocation, 600)
{
	struct start probe = { .self = { .count = 0 } };
	unsigned int nth;
	bool failed = true;

	for (nth = 1; failed && nth < MOST; nth++) {
		struct start start = { .self = { .count = 0 } };

		EXPECT_EQ(0, begin_to_serve(&start, &self->device, nth)) {
			TH_LOG("allocation %u", nth);
		}
		raw_server_close(&start.server);
		EXPECT_EQ(0, raw_stop(self->device.id));
		/* Opening has the most of them. */
		fail_own(&probe.self, nth);
		raw_server_open_next(&probe.server, &self->device);
		failed = fail_no_more(&probe.self);
		raw_server_close(&probe.server);
	}
	EXPECT_LT(nth, MOST);
	TH_LOG("%u allocations failed", nth - 2);
}

/* --- commands of the server that allocate --- */

FIXTURE(io)
{
	struct raw_device device;
	struct raw_server server;
	struct raw_ring ring;		/* not the one that serves */
	struct raw_io user;
	struct targets self;
};

FIXTURE_SETUP(io)
{
	raw_none(&self->device, &self->server);
	self->ring.fd = -1;
	self->self.count = 0;
}

FIXTURE_TEARDOWN(io)
{
	raw_ring_close(&self->ring);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
}

/* Returns false if the driver lacks the feature; fails unless the device is added. */
static bool add_with(struct __test_metadata *_metadata, FIXTURE_DATA(io) *self,
		     unsigned int depth, __u64 feature)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, depth);

	info.flags = feature;
	info.max_io_buf_bytes = RAW_BATCH_BYTES;
	EXPECT_EQ(0, raw_add_with(&self->device, &info));
	return self->device.info.flags & feature;
}

static void serve_one_read(struct __test_metadata *_metadata, FIXTURE_DATA(io) *self)
{
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_ring_open(&self->ring, 8, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
}

static void read_disk(struct __test_metadata *_metadata, FIXTURE_DATA(io) *self,
		      struct raw_request *request)
{
	ASSERT_EQ(0, raw_io_start(&self->user, &self->device, RAW_READ, raw_pages(BYTES), BYTES,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, request));
}

TEST_F_TIMEOUT(io, prep_survives_each_failed_allocation, 600)
{
	struct batch_server server;
	unsigned int nth = 0;
	bool failed;

	if (!add_with(_metadata, self, RAW_BATCH_DEPTH, UBLK_F_BATCH_IO))
		SKIP(return, "lacks BATCH_IO");
	do {
		int ret, again = 0;

		ASSERT_EQ(0, batch_open(&server, &self->device));
		fail_own(&self->self, ++nth);
		ret = batch_prep(&server, 0, RAW_BATCH_DEPTH);
		failed = fail_no_more(&self->self);
		if (ret)
			again = batch_prep(&server, 0, RAW_BATCH_DEPTH);
		EXPECT_EQ(0, again) {
			TH_LOG("allocation %u: first %d, then %d", nth, ret, again);
		}
		batch_close(&server);
		ASSERT_EQ(0, raw_stop(self->device.id));
	} while (failed && nth < MOST);
	EXPECT_LT(nth, MOST);
	TH_LOG("%u allocations failed", nth - 1);
}

/* On the ring that does not serve: its result, or -ETIME if it was parked. Sets whether it failed. */
static int io_command(FIXTURE_DATA(io) *self, unsigned int op, int result, __u64 address,
		      unsigned int nth, bool *failed)
{
	struct ublksrv_io_cmd command = { .result = result, .addr = address };
	struct io_uring_sqe *sqe = raw_ring_sqe(&self->ring);
	struct io_uring_cqe cqe;
	int ret;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = self->server.chr;
	sqe->cmd_op = op;
	memcpy(sqe->cmd, &command, sizeof(command));
	fail_own(&self->self, nth);
	ret = raw_ring_submit(&self->ring, 0);
	*failed = fail_no_more(&self->self);
	/* It may be io_uring itself that has no memory. */
	if (ret && raw_ring_submit(&self->ring, 0))
		return -EIO;
	ret = raw_ring_wait(&self->ring, &cqe, patience(200));
	return ret ? ret : cqe.res;
}

TEST_F_TIMEOUT(io, register_survives_each_failed_allocation, 600)
{
	struct io_uring_rsrc_register table = { .nr = 1, .flags = IORING_RSRC_REGISTER_SPARSE };
	struct raw_request request;
	unsigned int nth = 0;
	bool failed, any;

	if (!add_with(_metadata, self, 1, UBLK_F_SUPPORT_ZERO_COPY))
		SKIP(return, "lacks SUPPORT_ZERO_COPY");
	serve_one_read(_metadata, self);
	read_disk(_metadata, self, &request);
	ASSERT_EQ(0, syscall(__NR_io_uring_register, self->ring.fd, IORING_REGISTER_BUFFERS2,
			     &table, sizeof(table)));
	do {
		int ret, again = 0;

		ret = io_command(self, UBLK_U_IO_REGISTER_IO_BUF, 0, 0, ++nth, &failed);
		if (ret)
			again = io_command(self, UBLK_U_IO_REGISTER_IO_BUF, 0, 0, 0, &any);
		EXPECT_EQ(0, again) {
			TH_LOG("allocation %u: first %d, then %d", nth, ret, again);
		}
		ASSERT_EQ(0, io_command(self, UBLK_U_IO_UNREGISTER_IO_BUF, 0, 0, 0, &any));
	} while (failed && nth < MOST);
	EXPECT_LT(nth, MOST);
	TH_LOG("%u allocations failed", nth - 1);
	raw_commit(&self->server, &request, BYTES);
	EXPECT_EQ(BYTES, raw_io_wait(&self->user, &self->server, RAW_DEADLINE));
}

/* The tag moves to another ring, for which there is an allocation, and back. */
TEST_F_TIMEOUT(io, commit_on_another_ring_survives_each_failed_allocation, 600)
{
	struct raw_request request;
	unsigned int nth = 0;
	bool failed, any;

	ASSERT_EQ(0, raw_add(&self->device, 1, 1));
	serve_one_read(_metadata, self);
	do {
		void *buffer = raw_buffer(&self->server, 0, 0);
		int ret, again = -ETIME;
		ssize_t done;

		read_disk(_metadata, self, &request);
		ret = io_command(self, UBLK_U_IO_COMMIT_AND_FETCH_REQ, BYTES,
				 (unsigned long)buffer, ++nth, &failed);
		if (ret != -ETIME)
			again = io_command(self, UBLK_U_IO_COMMIT_AND_FETCH_REQ, BYTES,
					   (unsigned long)buffer, 0, &any);
		EXPECT_EQ(-ETIME, again) {
			TH_LOG("allocation %u: first %d, then %d", nth, ret, again);
		}
		done = raw_io_wait(&self->user, NULL, RAW_DEADLINE);
		/* Data that cannot be fetched are the disk's fault. */
		EXPECT_TRUE(done == BYTES || (failed && done == -EIO)) {
			TH_LOG("allocation %u: the user's result is %zd", nth, done);
		}
		raw_server_close(&self->server);
		raw_ring_close(&self->ring);
		ASSERT_EQ(0, raw_stop(self->device.id));
		serve_one_read(_metadata, self);
	} while (failed && nth < MOST);
	EXPECT_LT(nth, MOST);
	TH_LOG("%u allocations failed", nth - 1);
}

static void __attribute__((constructor)) need_failures(void)
{
	if (failures_can_be_caused())
		return;
	printf("SKIP: no fault injection\n");
	fflush(stdout);
	_exit(4);
}

TEST_HARNESS_MAIN
