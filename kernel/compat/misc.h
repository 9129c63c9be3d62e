/* SPDX-License-Identifier: GPL-2.0-only */
/* What is too small for a header of its own: devices, files, memory mappings. */
#ifndef COMPAT_MISC_H
#define COMPAT_MISC_H

#include <linux/device.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uio.h>

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
static inline void vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
	/* mmap_assert_write_locked() needs what no module can have in a kernel with DEBUG_VM. */
	lockdep_assert_held_write(&vma->vm_mm->mmap_lock);
	vma->vm_flags &= ~flags;
}

static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	lockdep_assert_held_write(&vma->vm_mm->mmap_lock);
	vma->vm_flags |= flags;
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

#if !COMPAT_HAVE_MNT_IDMAP		/* v6.3 */
#define nop_mnt_idmap	init_user_ns
#endif

#endif
