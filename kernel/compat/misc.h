/* SPDX-License-Identifier: GPL-2.0-only */
/* What is too small for a header of its own: devices, files, memory mappings, locks, strings. */
#ifndef COMPAT_MISC_H
#define COMPAT_MISC_H

#include <linux/cleanup.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/uio.h>

#ifndef __guarded_by			/* v7.0: checked by Clang */
#define __guarded_by(...)
#endif

#ifndef timer_container_of		/* v6.16 */
#define timer_container_of(var, timer, member)	from_timer(var, timer, member)
#endif

#if !COMPAT_HAVE_GUARD_SPINLOCK_BH	/* v6.15 */
DEFINE_LOCK_GUARD_1(spinlock_bh, spinlock_t, spin_lock_bh(_T->lock), spin_unlock_bh(_T->lock))
#endif

#if !COMPAT_HAVE_IMPORT_UBUF		/* v6.3 */
static inline int import_ubuf(int direction, void __user *buf, size_t len, struct iov_iter *iter)
{
	len = min_t(size_t, len, MAX_RW_COUNT);
	if (unlikely(!access_ok(buf, len)))
		return -EFAULT;
	iov_iter_ubuf(iter, direction, buf, len);
	return 0;
}
#endif

#if !COMPAT_HAVE_VM_FLAGS_CLEAR		/* v6.3 */
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	mmap_assert_write_locked(vma->vm_mm);
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
	mmap_assert_write_locked(vma->vm_mm);
	vma->vm_flags &= ~flags;
}
#endif

#if !COMPAT_HAVE_CLASS_CREATE_1_ARG	/* v6.4 */
#undef class_create
#define class_create(name) ({							\
	static struct lock_class_key compat_class_key;				\
										\
	__class_create(THIS_MODULE, name, &compat_class_key);			\
})
#endif

/*
 * UBLK_DEFINE_DEVNODE(name, body): a callback for class.devnode that calls
 * char *body(const struct device *dev, umode_t *mode).
 */
#if COMPAT_HAVE_DEVNODE_CONST		/* v6.2 */
#define COMPAT_DEVNODE_CONST	const
#else
#define COMPAT_DEVNODE_CONST
#endif

#define UBLK_DEFINE_DEVNODE(name, body)						\
static char *(name)(COMPAT_DEVNODE_CONST struct device *dev, umode_t *mode)			\
{										\
	return body(dev, mode);							\
}

#if !COMPAT_HAVE_MNT_IDMAP		/* v6.3 */
#define nop_mnt_idmap	init_user_ns
#endif

/* Take a reference unless the last one is gone. Pairs with fput(). */
static inline bool ublk_get_live_file(struct file *file)
{
#if COMPAT_HAVE_FILE_REF		/* v6.13 */
	return file_ref_get(&file->f_ref);
#else
	return atomic_long_inc_not_zero(&file->f_count);
#endif
}

#if !COMPAT_HAVE_STRSCPY_2_ARGS		/* v6.9 */
#define compat_strscpy_2(to, from)		strscpy(to, from, sizeof(to) + __must_be_array(to))
#define compat_strscpy_3(to, from, size)	strscpy(to, from, size)
#define strscpy(to, ...) \
	CONCATENATE(compat_strscpy_, COUNT_ARGS(to, ##__VA_ARGS__))(to, __VA_ARGS__)
#endif

#endif
