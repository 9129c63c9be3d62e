// SPDX-License-Identifier: GPL-2.0-only
/*
 * Zone append: data go to the write pointer, and the user learns where that is. A server that says
 * it is elsewhere is not believed. zonefs is what appends here, where it does.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "zoned_server.h"

#define LENGTH 16384

FIXTURE(zoned)
{
	struct raw_device device;
	struct disk *disk;
	pid_t server;
	int fd;
	char *memory;
};

FIXTURE_SETUP(zoned)
{
	self->fd = -1;
	self->memory = raw_pages(LENGTH);
	ASSERT_EQ(0, zoned_add(&self->device, &self->disk, &self->server));
}

FIXTURE_TEARDOWN(zoned)
{
	if (self->fd >= 0)
		close(self->fd);
	EXPECT_EQ(0, zoned_remove(&self->device, self->server));
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(zoned) *self)
{
	ASSERT_EQ(0, raw_start(self->device.id, self->server));
	self->fd = raw_open_block(self->device.id, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->fd);
}

/* zonefs, the one user of appends that needs no tools: a file per zone. */
struct zonefs_super {
	__le32 magic;
	__le32 crc;
	char label[64];
	__u8 uuid[16];
	__le64 features;
	__le32 uid;
	__le32 gid;
	__le32 perm;
	__u8 reserved[3988];
} __attribute__((packed));

static __u32 crc32_of(const void *data, size_t length)
{
	const __u8 *byte = data;
	__u32 crc = ~0U;
	int bit;

	while (length--) {
		crc ^= *byte++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}

/* Returns a file in zone 2, the first sequential one, or -1. */
static int open_zone_file(struct __test_metadata *_metadata, FIXTURE_DATA(zoned) *self)
{
	struct zonefs_super *super = (void *)self->memory;
	char disk[32];
	int file;

	memset(super, 0, sizeof(*super));
	super->magic = 0x5a4f4653;
	super->perm = 0600;
	super->uuid[0] = 1;
	super->crc = crc32_of(super, sizeof(*super));
	if (pwrite(self->fd, super, sizeof(*super), 0) != sizeof(*super))
		return -1;
	snprintf(disk, sizeof(disk), "/dev/ublkb%d", self->device.id);
	if (mkdir("/tmp/zonefs", 0700) && errno != EEXIST)
		return -1;
	if (mount(disk, "/tmp/zonefs", "zonefs", 0, "errors=repair")) {
		TH_LOG("zonefs: %s", strerror(errno));
		return -1;
	}
	file = open("/tmp/zonefs/seq/0", O_WRONLY | O_DIRECT | O_SYNC);
	return file;
}

/* 6.1's reports an error for every append, on any disk. */
static bool zonefs_is_broken(void)
{
	struct utsname name;

	return !uname(&name) && !strncmp(name.release, "6.1.", 4);
}

static bool appends(const FIXTURE_DATA(zoned) *self)
{
	return atomic_load(&self->disk->operations[UBLK_IO_OP_ZONE_APPEND]);
}

TEST_F(zoned, appends_go_to_the_pointer)
{
	int file, i;

	if (zonefs_is_broken())
		SKIP(return, "this kernel's zonefs cannot append");
	start(_metadata, self);
	file = open_zone_file(_metadata, self);
	ASSERT_LE(0, file);
	for (i = 0; i < 4; i++) {
		raw_fill(self->memory, zone_start(2) * 512 + i * LENGTH, LENGTH);
		EXPECT_EQ(LENGTH, pwrite(file, self->memory, LENGTH, i * LENGTH));
	}
	close(file);
	EXPECT_EQ(0, umount("/tmp/zonefs"));
	if (!appends(self))
		SKIP(return, "this kernel's zonefs does not append");
	EXPECT_TRUE(raw_matches(self->disk->data + zone_start(2) * 512, zone_start(2) * 512,
				4 * LENGTH));
}

static void append_with(struct __test_metadata *_metadata, FIXTURE_DATA(zoned) *self,
			enum lie lie)
{
	bool append;
	int file;

	start(_metadata, self);
	file = open_zone_file(_metadata, self);
	ASSERT_LE(0, file);
	EXPECT_EQ(LENGTH, pwrite(file, self->memory, LENGTH, 0));
	append = appends(self);
	if (append) {
		self->disk->lie = lie;
		EXPECT_EQ(-1, pwrite(file, self->memory, LENGTH, LENGTH));
		EXPECT_EQ(EIO, errno);
		self->disk->lie = HONEST;
	}
	close(file);
	EXPECT_EQ(0, umount("/tmp/zonefs"));
	if (!append)
		SKIP(return, "this kernel's zonefs does not append");
}

#define LIE(name, lie) \
TEST_F(zoned, name) \
{ \
	if (zonefs_is_broken()) \
		SKIP(return, "this kernel's zonefs cannot append"); \
	append_with(_metadata, self, lie); \
}

LIE(an_append_to_the_zone_before_fails, APPEND_BEFORE)
LIE(an_append_behind_the_zone_fails, APPEND_BEHIND)

TEST_F(zoned, an_append_to_the_middle_of_a_block_fails)
{
	if (zonefs_is_broken())
		SKIP(return, "this kernel's zonefs cannot append");
	self->device.params.basic.logical_bs_shift = 12;
	ASSERT_EQ(0, raw_set_params(self->device.id, &self->device.params));
	append_with(_metadata, self, APPEND_ASKEW);
}

LIE(a_short_append_fails, APPEND_SHORT)

TEST_HARNESS_MAIN
