// SPDX-License-Identifier: GPL-2.0-only
/*
 * partition_scans COUNT SEED: somebody looks for partitions, at the start or when asked to, and the
 * server that should answer is dead, dies meanwhile or never answers. Whoever looks gets an end,
 * and the device can be deleted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "recoverable.h"

#define RECOVERY (UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE)

static const __u64 features[] = {
	0, RECOVERY, UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_FAIL_IO, UBLK_F_NO_AUTO_PART_SCAN
};

static int expect(int found, const char *what)
{
	if (found)
		printf("%s is %d\n", what, found);
	return found;
}

/* Look for partitions, in a process of its own. */
static pid_t look(int id)
{
	pid_t pid = raw_fork();
	int fd;

	if (pid)
		return pid;
	fd = raw_open_block(id, O_RDONLY);
	if (fd >= 0)
		ioctl(fd, BLKRRPART);
	_exit(0);
}

static int scan(unsigned int *seed)
{
	enum recoverable_server kind = rand_r(seed) % 2 ? HOLDS_ALL : SERVES;
	bool dies_first = rand_r(seed) % 2;
	struct recoverable disk;
	pid_t looker;

	if (expect(recoverable_add(&disk, features[rand_r(seed) % 4], 1, 4), "ADD_DEV") ||
	    expect(recoverable_start(&disk, kind), "START_DEV"))
		return -1;
	if (dies_first && expect(recoverable_kill(&disk), "the server's death"))
		return -1;
	looker = look(disk.device.id);
	usleep(rand_r(seed) % 30000);
	if (expect(recoverable_kill(&disk), "the server's death") ||
	    expect(recoverable_end(&disk), "deleting"))
		return -1;
	/* if he comes too late, he waits for a modprobe, too */
	return expect(raw_reap(looker, RAW_DEADLINE), "the end of who looks");
}

int main(int count, char **arguments)
{
	unsigned int number, seed, i;

	if (count != 3)
		return 2;
	number = atoi(arguments[1]);
	seed = atoi(arguments[2]);
	for (i = 0; i < number; i++) {
		if (scan(&seed)) {
			printf("scan %u of %u went wrong\n", i, number);
			return 1;
		}
	}
	printf("# figure: %u searches for partitions without a server that answers\n", number);
	return 0;
}
