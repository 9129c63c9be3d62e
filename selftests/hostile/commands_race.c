// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many threads send commands at random, at the same devices, while servers come and go and users
 * read: whatever order the driver sees, nothing hangs and everything can be deleted.
 */
// # timeout: 300
#include <kselftest_harness.h>

#include <fcntl.h>

#include "raw.h"

#define RACE_MS 6000
#define FIRST_ID 90
#define IDS 2

struct racer {
	pthread_t thread;
	void (*act)(struct racer *racer);
	struct raw_device *device;
	unsigned int seed;
	atomic_bool *stop;
	atomic_bool done;
	unsigned long acts;
};

static unsigned int below(struct racer *racer, unsigned int limit)
{
	return rand_r(&racer->seed) % limit;
}

static void *race(void *argument)
{
	struct racer *racer = argument;

	while (!atomic_load(racer->stop)) {
		racer->act(racer);
		racer->acts++;
	}
	atomic_store(&racer->done, true);
	return NULL;
}

static void start_racer(struct __test_metadata *_metadata, struct racer *racer,
			void (*act)(struct racer *racer), struct raw_device *device,
			atomic_bool *stop, unsigned int seed)
{
	memset(racer, 0, sizeof(*racer));
	racer->act = act;
	racer->device = device;
	racer->stop = stop;
	racer->seed = seed;
	ASSERT_EQ(0, pthread_create(&racer->thread, NULL, race, racer));
}

/* All of them end in time, after @stop; each did something. */
static void join_racers(struct __test_metadata *_metadata, struct racer *racers, unsigned int count)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	unsigned int i;

	for (i = 0; i < count; i++) {
		while (!atomic_load(&racers[i].done) && raw_now_ms() < end)
			raw_pause();
		ASSERT_TRUE(atomic_load(&racers[i].done)) {
			TH_LOG("racer %u hangs after %lu acts", i, racers[i].acts);
		}
		pthread_join(racers[i].thread, NULL);
		EXPECT_LT(0, racers[i].acts);
	}
}

static void race_for(int milliseconds)
{
	long long end = raw_now_ms() + milliseconds;

	while (raw_now_ms() < end)
		raw_pause();
}

/* START_DEV and DEL_DEV may wait for what never comes: give them a moment, then interrupt. */
static void impatient(struct racer *racer, unsigned int op, struct ublksrv_ctrl_cmd *command)
{
	struct raw_control control;

	if (raw_control_begin(&control, op, command))
		return;
	if (raw_control_wait(&control, below(racer, 30)) == -ETIME) {
		raw_control_cancel(&control);
		raw_control_wait(&control, RAW_DEADLINE);
	}
	raw_control_end(&control);
}

static void any_control_command(struct racer *racer)
{
	__u32 id = FIRST_ID + below(racer, IDS);
	struct ublksrv_ctrl_cmd command = raw_command_for(id);
	struct ublksrv_ctrl_dev_info info = raw_info(1 + below(racer, 2), 1 + below(racer, 8));
	struct ublk_params params = raw_params(&info);
	char mask[512];

	info.dev_id = id;
	switch (below(racer, 9)) {
	case 0:
	case 1:
		raw_add_info(&info);
		break;
	case 2:
		raw_control(UBLK_U_CMD_DEL_DEV_ASYNC, &command);
		break;
	case 3:
		impatient(racer, UBLK_U_CMD_DEL_DEV, &command);
		break;
	case 4:
		raw_set_params(id, &params);
		break;
	case 5:
		raw_get_params(id, &params);
		break;
	case 6:
		raw_get_info(id, &info);
		break;
	case 7:
		impatient(racer, UBLK_U_CMD_STOP_DEV, &command);
		break;
	case 8:
		command.addr = (unsigned long)mask;
		command.len = sizeof(mask);
		raw_control(UBLK_U_CMD_GET_QUEUE_AFFINITY, &command);
		break;
	}
}

static void expect_free(struct __test_metadata *_metadata, int id)
{
	int ret = raw_delete(id);

	EXPECT_TRUE(ret == 0 || ret == -ENODEV);
	EXPECT_EQ(0, raw_reuse(id));
}

FIXTURE(ids)
{
	atomic_bool stop;
};

FIXTURE_SETUP(ids)
{
}

FIXTURE_TEARDOWN(ids)
{
	unsigned int i;

	for (i = 0; i < IDS; i++)
		expect_free(_metadata, FIRST_ID + i);
}

TEST_F_TIMEOUT(ids, control_commands_at_each_other, 90)
{
	struct racer racers[4];
	unsigned int i;

	for (i = 0; i < 4; i++)
		start_racer(_metadata, &racers[i], any_control_command, NULL, &self->stop,
			    i + 1);
	race_for(RACE_MS);
	atomic_store(&self->stop, true);
	join_racers(_metadata, racers, 4);
}

FIXTURE(server)
{
	struct raw_device device;
	atomic_bool stop;
};

FIXTURE_SETUP(server)
{
	raw_none(&self->device, NULL);
	ASSERT_EQ(0, raw_add(&self->device, 2, 8));
}

FIXTURE_TEARDOWN(server)
{
	int id = self->device.id;

	EXPECT_EQ(0, raw_destroy(&self->device));
	EXPECT_EQ(0, raw_reuse(id));
}

/* Serves for a moment, completely or not, and leaves in one way or the other. */
static void come_and_go(struct racer *racer)
{
	long long end = raw_now_ms() + below(racer, 80);
	unsigned int tags = below(racer, 3) ? 16 : below(racer, 16), tag;
	struct raw_server server;

	if (raw_server_open(&server, racer->device, 0)) {
		raw_pause();
		return;
	}
	server.answer_all = true;
	for (tag = 0; tag < tags; tag++)
		raw_io_queue(&server, UBLK_U_IO_FETCH_REQ, tag / 8, tag % 8, 0,
			     (unsigned long)raw_buffer(&server, tag / 8, tag % 8));
	do {
		raw_pump(&server, 5);
	} while (raw_now_ms() < end);
	if (below(racer, 2)) {
		/* the file first: only its commands keep it */
		close(server.chr);
		server.chr = -1;
	}
	raw_server_close(&server);
}

static void start_or_stop(struct racer *racer)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(racer->device->id);

	command.data[0] = getpid();
	impatient(racer, below(racer, 4) ? UBLK_U_CMD_START_DEV : UBLK_U_CMD_STOP_DEV, &command);
}

static void set_params(struct racer *racer)
{
	struct ublk_params params = racer->device->params;

	params.basic.logical_bs_shift = 9 + below(racer, 5);
	params.basic.physical_bs_shift = 12;
	raw_set_params(racer->device->id, &params);
}

static void ask(struct racer *racer)
{
	struct ublksrv_ctrl_dev_info info;
	struct ublk_params params;

	raw_get_info(racer->device->id, &info);
	raw_get_params(racer->device->id, &params);
}

static void use_disk(struct racer *racer)
{
	static char __attribute__((aligned(4096))) memory[16384];
	int fd = raw_open_block(racer->device->id, O_RDWR | O_DIRECT);

	if (fd < 0) {
		raw_pause();
		return;
	}
	if (below(racer, 2))
		(void)!pread(fd, memory, sizeof(memory), 4096 * below(racer, 1000));
	else
		(void)!pwrite(fd, memory, sizeof(memory), 4096 * below(racer, 1000));
	if (!below(racer, 4))
		fsync(fd);
	close(fd);
}

TEST_F_TIMEOUT(server, come_and_go_under_load, 120)
{
	void (*acts[])(struct racer *racer) = {
		come_and_go, start_or_stop, use_disk, use_disk, ask, set_params,
	};
	const unsigned int count = ARRAY_SIZE(acts);
	struct racer racers[ARRAY_SIZE(acts)];
	unsigned int i;

	for (i = 0; i < count; i++)
		start_racer(_metadata, &racers[i], acts[i], &self->device, &self->stop, i + 11);
	race_for(2 * RACE_MS);
	atomic_store(&self->stop, true);
	join_racers(_metadata, racers, count);
}

static unsigned int random_opcode(struct racer *racer)
{
	unsigned int number = below(racer, 4) ? 0x20 + below(racer, 2) : below(racer, 0x30);

	return below(racer, 4) ? _IOWR('u', number, struct ublksrv_io_cmd) : number;
}

static __u64 random_address(struct racer *racer, struct raw_server *server)
{
	switch (below(racer, 8)) {
	case 0:
		return 0;
	case 1:
		return RAW_KERNEL_ADDRESS + below(racer, 1 << 30);
	case 2:
		return 4096 + below(racer, 65536);
	case 3:
		return ~0ULL - below(racer, 65536);
	default:
		return (unsigned long)server->buffers + below(racer, 4096);
	}
}

static int random_result(struct racer *racer)
{
	static const int results[] = {
		0, 1, 511, 512, 4096, 16384, 65536, INT32_MAX, -1, -5, -28, -4096, INT32_MIN,
	};

	return results[below(racer, ARRAY_SIZE(results))];
}

/* A server that sends twenty random commands for every honest one. */
static void serve_madly(struct racer *racer)
{
	long long end = raw_now_ms() + 300 + below(racer, 1000);
	struct raw_server server;
	unsigned int i;

	if (raw_server_open(&server, racer->device, 0)) {
		raw_pause();
		return;
	}
	server.answer_all = true;
	raw_fetch_all(&server);
	do {
		raw_pump(&server, 2);
		for (i = 0; i < 20 && server.ring.unsubmitted < 8; i++)
			raw_io_queue(&server, random_opcode(racer), below(racer, 3),
				     below(racer, 10), random_result(racer),
				     random_address(racer, &server));
	} while (raw_now_ms() < end);
	raw_server_close(&server);
}

static void start_only(struct racer *racer)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(racer->device->id);

	command.data[0] = getpid();
	impatient(racer, UBLK_U_CMD_START_DEV, &command);
}

TEST_F_TIMEOUT(server, sends_random_commands, 120)
{
	void (*acts[])(struct racer *racer) = {
		serve_madly, start_only, use_disk, use_disk, ask,
	};
	const unsigned int count = ARRAY_SIZE(acts);
	struct racer racers[ARRAY_SIZE(acts)];
	unsigned int i;

	for (i = 0; i < count; i++)
		start_racer(_metadata, &racers[i], acts[i], &self->device, &self->stop, i + 31);
	race_for(2 * RACE_MS);
	atomic_store(&self->stop, true);
	join_racers(_metadata, racers, count);
}

TEST_HARNESS_MAIN
