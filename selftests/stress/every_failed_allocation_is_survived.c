// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory runs out: every allocation of every control command and of a server's start fails once,
 * systematically, the first, the second and so on until there is none left to fail. What failed
 * leaves nothing half-made, because the same again succeeds, and nothing behind.
 */
// # timeout: 900
#include <kselftest_harness.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "failures.h"
#include "recoverable.h"

#define ID 77
#define BYTES 4096
#define SHARED_BYTES 65536
#define PATH_ROOM 32
#define FEATURES \
	(UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_QUIESCE | \
	 UBLK_F_UPDATE_SIZE | UBLK_F_SHMEM_ZC | UBLK_F_SAFE_STOP_DEV | UBLK_F_NO_AUTO_PART_SCAN)

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
	struct failures failures = { .count = 0 };
	bool failed;
	int ret, again = 0;

	ret = prepare(self, variant->need);
	ASSERT_EQ(0, ret) {
		TH_LOG("before allocation %u", nth);
	}
	write_payload(self, variant);
	wake_worker(&self->command);
	failures_add(&failures, "/proc/self/task", "iou-wrk");
	failures_add(&failures, "/proc", "kworker");
	failures_begin(&failures, nth);
	ret = run(&self->command);
	failed = failures_end(&failures);
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

	while (survives(_metadata, self, variant, nth) && nth < FAILURES_MOST)
		nth++;
	EXPECT_LT(nth, FAILURES_MOST);
	TH_LOG("%u allocations failed", nth - 1);
}

/* --- the start of a server --- */

/* The first time with the failure: 0, or the step that does not succeed the second time. */
static int begin_to_serve(struct raw_server *server, struct raw_device *device, unsigned int nth)
{
	struct failures failures = { .count = 0 };
	unsigned int tag;
	int ret;

	failures_begin_own(&failures, nth);
	ret = raw_server_open(server, device, 0);
	failures_end(&failures);
	if (ret && raw_server_open(server, device, 0))
		return 1;
	for (tag = 0; tag < server->depth; tag++) {
		failures_begin_own(&failures, nth);
		ret = raw_fetch(server, 0, tag);
		failures_end(&failures);
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
	struct failures failures = { .count = 0 };
	struct raw_server server;
	unsigned int nth;
	bool failed = true;

	for (nth = 1; failed && nth < FAILURES_MOST; nth++) {
		EXPECT_EQ(0, begin_to_serve(&server, &self->device, nth)) {
			TH_LOG("allocation %u", nth);
		}
		raw_server_close(&server);
		EXPECT_EQ(0, raw_stop(self->device.id));
		/* Opening has the most of them. */
		failures_begin_own(&failures, nth);
		raw_server_open_next(&server, &self->device);
		failed = failures_end(&failures);
		raw_server_close(&server);
	}
	EXPECT_LT(nth, FAILURES_MOST);
	TH_LOG("%u allocations failed", nth - 2);
}

static void __attribute__((constructor)) need_failures(void)
{
	failures_need();
}

TEST_HARNESS_MAIN
