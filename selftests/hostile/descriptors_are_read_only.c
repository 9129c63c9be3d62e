// SPDX-License-Identifier: GPL-2.0-only
/*
 * The map of the descriptors: exact offsets and lengths, one address space, and no way to write
 * to it (CVE-2026-89793). The character device has one server at a time.
 */
// # timeout: 60
#include <kselftest_harness.h>

#include <fcntl.h>

#include "raw.h"

#define DEPTH 8

FIXTURE(map)
{
	struct raw_device device;
	int chr;
	size_t length;
};

FIXTURE_SETUP(map)
{
	raw_none(&self->device, NULL);
	ASSERT_EQ(0, raw_add(&self->device, 2, DEPTH));
	self->chr = raw_open_char(self->device.id);
	ASSERT_LE(0, self->chr);
	self->length = raw_descriptor_bytes(DEPTH);
}

FIXTURE_TEARDOWN(map)
{
	int id = self->device.id;

	close(self->chr);
	EXPECT_EQ(0, raw_destroy(&self->device));
	EXPECT_EQ(0, raw_reuse(id));
}

static int try_map(int fd, size_t length, int protection, int flags, off_t offset)
{
	void *map = mmap(NULL, length, protection, flags, fd, offset);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, length);
	return 0;
}

/* What users of the disk do is no business of the server's children. */
TEST_F(map, is_no_childs)
{
	char *map = mmap(NULL, self->length, PROT_READ, MAP_SHARED, self->chr,
			 raw_descriptor_offset(0));
	pid_t child;

	ASSERT_NE(MAP_FAILED, map);
	child = raw_fork();
	if (!child) {
		unsigned char there;

		_exit(mincore(map, 4096, &there) == 0 || errno != ENOMEM);
	}
	EXPECT_EQ(0, raw_reap(child, RAW_DEADLINE));
	EXPECT_EQ(0, munmap(map, self->length));
}

TEST_F(map, every_queue_is_readable)
{
	unsigned int queue;

	for (queue = 0; queue < self->device.info.nr_hw_queues; queue++) {
		struct ublksrv_io_desc *map = mmap(NULL, self->length, PROT_READ, MAP_SHARED,
						   self->chr, raw_descriptor_offset(queue));
		unsigned char *bytes = (unsigned char *)map;
		size_t i;

		ASSERT_NE(MAP_FAILED, map);
		/* nothing of the kernel's is left in it */
		for (i = 0; i < self->length; i++)
			ASSERT_EQ(0, bytes[i]);
		munmap(map, self->length);
	}
}

TEST_F(map, not_writable)
{
	off_t offset = raw_descriptor_offset(0);

	EXPECT_GT(0, try_map(self->chr, self->length, PROT_WRITE, MAP_SHARED, offset));
	EXPECT_EQ(-EPERM, try_map(self->chr, self->length, PROT_READ | PROT_WRITE, MAP_SHARED,
				  offset));
	EXPECT_EQ(-EPERM, try_map(self->chr, self->length, PROT_READ | PROT_WRITE, MAP_PRIVATE,
				  offset));
}

TEST_F(map, never_becomes_writable)
{
	static const int kinds[] = { MAP_SHARED, MAP_PRIVATE };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		void *map = mmap(NULL, self->length, PROT_READ, kinds[i], self->chr,
				 raw_descriptor_offset(0));

		/* a private map may be refused altogether */
		if (kinds[i] == MAP_PRIVATE && map == MAP_FAILED)
			continue;
		ASSERT_NE(MAP_FAILED, map);
		EXPECT_EQ(-1, mprotect(map, self->length, PROT_READ | PROT_WRITE));
		EXPECT_EQ(EACCES, errno);
		EXPECT_EQ(-1, mprotect(map, self->length, PROT_WRITE));
		munmap(map, self->length);
	}
}

TEST_F(map, not_writable_through_proc_mem)
{
	struct ublksrv_io_desc *map = mmap(NULL, self->length, PROT_READ, MAP_SHARED, self->chr,
					   raw_descriptor_offset(0));
	struct ublksrv_io_desc fake;
	int fd = open("/proc/self/mem", O_RDWR);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, fd);
	memset(&fake, 0x5a, sizeof(fake));
	EXPECT_EQ(-1, pwrite(fd, &fake, sizeof(fake), (unsigned long)map));
	EXPECT_EQ(0, map->op_flags);
	EXPECT_EQ(0, map->addr);
	close(fd);
	munmap(map, self->length);
}

TEST_F(map, lengths_are_exact)
{
	off_t offset = raw_descriptor_offset(0);

	EXPECT_EQ(-EINVAL, try_map(self->chr, self->length + 4096, PROT_READ, MAP_SHARED, offset));
	EXPECT_EQ(-EINVAL, try_map(self->chr, 1 << 20, PROT_READ, MAP_SHARED, offset));
	EXPECT_GT(0, try_map(self->chr, 1UL << 40, PROT_READ, MAP_SHARED, offset));
	EXPECT_EQ(0, try_map(self->chr, self->length, PROT_READ, MAP_SHARED, offset));
	/* grown afterwards: no page follows */
	void *map = mmap(NULL, self->length, PROT_READ, MAP_SHARED, self->chr, offset);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(MAP_FAILED, mremap(map, self->length, self->length + 4096, MREMAP_MAYMOVE));
	munmap(map, self->length);
}

TEST_F(map, offsets_stay_inside)
{
	unsigned int queues = self->device.info.nr_hw_queues;

	EXPECT_EQ(-EINVAL, try_map(self->chr, self->length, PROT_READ, MAP_SHARED,
				   raw_descriptor_offset(queues)));
	EXPECT_EQ(-EINVAL, try_map(self->chr, self->length, PROT_READ, MAP_SHARED,
				   raw_descriptor_offset(4095)));
	EXPECT_EQ(-EINVAL, try_map(self->chr, self->length, PROT_READ, MAP_SHARED,
				   raw_descriptor_offset(65536)));
	EXPECT_EQ(-EINVAL, try_map(self->chr, self->length, PROT_READ, MAP_SHARED,
				   UBLKSRV_IO_BUF_OFFSET));
	EXPECT_GT(0, try_map(self->chr, self->length, PROT_READ, MAP_SHARED, 1ULL << 62));
	EXPECT_GT(0, try_map(self->chr, self->length, PROT_READ, MAP_SHARED,
			     INT64_MAX & ~4095LL));
	EXPECT_GT(0, try_map(self->chr, self->length, PROT_READ, MAP_SHARED, -4096));
	EXPECT_EQ(0, try_map(self->chr, self->length, PROT_READ, MAP_SHARED,
			     raw_descriptor_offset(queues - 1)));
}

/* A page further on there may be descriptors, too, but not those that were asked for. */
TEST_F(map, offsets_are_exact)
{
	off_t end = raw_descriptor_offset(self->device.info.nr_hw_queues), offset;

	for (offset = 0; offset < end; offset += 4096)
		EXPECT_EQ(offset % raw_descriptor_offset(1) ? -EINVAL : 0,
			  try_map(self->chr, self->length, PROT_READ, MAP_SHARED, offset)) {
			TH_LOG("offset %#lx", offset);
		}
}

TEST_F(map, another_process_does_not_get_it)
{
	pid_t pid;

	ASSERT_EQ(0, try_map(self->chr, self->length, PROT_READ, MAP_SHARED, 0));
	pid = raw_fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(-try_map(self->chr, self->length, PROT_READ, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL << 8, raw_reap(pid, RAW_DEADLINE));
}

/* A child may look at the map it inherited, and unmapping it there harms nobody. */
TEST_F(map, a_forked_map_is_read_only_too)
{
	char *map = mmap(NULL, self->length, PROT_READ, MAP_SHARED, self->chr, 0);
	pid_t pid;

	ASSERT_NE(MAP_FAILED, map);
	pid = raw_fork();
	ASSERT_LE(0, pid);
	if (pid == 0) {
		if (!mprotect(map, self->length, PROT_READ | PROT_WRITE))
			_exit(1);
		munmap(map, self->length);
		_exit(0);
	}
	EXPECT_EQ(0, raw_reap(pid, RAW_DEADLINE));
	EXPECT_EQ(0, *(volatile char *)map);
	munmap(map, self->length);
}

TEST_F(map, outlives_the_file)
{
	char *map = mmap(NULL, self->length, PROT_READ, MAP_SHARED, self->chr, 0);

	ASSERT_NE(MAP_FAILED, map);
	close(self->chr);
	self->chr = -1;
	EXPECT_EQ(0, *(volatile char *)map);
	munmap(map, self->length);
}

/* The map keeps the file, the file keeps the device: deleting waits, reading goes on. */
TEST_F(map, outlives_the_delete)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	char *map = mmap(NULL, self->length, PROT_READ, MAP_SHARED, self->chr, 0);
	struct raw_control control;

	ASSERT_NE(MAP_FAILED, map);
	close(self->chr);
	self->chr = -1;
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_DEL_DEV, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	EXPECT_EQ(0, *(volatile char *)map);
	munmap(map, self->length);
	EXPECT_EQ(0, raw_control_wait(&control, RAW_DEADLINE));
	raw_control_end(&control);
}

TEST_F(map, one_server_at_a_time)
{
	pid_t pid;

	EXPECT_EQ(-EBUSY, raw_open_char(self->device.id));
	pid = raw_fork();
	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(raw_open_char(self->device.id) == -EBUSY ? 0 : 1);
	EXPECT_EQ(0, raw_reap(pid, RAW_DEADLINE));
}

TEST_HARNESS_MAIN
