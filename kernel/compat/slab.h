/* SPDX-License-Identifier: GPL-2.0-only */
/* Memory allocation. */
#ifndef COMPAT_SLAB_H
#define COMPAT_SLAB_H

#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#if !COMPAT_HAVE_KZALLOC_OBJ	/* v7.0 */
/* Some kernels have only a part of the family, or one without default flags. */
#undef kmalloc_obj
#undef kmalloc_objs
#undef kmalloc_flex
#undef kzalloc_obj
#undef kzalloc_objs
#undef kzalloc_flex
#undef kvmalloc_obj
#undef kvmalloc_objs
#undef kvmalloc_flex
#undef kvzalloc_obj
#undef kvzalloc_objs
#undef kvzalloc_flex

/* GFP_KERNEL unless the caller names other flags. */
#define compat_gfp_2nd(none, gfp, ...)	gfp
#define compat_gfp(...)			compat_gfp_2nd(, ##__VA_ARGS__, GFP_KERNEL)

#define compat_alloc_objs(alloc, gfp, type, count) \
	((type *)alloc(size_mul(sizeof(type), count), gfp))

#define compat_alloc_flex(alloc, gfp, type, member, count) \
	((type *)alloc(struct_size((type *)NULL, member, count), gfp))

#define kmalloc_obj(p, ...) \
	compat_alloc_objs(kmalloc, compat_gfp(__VA_ARGS__), typeof(p), 1)
#define kmalloc_objs(p, count, ...) \
	compat_alloc_objs(kmalloc, compat_gfp(__VA_ARGS__), typeof(p), count)
#define kmalloc_flex(p, member, count, ...) \
	compat_alloc_flex(kmalloc, compat_gfp(__VA_ARGS__), typeof(p), member, count)
#define kzalloc_obj(p, ...) \
	compat_alloc_objs(kzalloc, compat_gfp(__VA_ARGS__), typeof(p), 1)
#define kzalloc_objs(p, count, ...) \
	compat_alloc_objs(kzalloc, compat_gfp(__VA_ARGS__), typeof(p), count)
#define kzalloc_flex(p, member, count, ...) \
	compat_alloc_flex(kzalloc, compat_gfp(__VA_ARGS__), typeof(p), member, count)
#define kvmalloc_obj(p, ...) \
	compat_alloc_objs(kvmalloc, compat_gfp(__VA_ARGS__), typeof(p), 1)
#define kvmalloc_objs(p, count, ...) \
	compat_alloc_objs(kvmalloc, compat_gfp(__VA_ARGS__), typeof(p), count)
#define kvmalloc_flex(p, member, count, ...) \
	compat_alloc_flex(kvmalloc, compat_gfp(__VA_ARGS__), typeof(p), member, count)
#define kvzalloc_obj(p, ...) \
	compat_alloc_objs(kvzalloc, compat_gfp(__VA_ARGS__), typeof(p), 1)
#define kvzalloc_objs(p, count, ...) \
	compat_alloc_objs(kvzalloc, compat_gfp(__VA_ARGS__), typeof(p), count)
#define kvzalloc_flex(p, member, count, ...) \
	compat_alloc_flex(kvzalloc, compat_gfp(__VA_ARGS__), typeof(p), member, count)
#endif

#endif
