// SPDX-License-Identifier: GPL-2.0-only
/*
 * The other parties: threads that use the disk, processes that serve it, and the clock.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/fs.h>
#include <linux/userfaultfd.h>

#include "raw.h"

unsigned int raw_amount(unsigned int normal, unsigned int full)
{
	const char *wanted = getenv("UBLK_TEST_STRESS");

	return wanted && !strcmp(wanted, "full") ? full : normal;
}

void raw_show_waiters(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, "w", 1) != 1)
		perror("sysrq");
	close(fd);
}

long long raw_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Between two looks at a condition that has a deadline. */
void raw_pause(void)
{
	struct timespec pause = { .tv_nsec = 2000000 };

	nanosleep(&pause, NULL);
}

/* Zeroed memory that O_DIRECT accepts; the process keeps it. */
void *raw_pages(size_t bytes)
{
	void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return pages == MAP_FAILED ? NULL : pages;
}

int raw_no_pages(void *place, size_t bytes)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { .start = (unsigned long)place, .len = bytes },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		return -1;
	return fd;
}

static unsigned char byte_of_sector(__u64 sector)
{
	/* never 0, never 0xee: what tests poison with */
	return 1 + sector * 7 % 230;
}

void raw_fill(void *buffer, __u64 offset, size_t length)
{
	unsigned char *bytes = buffer;
	size_t i;

	for (i = 0; i < length; i++)
		bytes[i] = byte_of_sector((offset + i) >> 9);
}

bool raw_matches(const void *buffer, __u64 offset, size_t length)
{
	const unsigned char *bytes = buffer;
	size_t i;

	for (i = 0; i < length; i++)
		if (bytes[i] != byte_of_sector((offset + i) >> 9))
			return false;
	return true;
}

static ssize_t use_disk(const struct raw_io *io, int fd)
{
	__u64 range[2] = { io->offset, io->length };

	switch (io->kind) {
	case RAW_READ:
		return pread(fd, io->buffer, io->length, io->offset);
	case RAW_WRITE:
		return pwrite(fd, io->buffer, io->length, io->offset);
	case RAW_SYNC:
		return fsync(fd);
	case RAW_DISCARD:
		return ioctl(fd, BLKDISCARD, range);
	}
	return -1;
}

static void *io_thread(void *argument)
{
	struct raw_io *io = argument;
	int fd = raw_open_block(io->id, O_RDWR | O_DIRECT);

	if (fd < 0) {
		io->result = fd;
	} else {
		io->result = use_disk(io, fd);
		if (io->result < 0)
			io->result = -errno;
		close(fd);
	}
	atomic_store(&io->done, true);
	return NULL;
}

int raw_io_start(struct raw_io *io, const struct raw_device *device, enum raw_io_kind kind,
		 void *buffer, size_t length, off_t offset)
{
	io->id = device->id;
	io->kind = kind;
	io->buffer = buffer;
	io->length = length;
	io->offset = offset;
	io->result = 0;
	atomic_init(&io->done, false);
	return -pthread_create(&io->thread, NULL, io_thread, io);
}

ssize_t raw_io_wait(struct raw_io *io, struct raw_server *server, int wait_ms)
{
	long long end = raw_now_ms() + wait_ms;

	while (!atomic_load(&io->done)) {
		if (raw_now_ms() > end)
			return -ETIME;
		if (server)
			raw_pump(server, 5);
		else
			raw_pause();
	}
	pthread_join(io->thread, NULL);
	return io->result;
}

static unsigned int reads_in_flight(const struct raw_device *device)
{
	unsigned int reads = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/inflight", device->id);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%u", &reads) != 1)
		reads = 0;
	fclose(file);
	return reads;
}

int raw_await_reads(const struct raw_device *device, unsigned int reads)
{
	long long end = raw_now_ms() + RAW_DEADLINE;

	while (reads_in_flight(device) < reads) {
		if (raw_now_ms() > end)
			return -ETIME;
		raw_pause();
	}
	return 0;
}

struct raw_shared *raw_share(void)
{
	void *shared = mmap(NULL, sizeof(struct raw_shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return shared == MAP_FAILED ? NULL : shared;
}

int raw_await(atomic_int *counter, int value, int wait_ms)
{
	long long end = raw_now_ms() + wait_ms;

	while (atomic_load(counter) < value) {
		if (raw_now_ms() > end)
			return -ETIME;
		raw_pause();
	}
	return 0;
}

pid_t raw_fork(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
	}
	return pid;
}

pid_t raw_server_fork(struct raw_device *device, struct raw_shared *shared,
		      const struct raw_style *style)
{
	pid_t pid = raw_fork();

	if (pid == 0)
		raw_server_main(device, shared, style);
	return pid;
}

void raw_server_main(struct raw_device *device, struct raw_shared *shared,
		     const struct raw_style *style)
{
	struct raw_server server;
	struct raw_request request;

	if (raw_server_open_style(&server, device, style))
		_exit(1);
	raw_fetch_all(&server);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&shared->fetched, server.parked);
	for (;;) {
		raw_pump(&server, 1000);
		while (server.caught_count) {
			raw_catch(&server, &request);
			atomic_fetch_add(&shared->caught, 1);
		}
	}
}

static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 0;
	fclose(file);
	return state;
}

bool raw_is_in_state(pid_t task, char state)
{
	return state_of(task) == state;
}

int raw_await_state(pid_t pid, char state)
{
	long long end = raw_now_ms() + RAW_DEADLINE;

	while (!raw_is_in_state(pid, state)) {
		if (raw_now_ms() > end)
			return -ETIME;
		raw_pause();
	}
	return 0;
}

bool raw_is_named(pid_t task, const char *name)
{
	char path[64], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/comm", task);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fgets(comm, sizeof(comm), file))
		comm[0] = 0;
	fclose(file);
	return !strncmp(comm, name, strlen(name));
}

int raw_reap(pid_t pid, int wait_ms)
{
	long long end = raw_now_ms() + wait_ms;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (raw_now_ms() > end)
			return -ETIME;
		raw_pause();
	}
	return status;
}

int raw_kill(struct raw_device *device, pid_t server)
{
	int ret, stuck = 0, id = device->id;

	if (server > 0) {
		kill(server, SIGKILL);
		stuck = raw_reap(server, RAW_DEATH_DEADLINE) == -ETIME ? -ETIME : 0;
	}
	ret = raw_destroy(device);
	if (!ret)
		ret = raw_reuse(id);
	return stuck ?: ret;
}
