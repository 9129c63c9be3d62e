// SPDX-License-Identifier: GPL-2.0-only
/*
 * fio writes and verifies while servers are killed, or sent away, one after the other. It sees
 * neither an error nor wrong data.
 */
// # timeout: 300
// # full-timeout: 14400
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "recoverable.h"

/* How many servers are lost, and how many as an exhaustive run. */
#define ROUNDS 5
#define ALL_ROUNDS 500

FIXTURE(fio) {
	struct recoverable disk;
};

FIXTURE_VARIANT(fio) {
	__u64 features;
	bool quiesce;
};

FIXTURE_VARIANT_ADD(fio, killed) {
	.features = UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE,
};
FIXTURE_VARIANT_ADD(fio, quiesced) {
	.features = UBLK_F_USER_RECOVERY | UBLK_F_QUIESCE,
	.quiesce = true,
};

FIXTURE_SETUP(fio)
{
	ASSERT_EQ(0, recoverable_add(&self->disk, variant->features, 2, 16));
}

FIXTURE_TEARDOWN(fio)
{
	EXPECT_EQ(0, recoverable_end(&self->disk));
}

static pid_t start_fio(int id)
{
	char file[64];
	pid_t pid = raw_fork();

	if (pid)
		return pid;
	snprintf(file, sizeof(file), "--filename=/dev/ublkb%d", id);
	execlp("fio", "fio", "--name=verify", file, "--rw=randwrite", "--bs=4k", "--size=48M",
	       "--direct=1", "--ioengine=libaio", "--iodepth=16", "--verify=crc32c", "--loops=3",
	       "--do_verify=1", "--verify_fatal=1", "--group_reporting", NULL);
	_exit(127);
}

static void lose_server(struct __test_metadata *_metadata, struct recoverable *disk, bool quiesce)
{
	if (!quiesce) {
		ASSERT_EQ(0, recoverable_kill(disk));
		return;
	}
	ASSERT_EQ(0, recoverable_quiesce(disk, RAW_DEADLINE));
	ASSERT_EQ(0, raw_reap(disk->pid, RAW_DEATH_DEADLINE));
	disk->pid = -1;
}

/* One after the other until fio has ended: returns how many. */
static unsigned int lose_servers(struct __test_metadata *_metadata, struct recoverable *disk,
				 bool quiesce, unsigned int *seed)
{
	pid_t fio = start_fio(disk->device.id);
	unsigned int rounds = 0;
	int status = -ETIME;

	while (status == -ETIME) {
		int before = atomic_load(&disk->shared->caught);

		/* it is at work, and then at any moment */
		raw_await(&disk->shared->caught, before + 100, 2000);
		status = raw_reap(fio, rand_r(seed) % 200);
		if (status != -ETIME)
			break;
		lose_server(_metadata, disk, quiesce);
		ASSERT_EQ(0, recoverable_await_state(disk, UBLK_S_DEV_QUIESCED));
		ASSERT_EQ(0, recoverable_recover(disk, SERVES));
		rounds++;
	}
	ASSERT_EQ(0, status);
	return rounds;
}

TEST_F_TIMEOUT(fio, sees_no_error, 14400)
{
	unsigned int wanted = raw_amount(ROUNDS, ALL_ROUNDS), rounds = 0, runs = 0, seed = 42;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	while (rounds < wanted) {
		rounds += lose_servers(_metadata, &self->disk, variant->quiesce, &seed);
		/* fio is never so fast that it sees none of them */
		ASSERT_LT(0, rounds);
		runs++;
	}
	printf("# figure: %u servers %s in %u runs of fio, no error, no wrong block\n", rounds,
	       variant->quiesce ? "sent away" : "killed", runs);
	/* The harness ends its child without that. */
	fflush(stdout);
}

TEST_HARNESS_MAIN
