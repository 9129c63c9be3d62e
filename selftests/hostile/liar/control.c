// SPDX-License-Identifier: GPL-2.0-only
/*
 * Control commands, right and wrong, in any order.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "liar.h"

#define LETTER 'u'

/* How long a liar waits for an answer it wants to go on with. */
#define ASK_MS 3000

/* The numbers, and how often each of them comes. Those that end a device are rare. */
static const struct {
	unsigned char number;
	unsigned char weight;
} commands[] = {
	{ UBLK_CMD_GET_QUEUE_AFFINITY, 20 },
	{ UBLK_CMD_GET_DEV_INFO, 30 },
	{ _IOC_NR(UBLK_U_CMD_GET_DEV_INFO2), 20 },
	{ UBLK_CMD_ADD_DEV, 12 },
	{ UBLK_CMD_DEL_DEV, 1 },
	{ UBLK_CMD_START_DEV, 20 },
	{ UBLK_CMD_STOP_DEV, 1 },
	{ UBLK_CMD_SET_PARAMS, 8 },
	{ UBLK_CMD_GET_PARAMS, 25 },
	{ UBLK_CMD_START_USER_RECOVERY, 25 },
	{ UBLK_CMD_END_USER_RECOVERY, 15 },
	{ _IOC_NR(UBLK_U_CMD_GET_FEATURES), 15 },
	{ _IOC_NR(UBLK_U_CMD_DEL_DEV_ASYNC), 1 },
	{ _IOC_NR(UBLK_U_CMD_UPDATE_SIZE), 10 },
	{ _IOC_NR(UBLK_U_CMD_QUIESCE_DEV), 2 },
	{ _IOC_NR(UBLK_U_CMD_TRY_STOP_DEV), 2 },
	{ _IOC_NR(UBLK_U_CMD_REG_BUF), 15 },
	{ _IOC_NR(UBLK_U_CMD_UNREG_BUF), 12 },
	{ 0, 0 },		/* any other number */
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static unsigned int any_number(struct dice *dice)
{
	unsigned char weights[COMMANDS];
	unsigned int i;

	if (dice_chance(dice, 4))
		return dice_below(dice, 256);
	for (i = 0; i < COMMANDS; i++)
		weights[i] = commands[i].weight;
	return commands[dice_weighted(dice, weights, COMMANDS)].number;
}

/* Never the honest server's: it is not to be disturbed. */
unsigned int control_any_id(struct dice *dice)
{
	if (dice_chance(dice, 3))
		return PICK(dice, -1, -2, 1 << 20, (1 << 20) - 1, 1U << 31, 12345);
	return LIAR_FIRST_ID + dice_below(dice, LIAR_IDS);
}

/* The last one is for those who may do nothing with the others'. */
unsigned int control_own_id(const struct liar *liar, struct dice *dice)
{
	if (dice_chance(dice, 2))
		return LIAR_FIRST_ID + dice_below(dice, LIAR_IDS);
	return LIAR_FIRST_ID +
	       (liar->unprivileged ? LIAR_IDS - 1 : dice_below(dice, LIAR_IDS - 1));
}

/* Where a user must say so: of a device that there is, the node. */
bool control_needs_path(const struct liar *liar, unsigned int number)
{
	return number == _IOC_NR(UBLK_U_CMD_GET_DEV_INFO2) ||
	       (liar->unprivileged && number != UBLK_CMD_ADD_DEV);
}

static uint64_t any_features(struct dice *dice, bool sane)
{
	static const uint64_t sets[] = {
		0,
		0,
		UBLK_F_NEED_GET_DATA,
		UBLK_F_USER_COPY,
		UBLK_F_USER_COPY | UBLK_F_ZONED,
		UBLK_F_USER_COPY | UBLK_F_INTEGRITY,
		UBLK_F_SHMEM_ZC,
		UBLK_F_SHMEM_ZC,
		UBLK_F_SHMEM_ZC,
		UBLK_F_SHMEM_ZC | UBLK_F_NEED_GET_DATA,
		UBLK_F_SUPPORT_ZERO_COPY,
		UBLK_F_AUTO_BUF_REG,
		UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG,
		UBLK_F_BATCH_IO,
		UBLK_F_BATCH_IO | UBLK_F_AUTO_BUF_REG,
		UBLK_F_BATCH_IO | UBLK_F_USER_COPY,
	};
	static const uint64_t deaths[] = {
		0,
		UBLK_F_USER_RECOVERY,
		UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE,
		UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_FAIL_IO,
	};
	uint64_t features;

	if (!sane)
		return dice_roll(dice);
	features = dice_pick(dice, sets, sizeof(sets) / sizeof(sets[0])) |
		   dice_pick(dice, deaths, sizeof(deaths) / sizeof(deaths[0]));
	if (features & UBLK_F_USER_RECOVERY)
		features |= dice_chance(dice, 50) ? UBLK_F_QUIESCE : 0;
	if (dice_chance(dice, 60))
		features |= UBLK_F_NO_AUTO_PART_SCAN;
	if (dice_chance(dice, 10))
		features |= UBLK_F_IO_DESC_SIZE;
	return features;
}

struct ublksrv_ctrl_dev_info control_any_info(struct dice *dice, unsigned int id, bool sane)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1 + dice_below(dice, 2),
						     PICK(dice, 1, 2, 4, 8, 16, 32));

	/* Several queues of one thread, where each request is all of its queue. */
	if (dice_chance(dice, 40))
		info = raw_info(2 + dice_below(dice, 2), 1 + dice_below(dice, 2));
	info.dev_id = id;
	info.flags = any_features(dice, sane || dice_chance(dice, 50));
	info.max_io_buf_bytes = PICK(dice, 4096, 16384, 65536, 65536);
	info.io_desc_size = PICK(dice, 24, 32, 64, 256);
	if (sane)
		return info;
	if (dice_chance(dice, 20))
		info.queue_depth = PICK(dice, 0, 4096, 4097, 65535);
	if (dice_chance(dice, 20))
		info.nr_hw_queues = PICK(dice, 0, 3, 4, 4096, 4097, 65535);
	if (dice_chance(dice, 20))
		info.max_io_buf_bytes = dice_roll(dice);
	if (dice_chance(dice, 20))
		info.io_desc_size = dice_roll(dice);
	if (dice_chance(dice, 20))
		info.state = dice_roll(dice);
	if (dice_chance(dice, 20))
		info.ublksrv_pid = getpid();
	if (dice_chance(dice, 10))
		info.dev_id = control_any_id(dice);
	return info;
}

void control_address(struct ublksrv_ctrl_cmd *command, unsigned int id,
		     char *note, const void *payload, size_t length, bool path)
{
	size_t path_length = 0;

	*command = raw_command_for(id);
	if (path) {
		path_length = 1 + snprintf(note, 32, "/dev/ublkc%u", id);
		command->dev_path_len = path_length;
	}
	if (payload)
		memcpy(note + path_length, payload, length);
	command->addr = (unsigned long)note;
	command->len = path_length + length;
}

/* What the command of that number wants, for any device. */
static void fill_command(struct liar *liar, struct ublksrv_ctrl_cmd *command, unsigned int number,
			 struct dice *dice)
{
	unsigned int id = control_any_id(dice);
	struct ublksrv_ctrl_dev_info info = control_any_info(dice, id, dice_chance(dice, 50));
	struct ublk_params params = params_any(dice, &info, params_any_kind(dice));
	struct ublk_shmem_buf_reg reg = {
		.addr = dice_chance(dice, 70) ? memory_shared(dice) : memory_any_data(dice),
		.len = PICK(dice, 4096, 65536, 65536, 1 << 20, 1ULL << 32, 0, ~0ULL),
		.flags = dice_chance(dice, 90) ? dice_below(dice, 2) : dice_roll(dice),
	};
	const void *payload = NULL;
	size_t length = 512;

	switch (number) {
	case UBLK_CMD_ADD_DEV:
		id = control_own_id(liar, dice);
		info.dev_id = dice_chance(dice, 95) ? id : info.dev_id;
		if (liar->unprivileged)
			info.flags |= UBLK_F_UNPRIVILEGED_DEV;
		payload = &info;
		length = sizeof(info);
		break;
	case UBLK_CMD_SET_PARAMS:
	case UBLK_CMD_GET_PARAMS:
		payload = &params;
		length = sizeof(params);
		break;
	case _IOC_NR(UBLK_U_CMD_REG_BUF):
		payload = &reg;
		length = sizeof(reg);
		break;
	case _IOC_NR(UBLK_U_CMD_GET_FEATURES):
		length = UBLK_FEATURES_LEN;
		break;
	}
	control_address(command, id, memory_note(dice), payload, length,
			control_needs_path(liar, number) ^ dice_chance(dice, 3));
}

static uint64_t any_number_for(unsigned int number, struct dice *dice)
{
	switch (number) {
	case UBLK_CMD_START_DEV:
	case UBLK_CMD_END_USER_RECOVERY:
		return dice_chance(dice, 90) ? (uint64_t)getpid() : dice_roll(dice);
	case _IOC_NR(UBLK_U_CMD_QUIESCE_DEV):
		return 1 + dice_below(dice, 200);
	case _IOC_NR(UBLK_U_CMD_UPDATE_SIZE):
		return dice_chance(dice, 95) ? (RAW_DISK_BYTES >> 9) - 8 * dice_below(dice, 64) :
					       dice_roll(dice);
	default:
		return dice_chance(dice, 95) ? dice_below(dice, 4) : dice_roll(dice);
	}
}

static void spoil_command(struct ublksrv_ctrl_cmd *command, struct dice *dice)
{
	switch (dice_below(dice, 6)) {
	case 0:
		command->queue_id = dice_roll(dice);
		break;
	case 1:
		command->len = dice_chance(dice, 50) ? dice_below(dice, 256) : dice_roll(dice);
		break;
	case 2:
		command->data[0] = dice_roll(dice);
		break;
	case 3:
		command->dev_path_len = dice_below(dice, 64);
		break;
	case 4:
		command->reserved = dice_roll(dice);
		break;
	default:
		command->addr = memory_any_note(dice, memory_note(dice));
		break;
	}
}

static unsigned int encode(unsigned int number, struct dice *dice)
{
	if (dice_chance(dice, 2))
		return dice_roll(dice);
	return dice_chance(dice, 75) ? _IOWR(LETTER, number, struct ublksrv_ctrl_cmd) : number;
}

static int control_file(void)
{
	static int file = -1;

	if (file < 0)
		file = open("/dev/ublk-control", O_RDWR | O_CLOEXEC);
	return file;
}

static struct io_uring_sqe *control_sqe(struct liar *liar, unsigned int op,
					const struct ublksrv_ctrl_cmd *command)
{
	struct io_uring_sqe *sqe = ring_sqe(&liar->control);

	if (!sqe)
		return NULL;
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = control_file();
	sqe->cmd_op = op;
	sqe->user_data = ring_token_of(ring_token(TOKEN_OTHER, WHAT_CONTROL, 0, 0), op);
	memcpy(sqe->cmd, command, liar->control.raw.sqe_size == 128 ? sizeof(*command) : 16);
	return sqe;
}

static void any_command(struct liar *liar, struct dice *dice)
{
	unsigned int number = any_number(dice);
	struct ublksrv_ctrl_cmd command;
	struct io_uring_sqe *sqe;

	fill_command(liar, &command, number, dice);
	command.data[0] = any_number_for(number, dice);
	if (dice_chance(dice, 20))
		spoil_command(&command, dice);
	sqe = control_sqe(liar, encode(number, dice), &command);
	if (sqe && dice_chance(dice, 5))
		sqe->flags |= PICK(dice, IOSQE_ASYNC, IOSQE_IO_LINK, IOSQE_IO_DRAIN,
				   IOSQE_IO_HARDLINK, IOSQE_CQE_SKIP_SUCCESS);
}

/* Interrupt whatever waits. */
static void cancel_all(struct liar *liar)
{
	struct io_uring_sqe *sqe = ring_sqe(&liar->control);

	if (!sqe)
		return;
	sqe->opcode = IORING_OP_ASYNC_CANCEL;
	sqe->fd = -1;
	sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
	sqe->user_data = ring_token(TOKEN_OTHER, WHAT_PROCESS, 0, 0);
}

void control_reap(struct liar *liar)
{
	struct io_uring_cqe cqe;

	if (liar->control.raw.fd < 0)
		return;
	while (raw_ring_next(&liar->control.raw, &cqe)) {
		ring_judge(&cqe);
		if (cqe.user_data >> 56 != TOKEN_ASKED)
			continue;
		liar->asked_done = true;
		liar->asked_result = cqe.res;
	}
}

void control_burst(struct liar *liar, struct dice *dice)
{
	unsigned int count = 1 + dice_below(dice, 6);

	if (liar->control.raw.fd < 0 || !dice_below(dice, 40)) {
		ring_close(&liar->control);
		ring_open(&liar->control, dice, RING_CONTROL);
	}
	while (count--)
		any_command(liar, dice);
	if (dice_chance(dice, 5))
		cancel_all(liar);
	ring_submit(&liar->control, 0);
	control_reap(liar);
}

int control_ask(struct liar *liar, unsigned int op, const struct ublksrv_ctrl_cmd *command)
{
	long long end = raw_now_ms() + ASK_MS;
	struct io_uring_sqe *sqe = control_sqe(liar, op, command);

	if (!sqe)
		return -EBUSY;
	/* Of an earlier question only the answer may be outstanding, and comes first. */
	sqe->user_data |= ring_token(TOKEN_ASKED, 0, 0, 0);
	liar->asked_done = false;
	do {
		if (!ring_submit(&liar->control, 20))
			break;
		control_reap(liar);
	} while (!liar->asked_done && raw_now_ms() < end);
	if (liar->asked_done)
		return liar->asked_result;
	ring_close(&liar->control);
	return -ETIME;
}

/*
 * Ask for somebody else's device by a node that was not made by those who may: on a mount whose nodes
 * are no devices, as that of a FUSE server of one's own.
 */
void control_forge(struct liar *liar, struct dice *dice)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(LIAR_OTHERS_ID);
	char *note = memory_note(dice);
	int ret;

	if (!liar->unprivileged || liar->control.raw.fd < 0 || liar->control.raw.sqe_size != 128)
		return;
	memset(note, 0, sizeof(FORGED_NODE) + sizeof(struct ublksrv_ctrl_dev_info));
	memcpy(note, FORGED_NODE, sizeof(FORGED_NODE));
	command.addr = (unsigned long)note;
	command.dev_path_len = sizeof(FORGED_NODE);
	command.len = sizeof(FORGED_NODE) + sizeof(struct ublksrv_ctrl_dev_info);
	ret = control_ask(liar, UBLK_U_CMD_GET_DEV_INFO2, &command);
	if (ret != -ETIME && ret != -EBUSY)
		atomic_fetch_add(&shared->forged, 1);
	if (!ret)
		report_complaint("a forged node is taken for that of device %d", LIAR_OTHERS_ID);
}

/* Without waiting: every tag must have been fetched before it ends. */
void control_start(struct liar *liar, struct dice *dice, bool recovery)
{
	struct ublksrv_ctrl_cmd command;

	control_address(&command, liar->handle->id, memory_note(dice), NULL, 0,
			control_needs_path(liar, UBLK_CMD_START_DEV));
	command.data[0] = getpid();
	control_sqe(liar, recovery ? UBLK_U_CMD_END_USER_RECOVERY : UBLK_U_CMD_START_DEV,
		    &command);
	ring_submit(&liar->control, 0);
}
