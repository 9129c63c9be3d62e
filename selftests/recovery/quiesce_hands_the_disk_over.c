// SPDX-License-Identifier: GPL-2.0-only
/*
 * QUIESCE_DEV sends a server away without an error for anybody, and only if it can be told.
 */
// # timeout: 240
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "recoverable.h"

#define A_WHILE 300
#define READERS 4
#define BYTES (1 << 20)

FIXTURE(quiesce) {
	struct recoverable disk;
	struct raw_server server;
	struct raw_io io[READERS];
	atomic_bool enough;
	pthread_t readers[READERS];
	atomic_int reads;
	atomic_int errors;
};

FIXTURE_VARIANT(quiesce) {
	__u64 features;
	int state;
};

FIXTURE_VARIANT_ADD(quiesce, waiting) {
	.features = UBLK_F_QUIESCE | UBLK_F_USER_RECOVERY,
	.state = UBLK_S_DEV_QUIESCED,
};
FIXTURE_VARIANT_ADD(quiesce, failing) {
	.features = UBLK_F_QUIESCE | UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_FAIL_IO,
	.state = UBLK_S_DEV_FAIL_IO,
};

FIXTURE_SETUP(quiesce)
{
	raw_none(&self->disk.device, &self->server);
	ASSERT_EQ(0, recoverable_add(&self->disk, variant->features, 1, 4));
	ASSERT_EQ(variant->features, self->disk.device.info.flags & variant->features);
	raw_fill(self->disk.disk, 0, RAW_DISK_BYTES);
}

FIXTURE_TEARDOWN(quiesce)
{
	int id = self->disk.device.id;

	raw_server_close(&self->server);
	EXPECT_EQ(0, recoverable_end(&self->disk));
	EXPECT_EQ(0, raw_reuse(id));
}

/* The server exits because each of its commands came back. */
static void expect_it_left(struct __test_metadata *_metadata, struct recoverable *disk, int state)
{
	EXPECT_EQ(0, raw_reap(disk->pid, RAW_DEATH_DEADLINE));
	disk->pid = -1;
	ASSERT_EQ(0, recoverable_await_state(disk, state));
}

/* The server is stopped: its other commands come back, this one when it has been woken up. */
TEST_F(quiesce, leaves_the_command_that_a_request_is_on_its_way_with)
{
	bool waits = variant->state == UBLK_S_DEV_QUIESCED;
	ssize_t result;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	ASSERT_EQ(0, kill(self->disk.pid, SIGSTOP));
	ASSERT_EQ(0, raw_io_start(&self->io[0], &self->disk.device, RAW_READ, raw_pages(4096),
				  4096, RAW_TEST_OFFSET));
	ASSERT_EQ(0, raw_await_reads(&self->disk.device, 1));
	ASSERT_EQ(0, recoverable_quiesce(&self->disk, RAW_DEADLINE));
	EXPECT_EQ(-ETIME, raw_io_wait(&self->io[0], NULL, A_WHILE));
	ASSERT_EQ(0, kill(self->disk.pid, SIGCONT));
	expect_it_left(_metadata, &self->disk, variant->state);
	ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	result = raw_io_wait(&self->io[0], NULL, RAW_DEADLINE);
	EXPECT_TRUE(result == 4096 || (!waits && result == -EIO)) {
		TH_LOG("the read returned %zd", result);
	}
}

TEST_F(quiesce, sends_an_idle_server_away)
{
	unsigned int i;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, recoverable_quiesce(&self->disk, RAW_DEADLINE));
		expect_it_left(_metadata, &self->disk, variant->state);
		EXPECT_EQ(0, recoverable_quiesce(&self->disk, 1));
		ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	}
	ASSERT_EQ(0, raw_io_start(&self->io[0], &self->disk.device, RAW_READ, raw_pages(BYTES),
				  BYTES, RAW_TEST_OFFSET));
	EXPECT_EQ(BYTES, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
	EXPECT_TRUE(raw_matches(self->io[0].buffer, RAW_TEST_OFFSET, BYTES));
}

/* It has fetched, and waits to be told to serve: nobody asked it to leave. */
TEST_F(quiesce, of_a_disk_without_a_server_spares_the_next_one)
{
	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	ASSERT_EQ(0, recoverable_quiesce(&self->disk, RAW_DEADLINE));
	expect_it_left(_metadata, &self->disk, variant->state);
	ASSERT_EQ(0, recoverable_begin_recovery(&self->disk));
	ASSERT_EQ(0, recoverable_serve(&self->disk, SERVES));
	EXPECT_EQ(0, recoverable_quiesce(&self->disk, A_WHILE));
	ASSERT_EQ(0, recoverable_end_recovery(&self->disk, self->disk.pid));
	ASSERT_EQ(0, raw_io_start(&self->io[0], &self->disk.device, RAW_READ, raw_pages(BYTES),
				  BYTES, RAW_TEST_OFFSET));
	EXPECT_EQ(BYTES, raw_io_wait(&self->io[0], NULL, RAW_DEADLINE));
}

static void *read_on(void *argument)
{
	FIXTURE_DATA(quiesce) *self = argument;
	void *buffer = raw_pages(BYTES);
	struct raw_io io;

	while (!atomic_load(&self->enough)) {
		raw_io_start(&io, &self->disk.device, RAW_READ, buffer, BYTES, RAW_TEST_OFFSET);
		if (raw_io_wait(&io, NULL, RAW_DEADLINE) != BYTES ||
		    !raw_matches(buffer, RAW_TEST_OFFSET, BYTES))
			atomic_fetch_add(&self->errors, 1);
		atomic_fetch_add(&self->reads, 1);
	}
	return NULL;
}

/* No reissue: what the server has it must be allowed to finish. */
TEST_F(quiesce, under_load_costs_nobody_an_error)
{
	unsigned int i, round;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	for (i = 0; i < READERS; i++)
		ASSERT_EQ(0, pthread_create(&self->readers[i], NULL, read_on, self));
	for (round = 0; round < 5; round++) {
		int reads = atomic_load(&self->reads);

		ASSERT_EQ(0, raw_await(&self->reads, reads + 2, RAW_DEADLINE));
		ASSERT_EQ(0, recoverable_quiesce(&self->disk, RAW_DEADLINE));
		expect_it_left(_metadata, &self->disk, variant->state);
		ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
	}
	atomic_store(&self->enough, true);
	for (i = 0; i < READERS; i++)
		pthread_join(self->readers[i], NULL);
	if (variant->state == UBLK_S_DEV_QUIESCED)
		EXPECT_EQ(0, atomic_load(&self->errors));
}

/* The only queue is full, so there is no command to answer. */
static void fill_queue(struct __test_metadata *_metadata, FIXTURE_DATA(quiesce) *self,
		       struct raw_request requests[4])
{
	unsigned int i;

	ASSERT_EQ(0, raw_server_open(&self->server, &self->disk.device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
	for (i = 0; i < READERS; i++)
		ASSERT_EQ(0, raw_io_start(&self->io[i], &self->disk.device, RAW_READ,
					  raw_pages(4096), 4096, RAW_TEST_OFFSET + i * 65536));
	for (i = 0; i < READERS; i++)
		ASSERT_TRUE(raw_catch(&self->server, &requests[i]));
}

static void answer_all(struct __test_metadata *_metadata, FIXTURE_DATA(quiesce) *self,
		       const struct raw_request requests[4], int expected)
{
	unsigned int i;

	for (i = 0; i < READERS; i++) {
		raw_fill(raw_buffer(&self->server, 0, requests[i].tag), 0, 4096);
		EXPECT_EQ(expected, raw_commit(&self->server, &requests[i], 4096));
	}
	for (i = 0; i < READERS; i++)
		EXPECT_EQ(4096, raw_io_wait(&self->io[i], &self->server, RAW_DEADLINE));
}

TEST_F(quiesce, of_a_busy_server_times_out_and_changes_nothing)
{
	struct raw_request requests[READERS], request;
	struct raw_io io;

	fill_queue(_metadata, self, requests);
	EXPECT_EQ(-EBUSY, recoverable_quiesce(&self->disk, A_WHILE));
	EXPECT_EQ(0, recoverable_await_state(&self->disk, UBLK_S_DEV_LIVE));
	answer_all(_metadata, self, requests, RAW_PARKED);
	EXPECT_EQ(0, self->server.aborted);

	ASSERT_EQ(0, raw_io_start(&io, &self->disk.device, RAW_WRITE, raw_pages(4096), 4096,
				  RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, &request));
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, &request, 4096));
	EXPECT_EQ(4096, raw_io_wait(&io, &self->server, RAW_DEADLINE));
}

TEST_F(quiesce, of_a_busy_server_can_be_interrupted)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->disk.device.id);
	struct raw_request requests[READERS];
	struct raw_control control;

	fill_queue(_metadata, self, requests);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_QUIESCE_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, A_WHILE));
	raw_control_cancel(&control);
	EXPECT_EQ(-EINTR, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
	answer_all(_metadata, self, requests, RAW_PARKED);
}

TEST_F(quiesce, waits_for_a_busy_server)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->disk.device.id);
	struct raw_request requests[READERS];
	struct raw_control control;
	long long end;

	fill_queue(_metadata, self, requests);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_QUIESCE_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, A_WHILE));
	/* parked, and then answered at once */
	raw_commit(&self->server, &requests[0], 4096);
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
	/* what it still has it may finish, and gets no more */
	raw_commit(&self->server, &requests[1], 4096);
	raw_commit(&self->server, &requests[2], 4096);
	raw_commit(&self->server, &requests[3], 4096);
	EXPECT_EQ(4096, raw_io_wait(&self->io[3], &self->server, RAW_DEADLINE));
	end = raw_now_ms() + RAW_DEATH_DEADLINE;
	while (self->server.aborted < READERS && raw_now_ms() < end)
		raw_pump(&self->server, 10);
	EXPECT_EQ(READERS, self->server.aborted);
	raw_server_close(&self->server);
	EXPECT_EQ(0, recoverable_await_state(&self->disk, variant->state));
}

TEST_F(quiesce, ends_with_the_server)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->disk.device.id);
	struct raw_request requests[READERS];
	struct raw_control control;
	unsigned int i;

	fill_queue(_metadata, self, requests);
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_QUIESCE_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, A_WHILE));
	raw_server_close(&self->server);
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEATH_DEADLINE));
	raw_control_end(&control);
	EXPECT_EQ(0, recoverable_await_state(&self->disk, variant->state));
	for (i = 0; i < READERS; i++)
		EXPECT_EQ(-EIO, raw_io_wait(&self->io[i], NULL, RAW_DEATH_DEADLINE));
}

TEST_F(quiesce, needs_a_disk_and_the_feature)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);
	struct recoverable other;

	EXPECT_EQ(-ENODEV, recoverable_quiesce(&self->disk, 1));
	info.flags = UBLK_F_QUIESCE;
	EXPECT_EQ(-EINVAL, raw_add_info(&info));

	ASSERT_EQ(0, recoverable_add(&other, UBLK_F_USER_RECOVERY, 1, 1));
	ASSERT_EQ(0, recoverable_start(&other, SERVES));
	EXPECT_EQ(-EOPNOTSUPP, recoverable_quiesce(&other, 1));
	EXPECT_EQ(0, recoverable_end(&other));
}

TEST_HARNESS_MAIN
