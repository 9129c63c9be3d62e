// SPDX-License-Identifier: GPL-2.0-or-later
// Preloaded into a program, fails its n-th call for memory, n being in FAIL_ALLOCATION, and makes the
// file that FAIL_ALLOCATION_MARK names when it does. A child goes on counting where its parent was.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>

#include <sys/syscall.h>
#include <unistd.h>

static long left; // 0: none is to fail
static const char *mark;

// The functions of the C library under the names that it gives them itself: looking them up with
// dlsym would allocate.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

__attribute__((constructor)) static void begin(void)
{
	const char *nth = getenv("FAIL_ALLOCATION");

	mark = getenv("FAIL_ALLOCATION_MARK");
	if (!nth || !mark)
		abort();
	left = atol(nth);
}

static int fails(void)
{
	if (__atomic_load_n(&left, __ATOMIC_RELAXED) <= 0 ||
	    __atomic_fetch_sub(&left, 1, __ATOMIC_RELAXED) != 1)
		return 0;
	syscall(SYS_close, syscall(SYS_openat, AT_FDCWD, mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
	return fails() ? NULL : __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size)
{
	return fails() ? NULL : __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
	*memory = memalign(alignment, size);
	return *memory ? 0 : ENOMEM;
}
