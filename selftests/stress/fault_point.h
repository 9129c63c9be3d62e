/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a server is to die: a BPF program on the driver's tracepoint of slots that kills the process
 * which moves one from a state to another.
 */
#ifndef STRESS_FAULT_POINT_H
#define STRESS_FAULT_POINT_H

#include <sys/types.h>

struct fault_point {
	int program;
	int *events;	/* one for each processor */
	int count;
};

/*
 * From now on @pid is killed as soon as it moves a slot of the device between these states, by the
 * names that the tracepoint has for them. 0 or -errno; -ENOENT: there is no such state.
 */
int fault_point_set(struct fault_point *point, int device, pid_t pid, const char *from,
		    const char *to);
void fault_point_remove(struct fault_point *point);

#endif
