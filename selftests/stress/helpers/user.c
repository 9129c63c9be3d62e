// SPDX-License-Identifier: GPL-2.0-only
/* A user of a disk who remembers what he wrote; see user.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw.h"
#include "user.h"

#define SECTOR_WORDS (512 / sizeof(__u64))
#define WORDS (USER_BLOCK / sizeof(__u64))

static void __attribute__((format(printf, 2, 3))) complain(struct user *user, const char *format,
							    ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(user->complaint, sizeof(user->complaint), format, arguments);
	va_end(arguments);
	atomic_store(&user->failed, true);
}

static void count(struct user *user, unsigned int block, const char *what, ssize_t ret)
{
	int error = errno;

	if (ret == USER_BLOCK) {
		atomic_fetch_add(&user->done, 1);
		return;
	}
	atomic_fetch_add(&user->errors, 1);
	if (!atomic_load(&user->tolerant))
		complain(user, "%s block %u: %s", what, block,
			 ret < 0 ? strerror(error) : "too short");
}

static __u64 word_of(unsigned int block, __u32 version)
{
	return (__u64)(block + 1) << 32 | version;
}

static bool write_block(struct user *user, int fd, __u64 *buffer, unsigned int block)
{
	__u32 version = ++user->tried[block];
	unsigned int i;
	ssize_t ret;

	for (i = 0; i < WORDS; i++)
		buffer[i] = word_of(block, version);
	ret = pwrite(fd, buffer, USER_BLOCK, (off_t)(user->first + block) * USER_BLOCK);
	count(user, block, "writing", ret);
	if (ret == USER_BLOCK)
		user->acknowledged[block] = version;
	return ret == USER_BLOCK;
}

/* What a failed write has left may differ from sector to sector. */
static void check_sector(struct user *user, const __u64 *sector, unsigned int block)
{
	__u32 version = sector[0];
	unsigned int i;

	if (!version && !user->acknowledged[block]) {
		if (sector[0])
			complain(user, "block %u holds %llx", block, sector[0]);
		return;
	}
	if (version < user->acknowledged[block] || version > user->tried[block])
		complain(user, "block %u has version %u, not %u to %u", block, version,
			 user->acknowledged[block], user->tried[block]);
	for (i = 0; i < SECTOR_WORDS; i++)
		if (sector[i] != word_of(block, version))
			complain(user, "block %u holds %llx", block, sector[i]);
}

static bool read_block(struct user *user, int fd, __u64 *buffer, unsigned int block)
{
	unsigned int i;
	ssize_t ret;

	memset(buffer, 0xee, USER_BLOCK);
	ret = pread(fd, buffer, USER_BLOCK, (off_t)(user->first + block) * USER_BLOCK);
	count(user, block, "reading", ret);
	for (i = 0; ret == USER_BLOCK && i < WORDS; i += SECTOR_WORDS)
		check_sector(user, buffer + i, block);
	return ret == USER_BLOCK;
}

static void __attribute__((noreturn)) use(struct user *user)
{
	__u64 *buffer = raw_pages(USER_BLOCK);
	int fd = -1;

	while (!atomic_load(&user->stop) && !atomic_load(&user->failed)) {
		unsigned int block = rand_r(&user->seed) % USER_BLOCKS;
		bool good;

		if (fd < 0)
			fd = raw_open_block(user->id, O_RDWR | O_DIRECT);
		if (fd < 0) {
			raw_pause();
			continue;
		}
		good = rand_r(&user->seed) % 2 ? write_block(user, fd, buffer, block) :
						 read_block(user, fd, buffer, block);
		/* Whoever removes the disk waits for its users. */
		if (!good) {
			close(fd);
			fd = -1;
		}
	}
	_exit(0);
}

struct user *user_start(int id, unsigned int first, unsigned int seed)
{
	struct user *user = mmap(NULL, sizeof(*user), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	if (user == MAP_FAILED)
		return NULL;
	user->id = id;
	user->first = first;
	user->seed = seed;
	/* The child shares the structure and must not write its own 0 there. */
	pid = raw_fork();
	if (pid == 0)
		use(user);
	user->pid = pid;
	return user;
}

bool user_does(struct user *user, int transfers)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	int wanted = atomic_load(&user->done) + transfers;

	while (atomic_load(&user->done) < wanted && !atomic_load(&user->failed)) {
		if (raw_now_ms() > end)
			return false;
		raw_pause();
	}
	return !atomic_load(&user->failed);
}

bool user_end(struct user *user)
{
	bool well;
	int status;

	atomic_store(&user->stop, true);
	status = raw_reap(user->pid, RAW_DEADLINE);
	if (status)
		complain(user, status == -ETIME ? "he does not end" : "status %x", status);
	well = !atomic_load(&user->failed);
	if (!well)
		printf("the user of device %d: %s\n", user->id, user->complaint);
	munmap(user, sizeof(*user));
	return well;
}
