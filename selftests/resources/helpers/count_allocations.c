// SPDX-License-Identifier: GPL-2.0-or-later
// Preloaded into a program, counts how often it asks for memory: one number per process, in the file
// that COUNT_ALLOCATIONS_FILE names, which others may read at any time.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MOST_PROCESSES = 64 };

struct count {
	int64_t pid;
	int64_t allocations;
};

static struct count *counts;
static struct count *ours;

// The functions of the C library under the names that it gives them itself: looking them up with
// dlsym would allocate.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static void take_slot(void)
{
	if (!counts)
		return;
	for (int i = 0; i < MOST_PROCESSES; i++) {
		int64_t none = 0;

		if (__atomic_compare_exchange_n(&counts[i].pid, &none, getpid(), 0,
						__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
			ours = &counts[i];
			return;
		}
	}
	abort();
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("COUNT_ALLOCATIONS_FILE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0 || ftruncate(fd, MOST_PROCESSES * sizeof(*counts)) < 0)
		abort();
	counts = (struct count *)syscall(SYS_mmap, NULL, MOST_PROCESSES * sizeof(*counts),
					 PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (counts == MAP_FAILED || pthread_atfork(NULL, NULL, take_slot))
		abort();
	take_slot();
}

static void count(void)
{
	if (ours)
		__atomic_fetch_add(&ours->allocations, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
	count();
	return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	count();
	return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
	count();
	return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
	count();
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	count();
	return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	count();
	*memory = __libc_memalign(alignment, size);
	return *memory ? 0 : ENOMEM;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	static void *(*next)(void *, size_t, int, int, int, off_t);

	if (!next)
		next = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
	count();
	return next(address, length, protection, flags, fd, offset);
}
