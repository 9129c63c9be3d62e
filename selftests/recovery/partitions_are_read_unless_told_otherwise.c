// SPDX-License-Identifier: GPL-2.0-only
/*
 * A started disk is searched for partitions, unless it has UBLK_F_NO_AUTO_PART_SCAN; then it is
 * when somebody asks for that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/fs.h>

#include "kselftest_harness.h"
#include "recoverable.h"

FIXTURE(partitions) {
	struct recoverable disk;
};

FIXTURE_VARIANT(partitions) {
	__u64 features;
};

FIXTURE_VARIANT_ADD(partitions, searched_for) { .features = 0 };
FIXTURE_VARIANT_ADD(partitions, left_alone) { .features = UBLK_F_NO_AUTO_PART_SCAN };

FIXTURE_SETUP(partitions)
{
	unsigned char *entry;

	ASSERT_EQ(0, recoverable_add(&self->disk, variant->features, 1, 4));
	ASSERT_EQ(variant->features, self->disk.device.info.flags & variant->features);
	/* one partition in a DOS label: from sector 2048, 2048 sectors */
	entry = (unsigned char *)self->disk.disk + 446;
	entry[4] = 0x83;
	entry[9] = 0x08;
	entry[13] = 0x08;
	self->disk.disk[510] = 0x55;
	self->disk.disk[511] = 0xaa;
}

FIXTURE_TEARDOWN(partitions)
{
	EXPECT_EQ(0, recoverable_end(&self->disk));
}

static bool appears(int id, int wait_ms)
{
	long long end = raw_now_ms() + wait_ms;
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/ublkb%dp1", id, id);
	while (access(path, F_OK)) {
		if (raw_now_ms() > end)
			return false;
		raw_pause();
	}
	return true;
}

TEST_F(partitions, at_the_start)
{
	int fd;

	ASSERT_EQ(0, recoverable_start(&self->disk, SERVES));
	if (!variant->features) {
		EXPECT_TRUE(appears(self->disk.device.id, RAW_DEADLINE));
		return;
	}
	EXPECT_FALSE(appears(self->disk.device.id, 500));
	fd = raw_open_block(self->disk.device.id, O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_FALSE(appears(self->disk.device.id, 500));
	EXPECT_EQ(0, ioctl(fd, BLKRRPART));
	EXPECT_TRUE(appears(self->disk.device.id, RAW_DEADLINE));
	close(fd);
}

TEST_HARNESS_MAIN
