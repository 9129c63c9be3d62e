/* SPDX-License-Identifier: GPL-2.0-only */
/* The picture of a device in debugfs, or what stands for it in a kernel without. */
#ifndef UBLK_DEBUGFS_H
#define UBLK_DEBUGFS_H

struct ublk_device;

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
