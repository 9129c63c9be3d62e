// SPDX-License-Identifier: GPL-2.0-only
/*
 * upheavals COUNT SEED: a disk is resized, and its server is sent away or killed and replaced, while two
 * users write and verify. They see neither an error nor wrong data.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "recoverable.h"
#include "user.h"

#define USERS 2
#define FEATURES (UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE | UBLK_F_QUIESCE | \
		  UBLK_F_UPDATE_SIZE)
/* The part that the users need. */
#define LEAST_BYTES ((__u64)USERS * USER_BLOCKS * USER_BLOCK)

enum upheaval { RESIZED, QUIESCED, KILLED, UPHEAVALS };

static const char *const names[] = { "resized", "sent away", "killed" };

static int expect(int found, const char *what)
{
	if (found)
		printf("%s is %d\n", what, found);
	return found;
}

static int disk_size(int id, __u64 *bytes)
{
	int fd = raw_open_block(id, O_RDONLY), ret;

	if (fd < 0)
		return fd;
	ret = ioctl(fd, BLKGETSIZE64, bytes) ? -errno : 0;
	close(fd);
	return ret;
}

static int resize(struct recoverable *disk, unsigned int *seed)
{
	__u64 pages = (RAW_DISK_BYTES - LEAST_BYTES) / USER_BLOCK, bytes = 0;
	__u64 wanted = LEAST_BYTES + rand_r(seed) % pages * USER_BLOCK;

	if (expect(recoverable_command(disk->device.id, UBLK_U_CMD_UPDATE_SIZE, wanted >> 9),
		   "UPDATE_SIZE") || expect(disk_size(disk->device.id, &bytes), "BLKGETSIZE64"))
		return -1;
	if (bytes == wanted)
		return 0;
	printf("the disk has %llu bytes instead of %llu\n", bytes, wanted);
	return -1;
}

static int replace(struct recoverable *disk, enum upheaval how)
{
	if (how == KILLED) {
		if (expect(recoverable_kill(disk), "the server's death"))
			return -1;
	} else {
		if (expect(recoverable_quiesce(disk, RAW_DEADLINE), "QUIESCE_DEV") ||
		    expect(raw_reap(disk->pid, RAW_DEATH_DEADLINE), "the server's end"))
			return -1;
		disk->pid = -1;
	}
	if (expect(recoverable_await_state(disk, UBLK_S_DEV_QUIESCED), "the wait for QUIESCED"))
		return -1;
	/* What is out goes on whenever the next one comes. */
	if (rand() % 2)
		usleep(rand() % 20000);
	return expect(recoverable_recover(disk, SERVES), "recovery");
}

static int upheave(struct recoverable *disk, unsigned int *seed, unsigned int *counts)
{
	enum upheaval what = rand_r(seed) % UPHEAVALS;

	counts[what]++;
	return what == RESIZED ? resize(disk, seed) : replace(disk, what);
}

int main(int count, char **arguments)
{
	unsigned int number, i, seed, counts[UPHEAVALS] = { 0 };
	struct user *users[USERS];
	struct recoverable disk;
	int failed, done = 0;

	if (count != 3)
		return 2;
	number = atoi(arguments[1]);
	seed = atoi(arguments[2]);
	srand(seed);
	if (expect(recoverable_add(&disk, FEATURES, 2, 4), "ADD_DEV") ||
	    expect(recoverable_start(&disk, SERVES), "START_DEV"))
		return 1;
	for (i = 0; i < USERS; i++)
		users[i] = user_start(disk.device.id, i * USER_BLOCKS, seed + i);

	failed = 0;
	for (i = 0; i < number && !failed; i++) {
		failed = upheave(&disk, &seed, counts);
		if (!failed && !user_does(users[i % USERS], 10)) {
			printf("user %u does not get on after upheaval %u\n", i % USERS, i);
			failed = 1;
		}
	}
	for (i = 0; i < USERS; i++) {
		done += atomic_load(&users[i]->done);
		failed |= !user_end(users[i]);
	}
	failed |= expect(recoverable_end(&disk), "the end");
	printf("# figure: a disk in use %s %u, its servers %s %u and %s %u times; %d transfers\n",
	       names[RESIZED], counts[RESIZED], names[QUIESCED], counts[QUIESCED], names[KILLED],
	       counts[KILLED], done);
	return failed ? 1 : 0;
}
