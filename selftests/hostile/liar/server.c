// SPDX-License-Identifier: GPL-2.0-only
/*
 * A liar's life: it comes, serves and lies, and goes at any point. What vandals do to servers in
 * the same process, and what a controller does.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "liar.h"

struct liar liars[LIAR_MAX_THREADS];
struct handle handles[LIAR_HANDLES];

void liar_set_up(void)
{
	unsigned int i, k;

	memory_set_up();
	for (i = 0; i < LIAR_HANDLES; i++) {
		atomic_init(&handles[i].chr, -1);
		handles[i].id = LIAR_FIRST_ID + i;
		handles[i].info = raw_info(1, 8);
	}
	for (i = 0; i < LIAR_MAX_THREADS; i++) {
		liars[i].handle = &handles[i % LIAR_HANDLES];
		liars[i].control.raw.fd = -1;
		for (k = 0; k < LIAR_RINGS; k++)
			liars[i].rings[k].raw.fd = -1;
	}
}

static size_t map_bytes(const struct handle *handle, unsigned int depth)
{
	return (depth * handle->info.io_desc_size + 4095) & ~4095UL;
}

static void map_descriptors(struct handle *handle)
{
	unsigned int queue;

	for (queue = 0; queue < handle->info.nr_hw_queues; queue++) {
		void *map = mmap(NULL, map_bytes(handle, handle->info.queue_depth), PROT_READ,
				 MAP_SHARED, atomic_load(&handle->chr),
				 queue * map_bytes(handle, UBLK_MAX_QUEUE_DEPTH));

		handle->maps[queue] = map == MAP_FAILED ? NULL : map;
	}
}

/* Another thread may be looking: then that is how this process ends. */
static void unmap_descriptors(struct handle *handle)
{
	unsigned int queue;

	for (queue = 0; queue < LIAR_QUEUES; queue++) {
		void *map = (void *)handle->maps[queue];

		handle->maps[queue] = NULL;
		if (map)
			munmap(map, map_bytes(handle, handle->info.queue_depth));
	}
}

/* A number that the driver told, within what this program has room for. */
static void take_info(struct handle *handle, const struct ublksrv_ctrl_dev_info *info)
{
	handle->info = *info;
	if (handle->info.nr_hw_queues > LIAR_QUEUES)
		handle->info.nr_hw_queues = LIAR_QUEUES;
	if (handle->info.queue_depth > UBLK_MAX_QUEUE_DEPTH)
		handle->info.queue_depth = UBLK_MAX_QUEUE_DEPTH;
	if (handle->info.io_desc_size < 24 || handle->info.io_desc_size > 256)
		handle->info.io_desc_size = 24;
}

static int ask_with(struct liar *liar, struct dice *dice, unsigned int op, unsigned int id,
		    const void *payload, size_t length)
{
	struct ublksrv_ctrl_cmd command;

	control_address(&command, id, memory_note(dice), payload, length,
			control_needs_path(liar, _IOC_NR(op)));
	return control_ask(liar, op, &command);
}

static int ask_info(struct liar *liar, struct dice *dice, unsigned int id)
{
	struct ublksrv_ctrl_dev_info info;
	struct ublksrv_ctrl_cmd command;
	char *note = memory_note(dice);
	int ret;

	control_address(&command, id, note, NULL, sizeof(info),
			control_needs_path(liar, UBLK_CMD_GET_DEV_INFO));
	ret = control_ask(liar, UBLK_U_CMD_GET_DEV_INFO, &command);
	if (ret)
		return ret;
	memcpy(&info, note + command.dev_path_len, sizeof(info));
	take_info(liar->handle, &info);
	return 0;
}

/* The device of that number, made if it is not there. Returns 0 or -errno. */
static int get_device(struct liar *liar, struct dice *dice, unsigned int id)
{
	struct ublksrv_ctrl_dev_info info = control_any_info(dice, id, dice_chance(dice, 90));
	struct ublk_params params;
	int ret = ask_info(liar, dice, id);

	if (ret == -ENODEV) {
		if (liar->unprivileged)
			info.flags |= UBLK_F_UNPRIVILEGED_DEV;
		ask_with(liar, dice, UBLK_U_CMD_ADD_DEV, id, &info, sizeof(info));
		ret = ask_info(liar, dice, id);
	} else if (!ret && dice_chance(dice, 80)) {
		return 0;
	}
	if (ret)
		return ret;
	params = params_any(dice, &liar->handle->info, params_any_kind(dice));
	if (!ask_with(liar, dice, UBLK_U_CMD_SET_PARAMS, id, &params, sizeof(params)))
		return 0;
	/* It has none now, and without there is no disk. */
	params = params_any(dice, &liar->handle->info, PARAMS_SANE);
	ask_with(liar, dice, UBLK_U_CMD_SET_PARAMS, id, &params, sizeof(params));
	return 0;
}

/* What users have, too: see reader.c. */
static void share_memory(struct liar *liar, struct dice *dice)
{
	struct ublk_shmem_buf_reg reg = { .len = MEMORY_ROOM };
	unsigned int count = 1 + dice_below(dice, 4);

	while (count--) {
		reg.addr = memory_shared(dice);
		if (dice_chance(dice, 30))
			reg = (struct ublk_shmem_buf_reg) {
				.addr = (unsigned long)memory_share(),
				.len = SHARED_BYTES,
			};
		reg.flags = dice_chance(dice, 80) ? 0 : UBLK_SHMEM_BUF_READ_ONLY;
		ask_with(liar, dice, UBLK_U_CMD_REG_BUF, liar->handle->id, &reg, sizeof(reg));
	}
}

static enum ring_use io_ring_use(const struct liar *liar)
{
	return liar->handle->habit == HABIT_NARROW ? RING_NARROW : RING_IO;
}

static void open_rings(struct liar *liar, struct dice *dice)
{
	unsigned int i;

	for (i = 0; i < LIAR_RINGS; i++) {
		if (liar->rings[i].raw.fd >= 0 && dice_chance(dice, 30))
			continue;
		ring_close(&liar->rings[i]);
		ring_open(&liar->rings[i], dice, io_ring_use(liar));
	}
}

static void register_file(struct liar_ring *ring, int file)
{
	ring->fixed_file = !syscall(__NR_io_uring_register, ring->raw.fd, IORING_REGISTER_FILES,
				    &file, 1);
	report_made(WHAT_PROCESS, 1);
}

static void arm(struct liar *liar, struct dice *dice)
{
	bool batches = liar->handle->info.flags & UBLK_F_BATCH_IO;
	struct liar_ring *ring = liar_any_ring(liar, dice);

	if (batches)
		ring = batch_ring(liar, ring);
	if (dice_chance(dice, 20))
		register_file(ring, atomic_load(&liar->handle->chr));
	if (batches)
		batch_arm(liar, ring, dice);
	else
		command_fetch_all(liar, ring, dice);
	answer_reap(liar, ring);
}

/* Somebody of this process may have a device already: one can be served by many. */
static bool join(struct liar *liar)
{
	unsigned int i;

	for (i = 0; i < LIAR_HANDLES; i++) {
		if (atomic_load(&handles[i].chr) < 0)
			continue;
		liar->handle = &handles[i];
		return true;
	}
	return false;
}

static int open_device(struct liar *liar, struct dice *dice)
{
	struct handle *handle = liar->handle;
	int file;

	if (get_device(liar, dice, handle->id))
		return -1;
	report_made(WHAT_FILE, 1);
	file = raw_open_char(handle->id);
	if (file < 0)
		return -1;
	report_good(WHAT_FILE);
	file = atomic_exchange(&handle->chr, file);
	if (file >= 0)
		close(file);
	return 0;
}

/* Waits a little if all devices have a server: one that tries all the time keeps others away. */
static enum habit any_habit(const struct handle *handle, struct dice *dice)
{
	/* What a request left behind that moved nothing, the next one meets that has to wait. */
	if ((handle->info.flags & UBLK_F_SHMEM_ZC) && dice_chance(dice, 60))
		return HABIT_STALLS;
	return PICK(dice, HABIT_NONE, HABIT_NONE, HABIT_STALLS, HABIT_STALLS, HABIT_OWN_DISK,
		    HABIT_OWN_DISK, HABIT_NARROW);
}

uint64_t liar_data(const struct liar *liar, struct dice *dice)
{
	bool spare = !dice_chance(dice, 15);

	if (!spare && liar->handle->habit == HABIT_STALLS)
		return memory_that_never_comes(dice);
	if (!spare && liar->handle->habit == HABIT_OWN_DISK)
		return memory_of_disk(dice);
	return memory_data(dice);
}

static void come(struct liar *liar, struct dice *dice)
{
	struct handle *handle = &handles[dice_below(dice, LIAR_HANDLES)];

	if (liar->control.raw.fd < 0)
		ring_open(&liar->control, dice, RING_CONTROL);
	liar->lies = PICK(dice, 0, 0, 10, 30, 60, 95);
	if (dice_chance(dice, 70) && join(liar)) {
		handle = liar->handle;
	} else {
		liar->handle = handle;
		handle->id = control_own_id(liar, dice);
		if (open_device(liar, dice)) {
			raw_pause();
			return;
		}
		handle->habit = any_habit(handle, dice);
		map_descriptors(handle);
	}
	control_forge(liar, dice);
	open_rings(liar, dice);
	if (handle->info.flags & UBLK_F_SHMEM_ZC)
		share_memory(liar, dice);
	arm(liar, dice);
	control_start(liar, dice, handle->info.state == UBLK_S_DEV_QUIESCED ||
				  handle->info.state == UBLK_S_DEV_FAIL_IO);
}

static void close_device(struct handle *handle)
{
	int file = atomic_exchange(&handle->chr, -1);

	if (file >= 0)
		close(file);
	unmap_descriptors(handle);
}

/* In any order, and not always completely. */
static void leave(struct liar *liar, struct dice *dice)
{
	unsigned int steps = 1 + dice_below(dice, 6);

	while (steps--) {
		switch (dice_below(dice, 4)) {
		case 0:
			ring_close(&liar->rings[dice_below(dice, LIAR_RINGS)]);
			break;
		case 1:
			close_device(liar->handle);
			break;
		case 2:
			unmap_descriptors(liar->handle);
			break;
		default:
			ring_close(&liar->control);
			break;
		}
	}
}

/*
 * A server that was told to go closes the device, usually, and so does one that does not get it
 * going; as long as it does not, nobody can.
 */
static void serve(struct liar *liar, struct dice *dice)
{
	bool hopeless = dice_below(dice, 100) == 0 && !ask_info(liar, dice, liar->handle->id) &&
			liar->handle->info.state != UBLK_S_DEV_LIVE;

	if ((liar->sent_away || hopeless) && dice_chance(dice, 80))
		close_device(liar->handle);
	liar->sent_away = false;
	if (atomic_load(&liar->handle->chr) < 0)
		come(liar, dice);
	else
		answer_serve(liar, dice);
}

/* Who is no server itself needs one in its process. */
static bool has_device(struct liar *liar)
{
	if (atomic_load(&liar->handle->chr) >= 0 || join(liar))
		return true;
	raw_pause();
	return false;
}

static void send_commands(struct liar *liar, struct dice *dice)
{
	if (!has_device(liar))
		return;
	if ((liar->handle->info.flags & UBLK_F_BATCH_IO) && dice_chance(dice, 70))
		batch_burst(liar, dice);
	else
		command_burst(liar, dice);
}

static void use_file(struct liar *liar, struct dice *dice)
{
	if (has_device(liar))
		file_burst(liar, dice);
}

static void arm_again(struct liar *liar, struct dice *dice)
{
	if (atomic_load(&liar->handle->chr) >= 0)
		arm(liar, dice);
	control_start(liar, dice, dice_chance(dice, 50));
	control_reap(liar);
}

static void answer(struct liar *liar, struct dice *dice)
{
	if (has_device(liar))
		answer_serve(liar, dice);
}

static void change_rings(struct liar *liar, struct dice *dice)
{
	struct liar_ring *ring = liar_any_ring(liar, dice);

	ring_close(ring);
	ring_open(ring, dice, io_ring_use(liar));
}

static void flip(struct liar *liar, struct dice *dice)
{
	rings_flip(dice);
}

/* With zero copy it can end with nothing but the machine: its ring holds what its task waits for. */
static bool may_use_its_disk(const struct handle *handle)
{
	return handle->info.dev_id == handle->id && !raw_lends_pages(&handle->info);
}

static void change_memory(struct liar *liar, struct dice *dice)
{
	if (dice_below(dice, liar->handle->habit == HABIT_OWN_DISK ? 4 : 100))
		memory_change(dice);
	else if (may_use_its_disk(liar->handle))
		memory_map_disk(liar->handle->id, dice);
}

/* Entries and files of a ring that is the parent's. */
static void be_child(struct liar *liar, struct dice *dice)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(1);
	switch (dice_below(dice, 4)) {
	case 0:
		command_burst(liar, dice);
		break;
	case 1:
		file_burst(liar, dice);
		break;
	case 2:
		execl("/bin/sleep", "sleep", "0.1", NULL);
		break;
	default:
		pause();
		break;
	}
	_exit(0);
}

static void fork_child(struct liar *liar, struct dice *dice)
{
	pid_t pid = fork();

	if (pid == 0)
		be_child(liar, dice);
	report_made(WHAT_PROCESS, 1);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
}

static void end_process(struct liar *liar, struct dice *dice)
{
	report_made(WHAT_PROCESS, 1);
	switch (dice_below(dice, 4)) {
	case 0:
		_exit(0);
	case 1:
		alarm(1);
		execl("/bin/sleep", "sleep", "0.2", NULL);
		break;
	case 2:
		syscall(__NR_exit, 0);	/* this thread alone */
		break;
	default:
		kill(getpid(), SIGKILL);
		break;
	}
}

/* What ends a server must be rare, or none ever gets as far as to have something to lie about. */
static const struct act server_acts[] = {
	{ "serve", serve, 600 },
	{ "commands", send_commands, 80 },
	{ "control", control_burst, 30 },
	{ "file", use_file, 30 },
	{ "arm", arm_again, 4 },
	{ "forge", control_forge, 2 },
	{ "rings", change_rings, 1 },
	{ "leave", leave, 1 },
	{ "come", come, 1 },
	{ "end", end_process, 1 },
	{ NULL }
};

static const struct act vandal_acts[] = {
	{ "flip", flip, 200 },
	{ "commands", send_commands, 200 },
	{ "answer", answer, 50 },
	{ "memory", change_memory, 60 },
	{ "file", use_file, 60 },
	{ "control", control_burst, 40 },
	{ "fork", fork_child, 3 },
	{ "rings", change_rings, 1 },
	{ "end", end_process, 1 },
	{ NULL }
};

static const struct act controller_acts[] = {
	{ "control", control_burst, 150 },
	{ "flip", flip, 50 },
	{ "end", end_process, 1 },
	{ NULL }
};

const struct role role_server = { "server", server_acts };
const struct role role_vandal = { "vandal", vandal_acts };
const struct role role_controller = { "controller", controller_acts };
