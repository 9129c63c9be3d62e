// SPDX-License-Identifier: GPL-2.0-only
/*
 * fio writes and verifies while servers are killed, or sent away, one after the other. It sees
 * neither an error nor wrong data.
 */
// # timeout: 300
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "recoverable.h"

#define ROUNDS 5

FIXTURE(fio) {
	struct recoverable disk;
	pid_t pid;
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

TEST_F_TIMEOUT(fio, sees_no_error, 240)
{
	unsigned int rounds = 0, seed = 42;
	int status = -ETIME;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	self->pid = start_fio(self->disk.device.id);
	while (status == -ETIME) {
		int before = atomic_load(&self->disk.shared->caught);

		/* it is at work, and then at any moment */
		raw_await(&self->disk.shared->caught, before + 100, 2000);
		status = raw_reap(self->pid, rand_r(&seed) % 200);
		if (status != -ETIME)
			break;
		lose_server(_metadata, &self->disk, variant->quiesce);
		ASSERT_EQ(0, recoverable_await_state(&self->disk, UBLK_S_DEV_QUIESCED));
		ASSERT_EQ(0, recoverable_recover(&self->disk, SERVES));
		rounds++;
	}
	TH_LOG("%u servers were lost", rounds);
	EXPECT_EQ(0, status);
	EXPECT_LE(ROUNDS, rounds);
}

TEST_HARNESS_MAIN
