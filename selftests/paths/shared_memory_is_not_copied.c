// SPDX-License-Identifier: GPL-2.0-only
/*
 * UBLK_F_SHMEM_ZC: a request in memory that the server has registered is delivered by its place,
 * and the driver copies none of it, which its tracepoint proves. Everything else is copied.
 */
// # timeout: 240
#include <kselftest_harness.h>

#include <linux/capability.h>
#include <linux/memfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "raw.h"

#define LENGTH 16384
#define POISON 0xee
#define HUGE (2UL << 20)
#define TRACING "/sys/kernel/tracing"

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC), ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static void start_counting(struct __test_metadata *_metadata)
{
	if (access(TRACING "/trace", F_OK))
		ASSERT_EQ(0, mount("none", TRACING, "tracefs", 0, NULL));
	ASSERT_EQ(0, write_file(TRACING "/events/ublk/ublk_copy/enable", "1"));
	ASSERT_EQ(0, write_file(TRACING "/trace", ""));
}

/* How many copies the driver made for device @id since the last start. */
static unsigned int copies(int id)
{
	FILE *trace = fopen(TRACING "/trace", "r");
	unsigned int count = 0;
	char line[512], wanted[64];

	snprintf(wanted, sizeof(wanted), "ublk_copy: dev=%d ", id);
	while (trace && fgets(line, sizeof(line), trace))
		count += strstr(line, wanted) != NULL;
	if (trace)
		fclose(trace);
	return count;
}

static long free_huge_pages(void)
{
	FILE *info = fopen("/proc/meminfo", "r");
	char line[128];
	long count = -1;

	while (info && fgets(line, sizeof(line), info))
		sscanf(line, "HugePages_Free: %ld", &count);
	if (info)
		fclose(info);
	return count;
}

/* The same memory twice: as the server sees it, and as a user of the disk does. */
struct twice {
	char *server;
	char *user;
	size_t size;
};

static int map_twice(struct twice *memory, size_t size, unsigned int flags)
{
	int fd = syscall(__NR_memfd_create, "shared", flags);

	if (fd < 0 || ftruncate(fd, size))
		return -errno;
	memory->size = size;
	memory->server = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	memory->user = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (memory->server == MAP_FAILED || memory->user == MAP_FAILED)
		return -ENOMEM;
	memset(memory->server, POISON, size);
	return 0;
}

static void unmap_twice(struct twice *memory)
{
	munmap(memory->server, memory->size);
	munmap(memory->user, memory->size);
}

static int reg(int id, const struct ublk_shmem_buf_reg *buffer)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.addr = (unsigned long)buffer;
	command.len = sizeof(*buffer);
	return raw_control(UBLK_U_CMD_REG_BUF, &command);
}

static int reg_memory(int id, const void *memory, size_t size, unsigned int flags)
{
	struct ublk_shmem_buf_reg buffer = {
		.addr = (unsigned long)memory,
		.len = size,
		.flags = flags,
	};

	return reg(id, &buffer);
}

static struct ublksrv_ctrl_cmd unreg_command(int id, __u64 index)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.data[0] = index;
	return command;
}

static int unreg(int id, __u64 index)
{
	struct ublksrv_ctrl_cmd command = unreg_command(id, index);

	return raw_control(UBLK_U_CMD_UNREG_BUF, &command);
}

FIXTURE(shared)
{
	struct raw_device device;
	struct raw_server server;
	struct twice memory;
	long huge_pages;
};

FIXTURE_VARIANT(shared)
{
	unsigned int memfd;
	__u64 features;
};

FIXTURE_VARIANT_ADD(shared, huge_pages) { .memfd = MFD_HUGETLB | MFD_HUGE_2MB };
FIXTURE_VARIANT_ADD(shared, single_pages) { .memfd = 0 };
FIXTURE_VARIANT_ADD(shared, beside_get_data) { .features = UBLK_F_NEED_GET_DATA };
FIXTURE_VARIANT_ADD(shared, beside_user_copy) { .features = UBLK_F_USER_COPY };

FIXTURE_SETUP(shared)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 2);

	raw_none(&self->device, &self->server);
	if (variant->memfd)
		ASSERT_EQ(0, write_file("/proc/sys/vm/nr_hugepages", "4"));
	self->huge_pages = free_huge_pages();
	ASSERT_EQ(0, map_twice(&self->memory, 2 * HUGE, variant->memfd));
	info.flags = UBLK_F_SHMEM_ZC | variant->features;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_TRUE(self->device.info.flags & UBLK_F_SHMEM_ZC);
	ASSERT_EQ(0, raw_server_open(&self->server, &self->device, 0));
	ASSERT_EQ(0, raw_server_start(&self->server));
}

FIXTURE_TEARDOWN(shared)
{
	EXPECT_EQ(0, self->server.fault);
	EXPECT_EQ(0, raw_finish(&self->device, &self->server));
	unmap_twice(&self->memory);
	/* nothing is pinned any more */
	EXPECT_EQ(self->huge_pages, free_huge_pages());
	write_file(TRACING "/events/ublk/ublk_copy/enable", "0");
}

static void obtain(struct __test_metadata *_metadata, FIXTURE_DATA(shared) *self,
		   struct raw_io *io, enum raw_io_kind kind, char *memory,
		   struct raw_request *request)
{
	ASSERT_EQ(0, raw_io_start(io, &self->device, kind, memory, LENGTH, RAW_TEST_OFFSET));
	ASSERT_TRUE(raw_catch(&self->server, request));
	ASSERT_EQ(LENGTH, raw_request_bytes(request));
}

static void finish(struct __test_metadata *_metadata, FIXTURE_DATA(shared) *self,
		   struct raw_io *io, const struct raw_request *request)
{
	EXPECT_EQ(RAW_PARKED, raw_commit(&self->server, request, LENGTH));
	EXPECT_EQ(LENGTH, raw_io_wait(io, &self->server, RAW_DEADLINE));
}

static bool is_shared(const struct raw_request *request)
{
	return request->descriptor.op_flags & UBLK_IO_F_SHMEM_ZC;
}

/* The whole way in both directions, at every kind of offset. */
TEST_F(shared, data_are_where_both_see_them)
{
	static const unsigned int offsets[] = { 0, 512, 4096, HUGE - 4096, HUGE - 8192 - 512,
						2 * HUGE - LENGTH };
	struct raw_request request;
	unsigned int i, index;
	struct raw_io io;

	/* the third one, so that the index is not 0 */
	ASSERT_EQ(0, reg_memory(self->device.id, raw_pages(4096), 4096, 0));
	ASSERT_EQ(1, reg_memory(self->device.id, raw_pages(4096), 4096, 0));
	index = reg_memory(self->device.id, self->memory.server, self->memory.size, 0);
	ASSERT_EQ(2, index);
	/* the search for partitions is copied, so it must be over */
	obtain(_metadata, self, &io, RAW_WRITE, self->memory.user, &request);
	finish(_metadata, self, &io, &request);

	start_counting(_metadata);
	for (i = 0; i < ARRAY_SIZE(offsets); i++) {
		char *server = self->memory.server + offsets[i];
		char *user = self->memory.user + offsets[i];

		raw_fill(user, RAW_TEST_OFFSET, LENGTH);
		obtain(_metadata, self, &io, RAW_WRITE, user, &request);
		EXPECT_FALSE(request.offered);
		ASSERT_TRUE(is_shared(&request));
		EXPECT_EQ(ublk_shmem_zc_addr(index, offsets[i]), request.descriptor.addr);
		EXPECT_TRUE(raw_matches(server, RAW_TEST_OFFSET, LENGTH));
		finish(_metadata, self, &io, &request);

		memset(user, POISON, LENGTH);
		obtain(_metadata, self, &io, RAW_READ, user, &request);
		ASSERT_TRUE(is_shared(&request));
		EXPECT_EQ(ublk_shmem_zc_addr(index, offsets[i]), request.descriptor.addr);
		raw_fill(server, RAW_TEST_OFFSET, LENGTH);
		finish(_metadata, self, &io, &request);
		EXPECT_TRUE(raw_matches(user, RAW_TEST_OFFSET, LENGTH));
		memset(user, POISON, LENGTH);
	}
	EXPECT_EQ(0, copies(self->device.id));
}

TEST_F(shared, other_memory_is_copied)
{
	struct raw_request request;
	char *memory = raw_pages(LENGTH);
	struct raw_io io;

	/* then it is the server that copies */
	if (variant->features & UBLK_F_USER_COPY)
		return;
	ASSERT_EQ(0, reg_memory(self->device.id, self->memory.server, HUGE, 0));
	start_counting(_metadata);
	raw_fill(memory, RAW_TEST_OFFSET, LENGTH);
	obtain(_metadata, self, &io, RAW_WRITE, memory, &request);
	EXPECT_FALSE(is_shared(&request));
	EXPECT_TRUE(raw_matches(raw_buffer(&self->server, 0, request.tag), RAW_TEST_OFFSET,
				LENGTH));
	finish(_metadata, self, &io, &request);
	/* begins in the buffer and ends behind it */
	raw_fill(self->memory.user + HUGE - 4096, RAW_TEST_OFFSET, LENGTH);
	obtain(_metadata, self, &io, RAW_WRITE, self->memory.user + HUGE - 4096, &request);
	EXPECT_FALSE(is_shared(&request));
	EXPECT_TRUE(raw_matches(raw_buffer(&self->server, 0, request.tag), RAW_TEST_OFFSET,
				LENGTH));
	finish(_metadata, self, &io, &request);
	EXPECT_LE(2, copies(self->device.id));
}

TEST_F(shared, a_read_only_buffer_is_not_read_into)
{
	struct raw_request request;
	struct raw_io io;

	ASSERT_EQ(0, mprotect(self->memory.server, self->memory.size, PROT_READ));
	EXPECT_EQ(-EFAULT, reg_memory(self->device.id, self->memory.server, HUGE, 0));
	ASSERT_EQ(0, reg_memory(self->device.id, self->memory.server, HUGE,
				UBLK_SHMEM_BUF_READ_ONLY));
	raw_fill(self->memory.user, RAW_TEST_OFFSET, LENGTH);
	obtain(_metadata, self, &io, RAW_WRITE, self->memory.user, &request);
	EXPECT_TRUE(is_shared(&request));
	EXPECT_TRUE(raw_matches(self->memory.server, RAW_TEST_OFFSET, LENGTH));
	finish(_metadata, self, &io, &request);

	obtain(_metadata, self, &io, RAW_READ, self->memory.user, &request);
	EXPECT_FALSE(is_shared(&request));
	finish(_metadata, self, &io, &request);
}

TEST_F(shared, unregistering_waits_for_the_requests_inside)
{
	struct ublksrv_ctrl_cmd command = unreg_command(self->device.id, 0);
	struct raw_control control;
	struct raw_request request;
	struct raw_io io;
	int result;

	ASSERT_EQ(0, reg_memory(self->device.id, self->memory.server, HUGE, 0));
	raw_fill(self->memory.user, RAW_TEST_OFFSET, LENGTH);
	obtain(_metadata, self, &io, RAW_WRITE, self->memory.user, &request);
	ASSERT_TRUE(is_shared(&request));
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_UNREG_BUF, &command));
	EXPECT_EQ(-ETIME, raw_control_wait(&control, 200));
	EXPECT_EQ(-ENOENT, unreg(self->device.id, 0));
	/* its index is not free, and its pages are not in another one's way */
	EXPECT_EQ(1, reg_memory(self->device.id, self->memory.server, HUGE, 0));
	finish(_metadata, self, &io, &request);
	result = raw_control_wait(&control, RAW_DEADLINE);
	EXPECT_EQ(0, result);
	raw_control_end(&control);
	EXPECT_EQ(0, unreg(self->device.id, 1));
	EXPECT_EQ(-ENOENT, unreg(self->device.id, 1));

	obtain(_metadata, self, &io, RAW_WRITE, self->memory.user, &request);
	EXPECT_FALSE(is_shared(&request));
	finish(_metadata, self, &io, &request);
	EXPECT_EQ(0, reg_memory(self->device.id, self->memory.server, HUGE, 0));
}

TEST_F(shared, a_server_that_leaves_takes_its_buffers_along)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	int chr = -1;
	struct raw_request request;
	struct raw_io io;

	ASSERT_EQ(0, reg_memory(self->device.id, self->memory.server, HUGE, 0));
	obtain(_metadata, self, &io, RAW_WRITE, self->memory.user, &request);
	ASSERT_TRUE(is_shared(&request));
	raw_server_close(&self->server);
	EXPECT_EQ(-EIO, raw_io_wait(&io, NULL, RAW_DEATH_DEADLINE));
	/* when a new one can come, the old one has left */
	while (chr < 0 && raw_now_ms() < end)
		chr = raw_open_char(self->device.id);
	ASSERT_LE(0, chr);
	EXPECT_EQ(-ENOENT, unreg(self->device.id, 0));
	close(chr);
}

TEST_F(shared, bad_buffers)
{
	int id = self->device.id;
	struct ublk_shmem_buf_reg good = {
		.addr = (unsigned long)self->memory.server,
		.len = HUGE,
	}, b;
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

#define REFUSED(error, change) do { \
	b = good; \
	change; \
	EXPECT_EQ(-(error), reg(id, &b)) { \
		TH_LOG("accepted: %s", #change); \
	} \
} while (0)
	REFUSED(EINVAL, b.addr += 512);
	REFUSED(EINVAL, b.len = 0);
	REFUSED(EINVAL, b.len += 512);
	REFUSED(EINVAL, b.len = (4ULL << 30) + 4096);
	REFUSED(EINVAL, b.len = ~0ULL & ~4095ULL);
	REFUSED(EINVAL, b.flags = 2);
	REFUSED(EINVAL, b.flags = ~0U);
	REFUSED(EINVAL, b.reserved = 1);
	REFUSED(EFAULT, b.addr = RAW_KERNEL_ADDRESS);
	REFUSED(EFAULT, b.addr = 4096);
	REFUSED(EFAULT, b.len = 1ULL << 30);
	command.addr = RAW_KERNEL_ADDRESS;
	command.len = sizeof(good);
	EXPECT_EQ(-EFAULT, raw_control(UBLK_U_CMD_REG_BUF, &command));
	command.len = sizeof(good) - 1;
	EXPECT_EQ(-EINVAL, raw_control(UBLK_U_CMD_REG_BUF, &command));
	EXPECT_EQ(0, reg(id, &good));
	/* the same pages again, or some of them */
	REFUSED(EEXIST, );
	REFUSED(EEXIST, b.addr += HUGE - 4096; b.len = 8192);
	EXPECT_EQ(-ENOENT, unreg(id, 1));
	EXPECT_EQ(-EINVAL, unreg(id, 65536));
	EXPECT_EQ(-EINVAL, unreg(id, ~0ULL));
	EXPECT_EQ(0, unreg(id, 0));
}

/* In a process that may not lock memory as it likes. */
static int within_limit(int id)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2] = { { 0 } };
	struct rlimit limit = { 4 << 20, 4 << 20 };
	char *memory = raw_pages(8 << 20);

	caps[0].effective = caps[0].permitted = 1U << CAP_SYS_ADMIN | 1U << CAP_DAC_OVERRIDE;
	if (setrlimit(RLIMIT_MEMLOCK, &limit) || syscall(__NR_capset, &header, caps))
		return 1;
	memset(memory, 1, 8 << 20);
	if (reg_memory(id, memory, 8 << 20, 0) != -ENOMEM)
		return 2;
	if (reg_memory(id, memory, 3 << 20, 0) != 0)
		return 3;
	if (reg_memory(id, memory + (4 << 20), 3 << 20, 0) != -ENOMEM)
		return 4;
	if (unreg(id, 0))
		return 5;
	return reg_memory(id, memory + (4 << 20), 3 << 20, 0) ? 6 : 0;
}

TEST_F(shared, the_limit_of_locked_memory_counts)
{
	pid_t pid = raw_fork();

	ASSERT_LE(0, pid);
	if (pid == 0)
		_exit(within_limit(self->device.id));
	EXPECT_EQ(0, raw_reap(pid, RAW_DEADLINE));
}

TEST(without_the_feature_nothing_is_registered)
{
	char *memory = raw_pages(4096);
	struct raw_device device;

	ASSERT_EQ(0, raw_add(&device, 1, 1));
	EXPECT_EQ(-EOPNOTSUPP, reg_memory(device.id, memory, 4096, 0));
	EXPECT_EQ(-EOPNOTSUPP, unreg(device.id, 0));
	EXPECT_EQ(0, raw_destroy(&device));
}

#define ALLOCATIONS TRACING "/events/kmem/mm_page_alloc/"

/* Pages of which no two are neighbours in memory: those between are in another mapping. */
static char *lone_pages(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *others = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t at;

	for (at = 0; at < bytes; at += 4096)
		memory[at] = others[at] = 1;
	munmap(others, bytes);
	return memory;
}

/*
 * Whoever closes the device waits for who changes the table of pages, and so does the next server: it
 * must not wait for I/O, for that may be the disk's own.
 */
TEST(tables_are_made_without_io)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 1);
	const size_t bytes = 8 << 20;
	char *memory = lone_pages(bytes);
	struct raw_device device;
	unsigned int allocations = 0;
	char line[512];
	FILE *trace;

	info.flags = UBLK_F_SHMEM_ZC;
	ASSERT_EQ(0, raw_add_with(&device, &info));
	ASSERT_EQ(0, write_file(ALLOCATIONS "filter", "order >= 4 && comm ~ \"iou-wrk*\""));
	ASSERT_EQ(0, write_file(TRACING "/trace", ""));
	ASSERT_EQ(0, write_file(ALLOCATIONS "enable", "1"));
	EXPECT_EQ(0, reg_memory(device.id, memory, bytes, 0));
	EXPECT_EQ(0, unreg(device.id, 0));
	EXPECT_EQ(0, write_file(ALLOCATIONS "enable", "0"));
	EXPECT_EQ(0, write_file(ALLOCATIONS "filter", "0"));

	trace = fopen(TRACING "/trace", "r");
	ASSERT_NE(NULL, trace);
	while (fgets(line, sizeof(line), trace)) {
		if (!strstr(line, "mm_page_alloc:"))
			continue;
		allocations++;
		EXPECT_EQ(NULL, strstr(line, "GFP_KERNEL"))
			TH_LOG("%s", line);
	}
	fclose(trace);
	EXPECT_LE(1, allocations);
	munmap(memory, bytes);
	EXPECT_EQ(0, raw_destroy(&device));
}

TEST_HARNESS_MAIN
