// SPDX-License-Identifier: GPL-2.0-only
/*
 * Starts the processes of all seats, ends them at random, and replaces them. Every few seconds all
 * of them must end: whoever is killed dies, every device can be deleted, nothing is left.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "liar.h"

/*
 * Lives and epochs are counted in operations of all, so that a slow machine does as much in each of
 * them. The time is for when everybody waits; it is shorter than what the kernel calls a hung task,
 * because users may wait for a liar so long.
 */
#define EPOCH_OPERATIONS 40000
#define EPOCH_MS 12000
#define EPOCH_MS_IDLE 500
#define LIFE_OPERATIONS 30000

/* How long everything may take to end. */
#define END_MS 30000
#define END_MS_DEAF 2000

#define LOOK_MS 500
#define CLASS "/sys/class/ublk-char"
#define USES "/sys/module/ublk_drv/refcnt"

#define MOST_DEVICES 256
#define MOST_DYING 64

struct worker {
	pid_t pid;		/* 0: none */
	unsigned int generation;
	unsigned long dies_at;	/* so many operations */
};

static struct worker workers[LIAR_MAX_SEATS];
static pid_t dying[MOST_DYING];		/* told to end, not gone yet */
static unsigned int dying_count;
static struct dice fate;
static int uses_before;

static void start_worker(const struct run *run, unsigned int seat)
{
	struct worker *worker = &workers[seat];
	unsigned int generation = worker->generation++;

	worker->dies_at = seats[seat].honest ? ULONG_MAX :
						report_total() + dice_below(&fate, LIFE_OPERATIONS);
	worker->pid = fork();
	if (worker->pid == 0)
		seat_run(run->seed, seat, generation);
	if (worker->pid < 0) {
		report_failure("cannot fork: %s", strerror(errno));
		worker->pid = 0;
	}
	report_made(WHAT_PROCESS, 1);
}

/* Whatever it waits for, it must be gone by the end of the epoch. */
static void end_worker(struct worker *worker)
{
	if (!worker->pid)
		return;
	kill(worker->pid, staged == STAGED_DEAF ? SIGTERM : SIGKILL);
	dying[dying_count++] = worker->pid;
	worker->pid = 0;
}

static void forget(pid_t pid)
{
	unsigned int i;

	for (i = 0; i < seat_count; i++)
		if (workers[i].pid == pid)
			workers[i].pid = 0;
	for (i = 0; i < dying_count; i++)
		if (dying[i] == pid)
			dying[i--] = dying[--dying_count];
}

/* Returns whether there are children left. Grandchildren without a parent are ours, too. */
static bool reap_children(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		forget(pid);
	return pid == 0 || errno != ECHILD;
}

/* What a rule of udev would do: the nodes of a user's device become the user's. */
static void give_node(const char *kind, unsigned int id)
{
	struct stat status;
	char path[32];

	snprintf(path, sizeof(path), "/dev/ublk%s%u", kind, id);
	if (!stat(path, &status) && status.st_uid != LIAR_NOBODY &&
	    chown(path, LIAR_NOBODY, LIAR_NOBODY) && errno != ENOENT)
		report_failure("cannot give away %s: %s", path, strerror(errno));
}

/* A folder of ours alone, where nodes are no devices. */
static int mount_forgery(void)
{
	unsigned long flags = staged == STAGED_FORGED ? 0 : MS_NODEV;

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	if (mkdir(FORGED_FOLDER, 0755) && errno != EEXIST)
		return -1;
	return mount("liar", FORGED_FOLDER, "tmpfs", flags | MS_NOSUID | MS_NOEXEC, "mode=0755");
}

static void add_others_device(void)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);
	int ret;

	info.dev_id = LIAR_OTHERS_ID;
	info.flags = UBLK_F_UNPRIVILEGED_DEV;
	ret = raw_add_info(&info);
	if (ret)
		report_failure("device %d cannot be added: %d", LIAR_OTHERS_ID, ret);
}

/* A new device may have another number. */
static void forge_node(void)
{
	struct stat real, forged;
	char path[32];

	snprintf(path, sizeof(path), "/dev/ublkc%d", LIAR_OTHERS_ID);
	if (stat(path, &real))
		return;
	if (!stat(FORGED_NODE, &forged) && forged.st_rdev == real.st_rdev)
		return;
	unlink(FORGED_NODE);
	if (mknod(FORGED_NODE, S_IFCHR | 0666, real.st_rdev) ||
	    chown(FORGED_NODE, LIAR_NOBODY, LIAR_NOBODY))
		report_failure("cannot make %s: %s", FORGED_NODE, strerror(errno));
}

static void look_at_devices(void)
{
	struct ublksrv_ctrl_dev_info info;
	unsigned int id;

	forge_node();
	for (id = LIAR_FIRST_ID; id < LIAR_FIRST_ID + LIAR_IDS; id++) {
		shared->looks++;
		if (raw_get_info(id, &info))
			continue;
		shared->alive += info.state == UBLK_S_DEV_LIVE;
		if (!(info.flags & UBLK_F_UNPRIVILEGED_DEV))
			continue;
		give_node("c", id);
		give_node("b", id);
	}
}

static void run_epoch(const struct run *run)
{
	unsigned long last = report_total() + EPOCH_OPERATIONS;
	long long end = raw_now_ms() + (staged == STAGED_IDLE ? EPOCH_MS_IDLE : EPOCH_MS);
	long long look_at = 0;
	unsigned int i;

	if (last > run->operations)
		last = run->operations;
	add_others_device();
	/* Enough room for the end of all seats must be left. */
	while (raw_now_ms() < end && report_total() < last && !shared->failed &&
	       dying_count < MOST_DYING - 2 * LIAR_MAX_SEATS) {
		reap_children();
		for (i = 0; i < seat_count; i++) {
			if (workers[i].pid && report_total() > workers[i].dies_at)
				end_worker(&workers[i]);
			if (!workers[i].pid)
				start_worker(run, i);
		}
		if (raw_now_ms() > look_at) {
			look_at_devices();
			look_at = raw_now_ms() + LOOK_MS;
		}
		raw_pause();
	}
	report_await();
}

static int find_devices(unsigned int *ids, bool spare_honest)
{
	DIR *directory = opendir(CLASS);
	struct dirent *entry;
	int count = 0;

	while (directory && (entry = readdir(directory)))
		if (count < MOST_DEVICES && sscanf(entry->d_name, "ublkc%u", &ids[count]) == 1)
			count += !spare_honest || ids[count] != LIAR_HONEST_ID;
	if (directory)
		closedir(directory);
	return count;
}

static void wait_for_delete(unsigned int id, struct raw_control *control, long long end)
{
	long long left = end - raw_now_ms();
	int ret = raw_control_wait(control, left > 0 ? left : 0);

	if (ret == -ETIME) {
		raw_show_waiters();
		raw_control_cancel(control);
	}
	raw_control_end(control);
	if (ret && ret != -ENODEV)
		report_failure("device %u cannot be deleted: %s", id, strerror(-ret));
}

/* All at once: who has one of them open may be waiting for a server of another. */
static void delete_devices(bool spare_honest, long long end)
{
	static struct raw_control controls[MOST_DEVICES];
	unsigned int ids[MOST_DEVICES];
	int count = find_devices(ids, spare_honest), begun, ret = 0;

	for (begun = 0; begun < count; begun++) {
		struct ublksrv_ctrl_cmd command = raw_command_for(ids[begun]);

		ret = raw_control_begin(&controls[begun], UBLK_U_CMD_DEL_DEV, &command);
		if (ret)
			break;
	}
	if (ret)
		report_failure("DEL_DEV cannot be sent: %s", strerror(-ret));
	while (begun--)
		wait_for_delete(ids[begun], &controls[begun], end);
}

/* While everybody is still at it. Who waits for a liar is interrupted, which is no failure. */
static void stop_devices(void)
{
	unsigned int id;

	for (id = LIAR_FIRST_ID; id < LIAR_FIRST_ID + LIAR_IDS; id++) {
		struct ublksrv_ctrl_cmd command = raw_command_for(id);
		struct raw_control control;

		if (raw_control_begin(&control, UBLK_U_CMD_DEL_DEV, &command))
			continue;
		if (raw_control_wait(&control, dice_below(&fate, 200)) == -ETIME)
			raw_control_cancel(&control);
		raw_control_end(&control);
	}
}

static void end_seats(bool users, bool honest)
{
	unsigned int i;

	for (i = 0; i < seat_count; i++)
		if (seats[i].user == users && seats[i].honest == honest)
			end_worker(&workers[i]);
}

static int count_uses(void)
{
	FILE *file = fopen(USES, "r");
	int uses = -1;

	if (file) {
		if (fscanf(file, "%d", &uses) != 1)
			uses = -1;
		fclose(file);
	}
	return uses;
}

/* True if it came true in time. */
static bool wait_for_all(bool (*nothing_left)(void), long long end)
{
	while (!nothing_left()) {
		if (raw_now_ms() > end)
			return false;
		raw_pause();
	}
	return true;
}

static bool no_children(void)
{
	return !reap_children();
}

static bool none_dying(void)
{
	reap_children();
	return !dying_count;
}

static bool no_uses(void)
{
	return count_uses() == uses_before;
}

static void leave_device(void)
{
	struct raw_device device;

	if (staged == STAGED_DEVICE)
		raw_add(&device, 1, 1);
}

/* Users first or servers first, or the devices while all are there. */
static void end_epoch(void)
{
	long long end = raw_now_ms() + END_MS;
	unsigned int ids[MOST_DEVICES];

	switch (dice_below(&fate, 3)) {
	case 0:
		end_seats(true, false);
		break;
	case 1:
		end_seats(false, false);
		break;
	default:
		stop_devices();
		break;
	}
	end_seats(true, false);
	end_seats(false, false);
	delete_devices(true, end);
	if (staged == STAGED_DEAF)
		end = raw_now_ms() + END_MS_DEAF;
	/* No user may see the honest server go, so the others must be dead before. */
	if (!wait_for_all(none_dying, end)) {
		report_failure("process %d was killed and does not end", dying[0]);
		return;
	}
	end_seats(false, true);
	delete_devices(false, end);
	leave_device();
	if (!wait_for_all(no_children, end))
		report_failure("a process does not end");
	else if (find_devices(ids, false))
		report_failure("device %u is left", ids[0]);
	else if (!wait_for_all(no_uses, end))
		report_failure("the module's use count is %d, and was %d", count_uses(),
			       uses_before);
}

int supervise_set_up(void)
{
	unsigned int ids[MOST_DEVICES];

	/* Orphans are ours then. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) || chmod("/dev/ublk-control", 0666)) {
		perror("/dev/ublk-control");
		return -1;
	}
	if (mount_forgery()) {
		perror(FORGED_FOLDER);
		return -1;
	}
	if (find_devices(ids, false)) {
		fprintf(stderr, "there are devices already: those are not mine to delete\n");
		return -1;
	}
	uses_before = count_uses();
	return 0;
}

/* Those that there are without anybody doing anything do not count. */
static unsigned long acts_made(void)
{
	return report_total() - atomic_load(&shared->made[WHAT_PROCESS]);
}

void supervise(struct run *run)
{
	while (report_total() < run->operations && !shared->failed) {
		unsigned long before = acts_made();

		fate = dice_from(run->seed, UINT32_MAX - run->epochs++);
		run_epoch(run);
		end_epoch();
		if (acts_made() == before)
			report_failure("this proves nothing: nobody did anything");
	}
	if (shared->failed)
		report_stacks(dying, dying_count);
}

/* What was really found is left as it is, to be looked at. */
void supervise_end(void)
{
	long long end = raw_now_ms() + END_MS;
	unsigned int i;

	if (staged != STAGED_NOTHING) {
		while (dying_count)
			kill(dying[--dying_count], SIGKILL);
		for (i = 0; i < seat_count; i++)
			if (workers[i].pid)
				kill(workers[i].pid, SIGKILL);
		wait_for_all(no_children, end);
		delete_devices(false, end);
	}
	chmod("/dev/ublk-control", 0600);
	umount2(FORGED_FOLDER, MNT_DETACH);
	rmdir(FORGED_FOLDER);
}
