/* SPDX-License-Identifier: GPL-2.0-only */
/* Buffers that a server shares with users of its disk (UBLK_F_SHMEM_ZC). */
#ifndef UBLK_SHMEM_H
#define UBLK_SHMEM_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/xarray.h>

struct request;
struct ublk_device;
struct ublk_shmem_buffer;
struct ublk_shmem_map;

/**
 * struct ublk_shmem - the shared buffers of a device
 * @mutex: serializes changes of @map; nothing of userspace's is touched under it
 * @buffers: by index; one that was unregistered stays until no request is in it
 * @map: which page is in which buffer; replaced as a whole, read under RCU
 */
struct ublk_shmem {
	struct mutex mutex;	/* changes of map */
	struct xarray buffers;
	struct ublk_shmem_map __rcu *map;
};

void ublk_shmem_init(struct ublk_shmem *shmem);
void ublk_shmem_exit(struct ublk_shmem *shmem);
void ublk_shmem_clear(struct ublk_device *dev);
int ublk_shmem_register(struct ublk_device *dev, void __user *from, u32 len);
int ublk_shmem_unregister(struct ublk_device *dev, u64 index);
bool ublk_shmem_match(struct ublk_device *dev, struct request *rq, u64 *addr);
void ublk_shmem_let_go(struct ublk_shmem_buffer *buffer);

#endif /* UBLK_SHMEM_H */
