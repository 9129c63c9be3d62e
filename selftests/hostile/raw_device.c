// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control commands, each on a ring of its own, and what the tests do with them to a device.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "raw.h"

#define CANCEL_DATA 2

struct ublksrv_ctrl_cmd raw_command_for(__u32 id)
{
	struct ublksrv_ctrl_cmd command = { .dev_id = id, .queue_id = 0xffff };

	return command;
}

int raw_control_begin(struct raw_control *control, unsigned int op,
		      const struct ublksrv_ctrl_cmd *command)
{
	struct io_uring_sqe *sqe;
	int ret;

	control->fd = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	if (control->fd < 0)
		return -errno;
	ret = raw_ring_open(&control->ring, 4, IORING_SETUP_SQE128);
	if (ret) {
		close(control->fd);
		return ret;
	}
	sqe = raw_ring_sqe(&control->ring);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = control->fd;
	sqe->cmd_op = op;
	sqe->user_data = 1;
	memcpy(sqe->cmd, command, sizeof(*command));
	return raw_ring_submit(&control->ring, 0);
}

/* Did it end? Completions of a cancel request are not its end. */
bool raw_control_poll(struct raw_control *control, int *result)
{
	struct io_uring_cqe cqe;

	raw_ring_submit(&control->ring, 0);
	while (raw_ring_next(&control->ring, &cqe)) {
		if (cqe.user_data == CANCEL_DATA)
			continue;
		*result = cqe.res;
		return true;
	}
	return false;
}

int raw_control_wait(struct raw_control *control, int wait_ms)
{
	long long end = raw_now_ms() + wait_ms;
	struct io_uring_cqe cqe;
	int ret;

	do {
		ret = raw_ring_wait(&control->ring, &cqe, end - raw_now_ms());
	} while (!ret && cqe.user_data == CANCEL_DATA);
	return ret ? ret : cqe.res;
}

/* What a signal does to a command that sleeps: io_uring interrupts its worker. */
int raw_control_cancel(struct raw_control *control)
{
	struct io_uring_sqe *sqe = raw_ring_sqe(&control->ring);

	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->addr = 1;
	sqe->user_data = CANCEL_DATA;
	return raw_ring_submit(&control->ring, 0);
}

void raw_control_end(struct raw_control *control)
{
	raw_ring_close(&control->ring);
	close(control->fd);
}

int raw_control(unsigned int op, const struct ublksrv_ctrl_cmd *command)
{
	struct raw_control control;
	int ret = raw_control_begin(&control, op, command);

	if (ret)
		return ret;
	ret = raw_control_wait(&control, RAW_DEADLINE);
	raw_control_end(&control);
	return ret;
}

struct ublksrv_ctrl_dev_info raw_info(unsigned int queues, unsigned int depth)
{
	struct ublksrv_ctrl_dev_info info = {
		.nr_hw_queues = queues,
		.queue_depth = depth,
		.max_io_buf_bytes = 64 << 10,
		.dev_id = -1,
	};

	return info;
}

/* ADD_DEV with @info as it is; the driver's answer replaces it. */
int raw_add_info(struct ublksrv_ctrl_dev_info *info)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(info->dev_id);

	command.addr = (unsigned long)info;
	command.len = sizeof(*info);
	return raw_control(UBLK_U_CMD_ADD_DEV, &command);
}

/* A device that has its parameters and waits for a server. */
int raw_add(struct raw_device *device, unsigned int queues, unsigned int depth)
{
	struct ublksrv_ctrl_dev_info info = raw_info(queues, depth);

	return raw_add_with(device, &info);
}

int raw_add_with(struct raw_device *device, const struct ublksrv_ctrl_dev_info *info)
{
	int ret;

	device->id = -1;
	device->info = *info;
	ret = raw_add_info(&device->info);
	if (ret)
		return ret;
	device->id = device->info.dev_id;
	device->params = raw_params(&device->info);
	return raw_set_params(device->id, &device->params);
}

bool raw_lends_pages(const struct ublksrv_ctrl_dev_info *info)
{
	return info->flags & (UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG);
}

bool raw_wants_addresses(const struct ublksrv_ctrl_dev_info *info)
{
	return !(info->flags & UBLK_F_USER_COPY) && !raw_lends_pages(info);
}

struct ublk_params raw_params(const struct ublksrv_ctrl_dev_info *info)
{
	struct ublk_params params = {
		.len = sizeof(params),
		.types = UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_DISCARD,
		.basic = {
			.logical_bs_shift = 9,
			.physical_bs_shift = 12,
			.io_opt_shift = 12,
			.io_min_shift = 12,
			.attrs = UBLK_ATTR_VOLATILE_CACHE,
			.max_sectors = info->max_io_buf_bytes >> 9,
			.dev_sectors = RAW_DISK_BYTES >> 9,
		},
		.discard = {
			.discard_granularity = 4096,
			.max_discard_sectors = RAW_TEST_BYTES >> 9,
			.max_write_zeroes_sectors = RAW_TEST_BYTES >> 9,
			.max_discard_segments = 1,
		},
	};

	return params;
}

static int with_buffer(int id, unsigned int op, void *buffer, size_t length)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.addr = (unsigned long)buffer;
	command.len = length;
	return raw_control(op, &command);
}

int raw_set_params(int id, const struct ublk_params *params)
{
	return with_buffer(id, UBLK_U_CMD_SET_PARAMS, (void *)params, sizeof(*params));
}

int raw_get_params(int id, struct ublk_params *params)
{
	params->len = sizeof(*params);
	return with_buffer(id, UBLK_U_CMD_GET_PARAMS, params, sizeof(*params));
}

int raw_get_info(int id, struct ublksrv_ctrl_dev_info *info)
{
	return with_buffer(id, UBLK_U_CMD_GET_DEV_INFO, info, sizeof(*info));
}

int raw_start(int id, pid_t pid)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.data[0] = pid;
	return raw_control(UBLK_U_CMD_START_DEV, &command);
}

int raw_stop(int id)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	return raw_control(UBLK_U_CMD_STOP_DEV, &command);
}

int raw_delete(int id)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	return raw_control(UBLK_U_CMD_DEL_DEV, &command);
}

int raw_destroy(struct raw_device *device)
{
	int ret;

	if (device->id < 0)
		return 0;
	ret = raw_delete(device->id);
	if (!ret || ret == -ENODEV)
		device->id = -1;
	return device->id == -1 ? 0 : ret;
}

int raw_reuse(int id)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);
	int ret;

	info.dev_id = id;
	ret = raw_add_info(&info);
	return ret ? ret : raw_delete(id);
}

int raw_open_char(int id)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/ublkc%d", id);
	fd = open(path, O_RDWR);
	return fd < 0 ? -errno : fd;
}

int raw_open_block(int id, int flags)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/ublkb%d", id);
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void raw_require_feature(__u64 feature, const char *name)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(-1);
	__u64 features = 0;

	command.addr = (unsigned long)&features;
	command.len = sizeof(features);
	if (raw_control(UBLK_U_CMD_GET_FEATURES, &command) || (features & feature))
		return;
	printf("SKIP: lacks %s\n", name);
	fflush(stdout);
	_exit(4);
}
