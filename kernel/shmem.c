// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared buffers: a server registers memory that users of its disk have mapped, too. A request
 * whose pages lie in such a buffer is delivered by place, and no byte is copied.
 *
 * Which page is in which buffer is a sorted table that never changes; registering and
 * unregistering replace it. So looking up takes no lock, and neither stops the disk.
 */
#include <linux/blk-mq.h>
#include <linux/capability.h>
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "shmem.h"
#include "ublk.h"

#define UBLK_SHMEM_MAX_SIZE	SZ_4G

/**
 * struct ublk_shmem_buffer - one registered buffer
 *
 * Unpinned when neither the device nor a request uses it.
 */
struct ublk_shmem_buffer {
	struct ublk_device *dev;	/* C: referenced while leaving */
	u32 index;			/* C */
	u32 flags;			/* C: UBLK_SHMEM_BUF_* */
	unsigned long nr_pages;		/* C */
	struct page **pages;		/* C: pinned */
	struct user_struct *payer;	/* C: whose limit of locked memory pays; NULL: nobody's */
	bool leaving;			/* ublk_shmem.mutex: it is not in the map any more */
	refcount_t users;		/* A: the map, and each request in the buffer */
	struct work_struct free_work;
	refcount_t watchers;		/* A: free_work, and an UNREG_BUF that waits for it */
	struct completion gone;
};

/**
 * struct ublk_shmem_extent - pages of a buffer that are neighbours in memory, too
 */
struct ublk_shmem_extent {
	unsigned long pfn;
	unsigned long nr_pages;
	unsigned long first;		/* where in the buffer, in pages */
	struct ublk_shmem_buffer *buffer;
};

struct ublk_shmem_map {
	struct rcu_head rcu;
	unsigned long count;
	struct ublk_shmem_extent extents[];	/* by pfn, without overlaps */
};

static int ublk_shmem_charge(struct ublk_shmem_buffer *buffer)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct user_struct *user = current_user();
	long old, new;

	if (capable(CAP_IPC_LOCK))
		return 0;
	old = atomic_long_read(&user->locked_vm);
	do {
		new = old + buffer->nr_pages;
		if (new > limit)
			return -ENOMEM;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &old, new));
	buffer->payer = get_uid(user);
	return 0;
}

static void ublk_shmem_uncharge(struct ublk_shmem_buffer *buffer)
{
	if (!buffer->payer)
		return;
	atomic_long_sub(buffer->nr_pages, &buffer->payer->locked_vm);
	free_uid(buffer->payer);
}

static int ublk_shmem_pin(struct ublk_shmem_buffer *buffer, u64 addr)
{
	unsigned int flags = FOLL_LONGTERM;
	unsigned long done = 0;

	buffer->pages = kvmalloc_objs(*buffer->pages, buffer->nr_pages, GFP_KERNEL_ACCOUNT);
	if (!buffer->pages)
		return -ENOMEM;
	if (!(buffer->flags & UBLK_SHMEM_BUF_READ_ONLY))
		flags |= FOLL_WRITE;

	while (done < buffer->nr_pages) {
		int pinned = pin_user_pages_fast(addr + (done << PAGE_SHIFT),
						 min(buffer->nr_pages - done, SZ_64K), flags,
						 buffer->pages + done);

		if (pinned <= 0) {
			unpin_user_pages(buffer->pages, done);
			kvfree(buffer->pages);
			return pinned ?: -EFAULT;
		}
		done += pinned;
		cond_resched();
	}
	return 0;
}

static void ublk_shmem_unwatch(struct ublk_shmem_buffer *buffer)
{
	if (refcount_dec_and_test(&buffer->watchers))
		kfree(buffer);
}

static void ublk_shmem_free(struct ublk_shmem_buffer *buffer)
{
	unpin_user_pages(buffer->pages, buffer->nr_pages);
	kvfree(buffer->pages);
	ublk_shmem_uncharge(buffer);
	ublk_shmem_unwatch(buffer);
}

/* Nobody uses an unregistered buffer any more. */
static void ublk_shmem_free_work(struct work_struct *work)
{
	struct ublk_shmem_buffer *buffer = container_of(work, struct ublk_shmem_buffer,
							free_work);
	struct ublk_device *dev = buffer->dev;

	scoped_guard(mutex, &dev->shmem.mutex)
		xa_erase(&dev->shmem.buffers, buffer->index);
	complete_all(&buffer->gone);
	ublk_shmem_free(buffer);
	ublk_device_put(dev);
}

/* A request that was delivered in the buffer ends. */
void ublk_shmem_let_go(struct ublk_shmem_buffer *buffer)
{
	if (refcount_dec_and_test(&buffer->users))
		queue_work(ublk_server_workqueue, &buffer->free_work);
}

static struct ublk_shmem_buffer *ublk_shmem_new(struct ublk_device *dev,
						const struct ublk_shmem_buf_reg *reg)
{
	struct ublk_shmem_buffer *buffer = kzalloc_obj(*buffer, GFP_KERNEL_ACCOUNT);
	int ret;

	if (!buffer)
		return ERR_PTR(-ENOMEM);
	buffer->dev = dev;
	buffer->flags = reg->flags;
	buffer->nr_pages = reg->len >> PAGE_SHIFT;
	refcount_set(&buffer->users, 1);
	refcount_set(&buffer->watchers, 1);
	init_completion(&buffer->gone);
	INIT_WORK(&buffer->free_work, ublk_shmem_free_work);

	ret = ublk_shmem_charge(buffer);
	if (!ret)
		ret = ublk_shmem_pin(buffer, reg->addr);
	if (ret) {
		ublk_shmem_uncharge(buffer);
		kfree(buffer);
		return ERR_PTR(ret);
	}
	return buffer;
}

/* How many of the buffer's pages from @first on are neighbours in memory. */
static unsigned long ublk_shmem_run(const struct ublk_shmem_buffer *buffer, unsigned long first)
{
	unsigned long pfn = page_to_pfn(buffer->pages[first]);
	unsigned long i = first + 1;

	while (i < buffer->nr_pages && page_to_pfn(buffer->pages[i]) == pfn + (i - first))
		i++;
	return i - first;
}

static unsigned long ublk_shmem_count_runs(const struct ublk_shmem_buffer *buffer)
{
	unsigned long count = 0;

	for (unsigned long i = 0; i < buffer->nr_pages; i += ublk_shmem_run(buffer, i))
		count++;
	return count;
}

static int ublk_shmem_compare(const void *left, const void *right)
{
	const struct ublk_shmem_extent *a = left, *b = right;

	return a->pfn < b->pfn ? -1 : a->pfn > b->pfn;
}

/*
 * Under ublk_shmem.mutex, which closing the device needs: must not wait for I/O, which can be that
 * of the disk itself, and wait for the next server.
 */
static struct ublk_shmem_map *ublk_shmem_map_alloc(unsigned long count)
{
	unsigned int scope = memalloc_noio_save();
	struct ublk_shmem_map *map;

	/* A server can register more than can be allocated. */
	map = kvmalloc(struct_size_t(struct ublk_shmem_map, extents, count),
		       GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	memalloc_noio_restore(scope);
	return map;
}

/* The extents of @old, but for those of @without. */
static void ublk_shmem_map_copy(struct ublk_shmem_map *map, const struct ublk_shmem_map *old,
				const struct ublk_shmem_buffer *without)
{
	map->count = 0;
	for (unsigned long i = 0; old && i < old->count; i++) {
		if (old->extents[i].buffer != without)
			map->extents[map->count++] = old->extents[i];
	}
}

static void ublk_shmem_map_add(struct ublk_shmem_map *map, struct ublk_shmem_buffer *buffer)
{
	unsigned long run;

	for (unsigned long i = 0; i < buffer->nr_pages; i += run) {
		run = ublk_shmem_run(buffer, i);
		map->extents[map->count++] = (struct ublk_shmem_extent) {
			.pfn = page_to_pfn(buffer->pages[i]),
			.nr_pages = run,
			.first = i,
			.buffer = buffer,
		};
	}
	sort(map->extents, map->count, sizeof(map->extents[0]), ublk_shmem_compare, NULL);
}

/* A page in two places could not be told by one of them. */
static bool ublk_shmem_map_overlaps(const struct ublk_shmem_map *map)
{
	for (unsigned long i = 1; i < map->count; i++) {
		if (map->extents[i - 1].pfn + map->extents[i - 1].nr_pages > map->extents[i].pfn)
			return true;
	}
	return false;
}

static struct ublk_shmem_map *ublk_shmem_current_map(struct ublk_shmem *shmem)
{
	return rcu_dereference_protected(shmem->map, lockdep_is_held(&shmem->mutex));
}

static void ublk_shmem_replace_map(struct ublk_shmem *shmem, struct ublk_shmem_map *map)
{
	struct ublk_shmem_map *old = ublk_shmem_current_map(shmem);

	lockdep_assert_held(&shmem->mutex);

	rcu_assign_pointer(shmem->map, map);
	if (old)
		kvfree_rcu(old, rcu);
}

/* From now on requests are delivered in the buffer. */
static int ublk_shmem_publish(struct ublk_shmem *shmem, struct ublk_shmem_buffer *buffer)
{
	struct ublk_shmem_map *old, *map;

	guard(mutex)(&shmem->mutex);

	old = ublk_shmem_current_map(shmem);
	map = ublk_shmem_map_alloc((old ? old->count : 0) + ublk_shmem_count_runs(buffer));
	if (!map)
		return -ENOMEM;
	ublk_shmem_map_copy(map, old, NULL);
	ublk_shmem_map_add(map, buffer);
	if (ublk_shmem_map_overlaps(map)) {
		kvfree(map);
		return -EEXIST;
	}
	/* The index is taken, so this cannot fail. */
	xa_store(&shmem->buffers, buffer->index, buffer, GFP_KERNEL);
	ublk_shmem_replace_map(shmem, map);
	return 0;
}

static bool ublk_shmem_reg_is_valid(const struct ublk_shmem_buf_reg *reg)
{
	return !(reg->flags & ~UBLK_SHMEM_BUF_READ_ONLY) && !reg->reserved && reg->len &&
	       reg->len <= UBLK_SHMEM_MAX_SIZE && PAGE_ALIGNED(reg->len) &&
	       PAGE_ALIGNED(reg->addr);
}

/**
 * ublk_shmem_register() - REG_BUF
 * @dev: the device
 * @from: a struct ublk_shmem_buf_reg
 * @len: how much may be read there
 *
 * Return: the buffer's index or -errno.
 */
int ublk_shmem_register(struct ublk_device *dev, void __user *from, u32 len)
{
	struct ublk_shmem *shmem = &dev->shmem;
	struct ublk_shmem_buffer *buffer;
	struct ublk_shmem_buf_reg reg;
	u32 index;
	int ret;

	if (!(dev->info.flags & UBLK_F_SHMEM_ZC))
		return -EOPNOTSUPP;
	if (len < sizeof(reg))
		return -EINVAL;
	if (copy_from_user(&reg, from, sizeof(reg)))
		return -EFAULT;
	if (!ublk_shmem_reg_is_valid(&reg))
		return -EINVAL;

	buffer = ublk_shmem_new(dev, &reg);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);
	ret = xa_alloc(&shmem->buffers, &index, XA_ZERO_ENTRY, XA_LIMIT(0, U16_MAX), GFP_KERNEL);
	if (ret)
		goto err_free;
	buffer->index = index;
	ret = ublk_shmem_publish(shmem, buffer);
	if (ret)
		goto err_index;
	/* The buffer may be gone again. */
	return index;

err_index:
	xa_erase(&shmem->buffers, index);
err_free:
	ublk_shmem_free(buffer);
	return ret;
}

/* Take @buffer out of the map, or all if NULL. The caller then waits for those who still look. */
static int ublk_shmem_withdraw(struct ublk_shmem *shmem, struct ublk_shmem_buffer *buffer)
{
	struct ublk_shmem_map *old = ublk_shmem_current_map(shmem), *map = NULL;

	lockdep_assert_held(&shmem->mutex);

	if (buffer) {
		map = ublk_shmem_map_alloc(old->count);
		if (!map)
			return -ENOMEM;
		ublk_shmem_map_copy(map, old, buffer);
	}
	ublk_shmem_replace_map(shmem, map);
	return 0;
}

/* It is freed when the last request in it has ended. */
static void ublk_shmem_send_off(struct ublk_shmem_buffer *buffer)
{
	get_device(&buffer->dev->chardev);
	ublk_shmem_let_go(buffer);
}

static struct ublk_shmem_buffer *ublk_shmem_begin_unregister(struct ublk_shmem *shmem, u32 index)
{
	struct ublk_shmem_buffer *buffer;
	int ret;

	guard(mutex)(&shmem->mutex);

	buffer = xa_load(&shmem->buffers, index);
	if (!buffer || buffer->leaving)
		return ERR_PTR(-ENOENT);
	ret = ublk_shmem_withdraw(shmem, buffer);
	if (ret)
		return ERR_PTR(ret);
	buffer->leaving = true;
	refcount_inc(&buffer->watchers);
	return buffer;
}

/**
 * ublk_shmem_unregister() - UNREG_BUF
 * @dev: the device
 * @index: from REG_BUF
 *
 * Waits until no request is in the buffer any more, so that the server can then unmap it. Other
 * requests go on meanwhile.
 *
 * Return: 0 or -errno. -EINTR if a signal came; the buffer goes all the same.
 */
int ublk_shmem_unregister(struct ublk_device *dev, u64 index)
{
	struct ublk_shmem_buffer *buffer;
	int ret;

	if (!(dev->info.flags & UBLK_F_SHMEM_ZC))
		return -EOPNOTSUPP;
	if (index > U16_MAX)
		return -EINVAL;
	buffer = ublk_shmem_begin_unregister(&dev->shmem, index);
	if (IS_ERR(buffer))
		return PTR_ERR(buffer);

	/* Pairs with rcu_read_lock() in ublk_shmem_match(). */
	synchronize_rcu();
	ublk_shmem_send_off(buffer);
	ret = wait_for_completion_interruptible(&buffer->gone);
	ublk_shmem_unwatch(buffer);
	return ret ? -EINTR : 0;
}

/* The server has closed the device: nobody is left who could answer requests in its memory. */
void ublk_shmem_clear(struct ublk_device *dev)
{
	struct ublk_shmem *shmem = &dev->shmem;
	struct ublk_shmem_buffer *buffer;
	unsigned long index;

	if (!(dev->info.flags & UBLK_F_SHMEM_ZC))
		return;

	guard(mutex)(&shmem->mutex);

	ublk_shmem_withdraw(shmem, NULL);
	synchronize_rcu();
	xa_for_each(&shmem->buffers, index, buffer) {
		if (buffer->leaving)
			continue;
		buffer->leaving = true;
		ublk_shmem_send_off(buffer);
	}
}

/* Returns the extent with page @pfn, or NULL. */
static const struct ublk_shmem_extent *ublk_shmem_find(const struct ublk_shmem_map *map,
						       unsigned long pfn)
{
	unsigned long from = 0, to = map->count;

	while (from < to) {
		unsigned long middle = from + (to - from) / 2;
		const struct ublk_shmem_extent *extent = &map->extents[middle];

		if (pfn < extent->pfn)
			to = middle;
		else if (pfn - extent->pfn >= extent->nr_pages)
			from = middle + 1;
		else
			return extent;
	}
	return NULL;
}

/* The one buffer in which all of the request lies, in one piece, or NULL. */
static struct ublk_shmem_buffer *ublk_shmem_locate(const struct ublk_shmem_map *map,
						   struct request *rq, u64 *offset)
{
	struct ublk_shmem_buffer *buffer = NULL;
	const struct ublk_shmem_extent *extent;
	struct req_iterator iter;
	struct bio_vec bvec;
	u64 next = 0, at;

	rq_for_each_bvec(bvec, rq, iter) {
		unsigned long pfn = page_to_pfn(bvec.bv_page) + (bvec.bv_offset >> PAGE_SHIFT);
		size_t in_page = offset_in_page(bvec.bv_offset);

		extent = ublk_shmem_find(map, pfn);
		if (!extent)
			return NULL;
		at = ((u64)(pfn - extent->pfn) << PAGE_SHIFT) + in_page;
		if (at + bvec.bv_len > (u64)extent->nr_pages << PAGE_SHIFT)
			return NULL;
		at += (u64)extent->first << PAGE_SHIFT;

		if (!buffer)
			*offset = at;
		else if (extent->buffer != buffer || at != next)
			return NULL;
		buffer = extent->buffer;
		next = at + bvec.bv_len;
	}
	return buffer;
}

/**
 * ublk_shmem_match() - does a request lie in a shared buffer?
 * @dev: the device
 * @rq: a request with data; if so, it uses the buffer until ublk_shmem_let_go()
 * @addr: set then: buffer and place, as the descriptor tells them
 */
bool ublk_shmem_match(struct ublk_device *dev, struct request *rq, u64 *addr)
{
	struct ublk_request *pdu = blk_mq_rq_to_pdu(rq);
	const struct ublk_shmem_map *map;
	struct ublk_shmem_buffer *buffer;
	u64 offset;

	guard(rcu)();
	map = rcu_dereference(dev->shmem.map);
	buffer = map ? ublk_shmem_locate(map, rq, &offset) : NULL;
	/* What is read from the disk is written to the buffer. */
	if (!buffer || ((buffer->flags & UBLK_SHMEM_BUF_READ_ONLY) && !op_is_write(req_op(rq))))
		return false;

	/* The map's own reference is not dropped before a grace period. */
	refcount_inc(&buffer->users);
	pdu->shared = buffer;
	*addr = ublk_shmem_zc_addr(buffer->index, offset);
	return true;
}

void ublk_shmem_init(struct ublk_shmem *shmem)
{
	mutex_init(&shmem->mutex);
	xa_init_flags(&shmem->buffers, XA_FLAGS_ALLOC | XA_FLAGS_ACCOUNT);
}

/* The device is freed: there is no request, and no buffer is leaving. */
void ublk_shmem_exit(struct ublk_shmem *shmem)
{
	struct ublk_shmem_buffer *buffer;
	unsigned long index;

	xa_for_each(&shmem->buffers, index, buffer)
		ublk_shmem_free(buffer);
	xa_destroy(&shmem->buffers);
	kvfree(rcu_dereference_protected(shmem->map, true));
	mutex_destroy(&shmem->mutex);
}
