// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk whose parameters lie at the edges of what they can be, served by the book, and a user who uses
 * it at the edges of what it has: each ioctl and each write ends, and the user can be killed. When it
 * has been used a while its process ends, and the next one has another disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "liar.h"

#define TRIES 40		/* to find parameters that the driver takes */
#define USES 60			/* of one disk */
#define MOST (64U << 10)

static struct raw_device device;
static struct raw_server server;
static atomic_bool ready;
static unsigned int uses;

/* Whoever had the number before is dead, and the supervisor may delete the device at any time. */
static bool find_parameters(struct dice *dice)
{
	unsigned int i;

	for (i = 0; i < TRIES; i++) {
		device.params = params_any(dice, &device.info, PARAMS_EXTREME);
		report_made(WHAT_CONTROL, 1);
		if (!raw_set_params(device.id, &device.params))
			return true;
	}
	return false;
}

/* The next process tries something else; not at once, so that others get something done. */
static void give_up(void)
{
	raw_pause();
	_exit(0);
}

static void begin(struct dice *dice)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1 + dice_below(dice, 4));
	int ret;

	info.dev_id = LIAR_EDGES_ID;
	info.flags = UBLK_F_NO_AUTO_PART_SCAN;
	raw_delete(LIAR_EDGES_ID);
	ret = raw_add_with(&device, &info);
	if (ret || !find_parameters(dice) || raw_server_open(&server, &device, 0))
		give_up();
	server.answer_all = true;
	if (raw_server_start(&server))
		give_up();
	atomic_fetch_add(&shared->edges, 1);
	atomic_store(&ready, true);
}

static void serve(struct liar *liar, struct dice *dice)
{
	if (!atomic_load(&ready))
		begin(dice);
	raw_pump(&server, 20);
}

/*
 * Where most goes wrong: the first block, the last, one off. Not all of a disk whose size is at its edge:
 * the block layer of 6.1 sends a discard's last request before it looks for a signal.
 */
static void any_range(struct dice *dice, uint64_t size, uint64_t range[2])
{
	uint64_t unit = PICK(dice, 512, 4096, 4096, 65536);

	range[0] = PICK(dice, 0, 0, 0, unit, size / 2, size > unit ? size - unit : 0,
			dice_below(dice, 1 << 14) * unit);
	range[1] = PICK(dice, unit, unit, 1 << 20, 16 << 20, RAW_DISK_BYTES);
	if (range[0] < size && range[1] > size - range[0])
		range[1] = size - range[0];
}

static int use_range(int file, struct dice *dice, uint64_t range[2])
{
	static char buffer[MOST] __attribute__((aligned(4096)));
	size_t bytes = range[1] < MOST ? range[1] : MOST;

	switch (dice_below(dice, 9)) {
	case 0 ... 2:
		return ioctl(file, BLKDISCARD, range);
	case 3:
		return ioctl(file, BLKZEROOUT, range);
	case 4:
		return ioctl(file, BLKSECDISCARD, range);
	case 5:
		return fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range[0], range[1]);
	case 6:
		return fallocate(file, FALLOC_FL_ZERO_RANGE, range[0], range[1]);
	case 7:
		return pread(file, buffer, bytes, range[0]);
	default:
		return pwrite(file, buffer, bytes, range[0]);
	}
}

static void use(struct liar *liar, struct dice *dice)
{
	uint64_t size = 0, range[2];
	int file;

	if (!atomic_load(&ready)) {
		raw_pause();
		return;
	}
	file = reading_open_disk(LIAR_EDGES_ID, O_RDWR | (dice_chance(dice, 50) ? O_DIRECT : 0));
	if (file < 0)
		_exit(0);
	if (!ioctl(file, BLKGETSIZE64, &size)) {
		any_range(dice, size, range);
		report_made(WHAT_USE, 1);
		if (use_range(file, dice, range) >= 0)
			report_good(WHAT_USE);
	}
	close(file);
	if (++uses == USES)
		_exit(0);
}

static const struct act server_acts[] = {
	{ "serve", serve, 1 },
	{ NULL }
};

static const struct act user_acts[] = {
	{ "use", use, 1 },
	{ NULL }
};

const struct role role_edge_server = { "edge server", server_acts };
const struct role role_edge_user = { "edge user", user_acts };
