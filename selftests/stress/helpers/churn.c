// SPDX-License-Identifier: GPL-2.0-only
/*
 * churn PROCESSES CYCLES [SEED]: so many processes at a time make devices, use them and take them
 * down in every way there is, until there were so many cycles. The first thing that hangs, fails or
 * reads wrong data ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "recoverable.h"

#define LENGTH 16384
#define TRANSFERS 4
#define RECOVERY (UBLK_F_USER_RECOVERY | UBLK_F_USER_RECOVERY_REISSUE)

/* What all processes count. */
struct totals {
	atomic_int cycles;
	atomic_int transfers;
	atomic_int failed;
};

struct churner {
	struct recoverable disk;
	struct totals *totals;
	unsigned int seed;
	unsigned int number;
	unsigned int cycle;
	const char *ending;
	char *buffer;
};

static unsigned int below(struct churner *self, unsigned int limit)
{
	return rand_r(&self->seed) % limit;
}

static void __attribute__((noreturn, format(printf, 2, 3)))
give_up(struct churner *self, const char *format, ...)
{
	va_list arguments;

	atomic_store(&self->totals->failed, 1);
	printf("process %u, cycle %u, device %d, %s: ", self->number, self->cycle,
	       self->disk.device.id, self->ending);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
	raw_show_waiters();
	_exit(1);
}

static void expect(struct churner *self, int found, int wanted, const char *what)
{
	if (found != wanted)
		give_up(self, "%s is %d instead of %d", what, found, wanted);
}

/* Write and read back at random places. */
static void use_disk(struct churner *self)
{
	int fd = raw_open_block(self->disk.device.id, O_RDWR | O_DIRECT);
	unsigned int i;

	if (fd < 0)
		give_up(self, "the disk does not open: %d", fd);
	for (i = 0; i < TRANSFERS; i++) {
		/* some at the beginning, which udev reads, too */
		off_t at = (off_t)below(self, i ? RAW_DISK_BYTES / LENGTH : 4) * LENGTH;

		raw_fill(self->buffer, at, LENGTH);
		expect(self, pwrite(fd, self->buffer, LENGTH, at), LENGTH, "a write");
		memset(self->buffer, 0, LENGTH);
		expect(self, pread(fd, self->buffer, LENGTH, at), LENGTH, "a read");
		if (!raw_matches(self->buffer, at, LENGTH))
			give_up(self, "wrong data at %lld", (long long)at);
		atomic_fetch_add(&self->totals->transfers, 2);
	}
	close(fd);
}

static void delete(struct churner *self)
{
	expect(self, raw_delete(self->disk.device.id), 0, "DEL_DEV");
	self->disk.device.id = -1;
}

static void stop_and_delete(struct churner *self)
{
	expect(self, raw_stop(self->disk.device.id), 0, "STOP_DEV");
	delete(self);
}

/* udev may have it open for a while. */
static void try_stop_and_delete(struct churner *self)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	int ret;

	while ((ret = recoverable_command(self->disk.device.id, UBLK_U_CMD_TRY_STOP_DEV, 0)) ==
	       -EBUSY && raw_now_ms() < end)
		raw_pause();
	expect(self, ret, 0, "TRY_STOP_DEV");
	delete(self);
}

static void delete_without_waiting(struct churner *self)
{
	expect(self, recoverable_command(self->disk.device.id, UBLK_U_CMD_DEL_DEV_ASYNC, 0), 0,
	       "DEL_DEV_ASYNC");
	self->disk.device.id = -1;
}

static void kill_and_delete(struct churner *self)
{
	expect(self, recoverable_kill(&self->disk), 0, "the server's death");
	delete(self);
}

static void begin_io(struct churner *self, struct raw_io *io)
{
	off_t at = (off_t)below(self, RAW_DISK_BYTES / LENGTH) * LENGTH;

	raw_fill(self->buffer, at, LENGTH);
	if (raw_io_start(io, &self->disk.device, RAW_WRITE, self->buffer, LENGTH, at))
		give_up(self, "no thread");
}

/* It was in time, lost its server, or found the disk gone or, on its way out, without a sector. */
static void end_io(struct churner *self, struct raw_io *io)
{
	ssize_t ret = raw_io_wait(io, NULL, RAW_DEADLINE);

	switch (ret) {
	case LENGTH:
	case -EIO:
	case -ENXIO:
	case -ENOENT:
	case -ENODEV:
	case -ENOSPC:
		return;
	default:
		give_up(self, "a write at the end is %zd", ret);
	}
}

static void kill_and_delete_under_io(struct churner *self)
{
	struct raw_io io;

	begin_io(self, &io);
	kill_and_delete(self);
	end_io(self, &io);
}

static void delete_under_io(struct churner *self)
{
	struct raw_io io;

	begin_io(self, &io);
	delete(self);
	end_io(self, &io);
}

static void recover_and_delete(struct churner *self)
{
	struct raw_io io;
	ssize_t ret;

	if (!(self->disk.device.info.flags & UBLK_F_USER_RECOVERY)) {
		kill_and_delete(self);
		return;
	}
	begin_io(self, &io);
	expect(self, recoverable_kill(&self->disk), 0, "the server's death");
	expect(self, recoverable_await_state(&self->disk, UBLK_S_DEV_QUIESCED), 0, "QUIESCED");
	expect(self, recoverable_recover(&self->disk, SERVES), 0, "recovery");
	ret = raw_io_wait(&io, NULL, RAW_DEADLINE);
	if (ret != LENGTH)
		give_up(self, "a write through recovery is %zd", ret);
	use_disk(self);
	stop_and_delete(self);
}

static const struct {
	const char *name;
	void (*run)(struct churner *self);
} endings[] = {
	{ "stop", stop_and_delete },
	{ "delete", delete },
	{ "try-stop", try_stop_and_delete },
	{ "delete-async", delete_without_waiting },
	{ "kill", kill_and_delete },
	{ "kill-under-io", kill_and_delete_under_io },
	{ "delete-under-io", delete_under_io },
	{ "recover", recover_and_delete },
};

static void cycle(struct churner *self)
{
	static const __u64 features[] = { 0, RECOVERY, UBLK_F_NEED_GET_DATA };
	unsigned int ending = below(self, sizeof(endings) / sizeof(endings[0]));

	self->ending = endings[ending].name;
	expect(self, recoverable_add(&self->disk, features[below(self, 3)], 1 + below(self, 2),
				     1 << below(self, 6)), 0, "ADD_DEV");
	expect(self, recoverable_start(&self->disk, SERVES), 0, "START_DEV");
	use_disk(self);
	endings[ending].run(self);
	/* what is left is the server, if it still lives */
	expect(self, recoverable_end(&self->disk), 0, "the end");
}

static void __attribute__((noreturn)) churn(struct churner *self, unsigned int cycles)
{
	self->buffer = raw_pages(LENGTH);
	if (!self->buffer)
		give_up(self, "no memory");
	for (self->cycle = 0; self->cycle < cycles; self->cycle++) {
		if (atomic_load(&self->totals->failed))
			_exit(0);
		cycle(self);
		atomic_fetch_add(&self->totals->cycles, 1);
	}
	_exit(0);
}

static int await_churners(const pid_t *pids, unsigned int count)
{
	unsigned int i;
	int failed = 0, status;

	for (i = 0; i < count; i++) {
		if (waitpid(pids[i], &status, 0) != pids[i] || status) {
			printf("process %u ended with status %x\n", i, status);
			failed = 1;
		}
	}
	return failed;
}

int main(int count, char **arguments)
{
	unsigned int processes, cycles, seed, i;
	struct totals *totals;
	pid_t pids[64];
	long long start;
	int failed;

	if (count < 3)
		return 2;
	processes = atoi(arguments[1]);
	cycles = atoi(arguments[2]);
	seed = count > 3 ? atoi(arguments[3]) : getpid();
	if (!processes || processes > 64 || cycles < processes)
		return 2;
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (totals == MAP_FAILED)
		return 1;

	start = raw_now_ms();
	for (i = 0; i < processes; i++) {
		struct churner self = {
			.totals = totals,
			.number = i,
			.seed = seed + i,
			.ending = "before any end",
		};

		fflush(stdout);
		pids[i] = raw_fork();
		if (pids[i] == 0)
			churn(&self, cycles / processes);
	}
	failed = await_churners(pids, processes);
	printf("# figure: %d cycles of %u processes at a time, %d transfers, in %lld s\n",
	       atomic_load(&totals->cycles), processes, atomic_load(&totals->transfers),
	       (raw_now_ms() - start) / 1000);
	return failed;
}
