// SPDX-License-Identifier: GPL-2.0-only
/*
 * io_uring by bare system calls: a library would refuse, correct or hide some of what the tests
 * have to send.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "raw.h"

/* A large completion takes two places. */
static unsigned int cqe_shift(const struct raw_ring *ring)
{
	return ring->flags & IORING_SETUP_CQE32 ? 1 : 0;
}

static int map_rings(struct raw_ring *ring, const struct io_uring_params *p)
{
	size_t sq = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	size_t cq = p->cq_off.cqes +
		    (p->cq_entries * sizeof(struct io_uring_cqe) << cqe_shift(ring));
	char *base;

	ring->rings_size = sq > cq ? sq : cq;
	base = mmap(NULL, ring->rings_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
		    ring->fd, IORING_OFF_SQ_RING);
	if (base == MAP_FAILED)
		return -errno;
	ring->rings = base;
	ring->sq_head = (unsigned int *)(base + p->sq_off.head);
	ring->sq_tail = (unsigned int *)(base + p->sq_off.tail);
	ring->sq_flags = (unsigned int *)(base + p->sq_off.flags);
	ring->sq_array = (unsigned int *)(base + p->sq_off.array);
	ring->sq_mask = *(unsigned int *)(base + p->sq_off.ring_mask);
	ring->cq_head = (unsigned int *)(base + p->cq_off.head);
	ring->cq_tail = (unsigned int *)(base + p->cq_off.tail);
	ring->cq_mask = *(unsigned int *)(base + p->cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(base + p->cq_off.cqes);

	ring->sqe_size = ring->flags & IORING_SETUP_SQE128 ? 128 : 64;
	ring->sqes_size = p->sq_entries * ring->sqe_size;
	ring->sqes = mmap(NULL, ring->sqes_size, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	return ring->sqes == MAP_FAILED ? -errno : 0;
}

int raw_ring_open(struct raw_ring *ring, unsigned int entries, unsigned int flags)
{
	struct io_uring_params p = { .flags = flags, .sq_thread_idle = 10 };
	int ret;

	memset(ring, 0, sizeof(*ring));
	ring->flags = flags;
	ring->fd = syscall(__NR_io_uring_setup, entries, &p);
	if (ring->fd < 0)
		return -errno;
	ret = map_rings(ring, &p);
	if (ret)
		raw_ring_close(ring);
	return ret;
}

void raw_ring_close(struct raw_ring *ring)
{
	if (ring->fd < 0)
		return;
	if (ring->sqes && ring->sqes != MAP_FAILED)
		munmap(ring->sqes, ring->sqes_size);
	if (ring->rings)
		munmap(ring->rings, ring->rings_size);
	close(ring->fd);
	ring->fd = -1;
}

/* The next entry, zeroed; the caller never has more under way than the ring has entries. */
struct io_uring_sqe *raw_ring_sqe(struct raw_ring *ring)
{
	unsigned int tail = *ring->sq_tail + ring->unsubmitted;
	unsigned int index = tail & ring->sq_mask;
	void *sqe = (char *)ring->sqes + index * ring->sqe_size;

	if (tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE) > ring->sq_mask)
		return NULL;
	memset(sqe, 0, ring->sqe_size);
	ring->sq_array[index] = index;
	ring->unsubmitted++;
	return sqe;
}

/* Hand over what is queued and wait for one completion, @wait_ms at most (0: do not wait). */
int raw_ring_submit(struct raw_ring *ring, int wait_ms)
{
	struct __kernel_timespec limit = {
		.tv_sec = wait_ms / 1000,
		.tv_nsec = wait_ms % 1000 * 1000000LL,
	};
	struct io_uring_getevents_arg arg = { .ts = (unsigned long)&limit };
	unsigned int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
	unsigned int submit;
	int ret;

	__atomic_store_n(ring->sq_tail, *ring->sq_tail + ring->unsubmitted, __ATOMIC_RELEASE);
	ring->unsubmitted = 0;
	/* A bad entry may have kept some from being taken the last time. */
	submit = *ring->sq_tail - __atomic_load_n(ring->sq_head, __ATOMIC_ACQUIRE);
	if (ring->flags & IORING_SETUP_SQPOLL) {
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (__atomic_load_n(ring->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_NEED_WAKEUP)
			flags |= IORING_ENTER_SQ_WAKEUP;
	}
	ret = syscall(__NR_io_uring_enter, ring->fd, submit, wait_ms ? 1 : 0, flags, &arg,
		      sizeof(arg));
	if (ret < 0 && errno != ETIME && errno != EINTR)
		return -errno;
	return 0;
}

bool raw_ring_next(struct raw_ring *ring, struct io_uring_cqe *cqe)
{
	unsigned int head = *ring->cq_head;

	if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE))
		return false;
	memcpy(cqe, &ring->cqes[(head & ring->cq_mask) << cqe_shift(ring)], sizeof(*cqe));
	__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
	return true;
}

/* Submit, then wait for one completion: 0, or -ETIME. */
int raw_ring_wait(struct raw_ring *ring, struct io_uring_cqe *cqe, int wait_ms)
{
	long long end = raw_now_ms() + wait_ms;
	int ret;

	while (!raw_ring_next(ring, cqe)) {
		long long left = end - raw_now_ms();

		if (left <= 0)
			return -ETIME;
		ret = raw_ring_submit(ring, left);
		if (ret)
			return ret;
	}
	return 0;
}
