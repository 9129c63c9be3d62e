// SPDX-License-Identifier: GPL-2.0-only
/*
 * A BPF program by hand, because it is a dozen instructions long, and loaded by bare system calls; see
 * fault_point.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "fault_point.h"

#define TRACING "/sys/kernel/tracing"
#define EVENT TRACING "/events/ublk/ublk_slot/"

/* The tracepoint's format, as far as it matters here. */
struct slot_event {
	long long common;
	unsigned int device;
	unsigned short queue;
	unsigned short tag;
	int from;
	int to;
};

#define INSN(op, to_register, from_register, offset, constant) \
	{ .code = (op), .dst_reg = (to_register), .src_reg = (from_register), .off = (offset), \
	  .imm = (constant) }
#define LOAD(field) \
	INSN(BPF_LDX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_6, offsetof(struct slot_event, field), 0)
#define LEAVE_UNLESS(value, jump) INSN(BPF_JMP | BPF_JNE | BPF_K, BPF_REG_1, 0, jump, value)
#define CALL(function) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)

static int load_program(unsigned int device, pid_t pid, int from, int to)
{
	const struct bpf_insn instructions[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_6, BPF_REG_1, 0, 0),
		LOAD(device),
		LEAVE_UNLESS(device, 10),
		LOAD(from),
		LEAVE_UNLESS(from, 8),
		LOAD(to),
		LEAVE_UNLESS(to, 6),
		CALL(BPF_FUNC_get_current_pid_tgid),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_0, 0, 0),
		INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_1, 0, 0, 32),
		LEAVE_UNLESS(pid, 2),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_1, 0, 0, SIGKILL),
		CALL(BPF_FUNC_send_signal),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attributes = {
		.prog_type = BPF_PROG_TYPE_TRACEPOINT,
		.insns = (unsigned long)instructions,
		.insn_cnt = sizeof(instructions) / sizeof(instructions[0]),
		.license = (unsigned long)"GPL",
	};
	int tries = 5, fd;

	/* The verifier gives up when anything interrupts it, and wants to be called again. */
	do
		fd = syscall(__NR_bpf, BPF_PROG_LOAD, &attributes, sizeof(attributes));
	while (fd < 0 && errno == EAGAIN && --tries);
	return fd < 0 ? -errno : fd;
}

/* The content of a file of the tracepoint, or NULL. The caller frees it. */
static char *read_event(const char *name)
{
	char path[128], *text = calloc(1, 65536);
	FILE *file;

	snprintf(path, sizeof(path), EVENT "%s", name);
	file = fopen(path, "r");
	if (!file && !mount("none", TRACING, "tracefs", 0, NULL))
		file = fopen(path, "r");
	if (!file || !text || !fread(text, 1, 65535, file)) {
		free(text);
		text = NULL;
	}
	if (file)
		fclose(file);
	return text;
}

/* The value that a format prints as a name, `{ 3, "claimed" }`. */
static int state_of(const char *format, const char *name)
{
	char wanted[64];
	const char *at;

	snprintf(wanted, sizeof(wanted), ", \"%s\"", name);
	at = strstr(format, wanted);
	while (at && at > format && at[-1] >= '0' && at[-1] <= '9')
		at--;
	return at && *at >= '0' && *at <= '9' ? atoi(at) : -ENOENT;
}

static int attach(struct fault_point *point, int event_id)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attributes),
		.config = event_id,
		.sample_period = 1,
	};
	int processor;

	point->count = sysconf(_SC_NPROCESSORS_CONF);
	point->events = calloc(point->count, sizeof(*point->events));
	if (!point->events)
		return -ENOMEM;
	for (processor = 0; processor < point->count; processor++)
		point->events[processor] = syscall(__NR_perf_event_open, &attributes, -1, processor,
						   -1, PERF_FLAG_FD_CLOEXEC);
	for (processor = 0; processor < point->count; processor++) {
		int event = point->events[processor];

		/* A processor that is not there. */
		if (event < 0)
			continue;
		/* The program is the tracepoint's, whichever event brings it. */
		if (ioctl(event, PERF_EVENT_IOC_SET_BPF, point->program) && errno != EEXIST)
			return -errno;
		if (ioctl(event, PERF_EVENT_IOC_ENABLE, 0))
			return -errno;
	}
	return 0;
}

int fault_point_set(struct fault_point *point, int device, pid_t pid, const char *from,
		    const char *to)
{
	char *format = read_event("format");
	char *id = read_event("id");
	int ret = -ENOENT;

	memset(point, 0, sizeof(*point));
	point->program = -1;
	if (format && id && state_of(format, from) >= 0 && state_of(format, to) >= 0)
		ret = load_program(device, pid, state_of(format, from), state_of(format, to));
	if (ret >= 0) {
		point->program = ret;
		ret = attach(point, atoi(id));
	}
	free(format);
	free(id);
	if (ret)
		fault_point_remove(point);
	return ret;
}

void fault_point_remove(struct fault_point *point)
{
	int i;

	for (i = 0; point->events && i < point->count; i++)
		if (point->events[i] >= 0)
			close(point->events[i]);
	free(point->events);
	point->events = NULL;
	if (point->program >= 0)
		close(point->program);
	point->program = -1;
}
