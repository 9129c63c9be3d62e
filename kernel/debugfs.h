/* SPDX-License-Identifier: GPL-2.0-only */
/* The picture of a device in debugfs, or what stands for it in a kernel without. */
#ifndef UBLK_DEBUGFS_H
#define UBLK_DEBUGFS_H

#include <linux/atomic.h>

struct ublk_device;

/**
 * struct ublk_counts - how often a device has left the usual way, for debugfs
 * @faults: a task had to wait for memory of the server's
 * @sweeps: what a gone server held was taken back, or looked for
 * @recalls: what was on its way to a task was taken back
 * @orphans: a request found no server, or outlived one
 */
struct ublk_counts {
	atomic_long_t faults;
	atomic_long_t sweeps;
	atomic_long_t recalls;
	atomic_long_t orphans;
};

/**
 * struct ublk_batch_picture - how a queue with UBLK_F_BATCH_IO is, for debugfs
 * @parked: how many FETCH commands wait
 * @waiting: requests wait for one of them
 * @active: one was sent to its task
 * @busy: somebody takes the requests
 * @closed: the server is gone
 */
struct ublk_batch_picture {
	unsigned int parked;
	bool waiting;
	bool active;
	bool busy;
	bool closed;
};

#ifdef CONFIG_DEBUG_FS
void ublk_debugfs_init(void);
void ublk_debugfs_exit(void);
void ublk_debugfs_add(struct ublk_device *dev);
void ublk_debugfs_remove(struct ublk_device *dev);
#else
static inline void ublk_debugfs_init(void)
{
}

static inline void ublk_debugfs_exit(void)
{
}

static inline void ublk_debugfs_add(struct ublk_device *dev)
{
}

static inline void ublk_debugfs_remove(struct ublk_device *dev)
{
}
#endif

#endif /* UBLK_DEBUGFS_H */
