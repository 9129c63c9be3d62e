// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory of a queue: its slots, and the descriptors that the server maps. Both live as long
 * as the device, so a mapping or a request can outlast any server.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "slot.h"
#include "ublk.h"

/* Bytes that one queue's descriptors take up in a mapping. */
static size_t ublk_queue_descs_size(const struct ublk_device *dev, size_t depth)
{
	return PAGE_ALIGN(depth * dev->info.io_desc_size);
}

int ublk_queue_init(struct ublk_queue *queue, struct ublk_device *dev, u16 id)
{
	queue->dev = dev;
	queue->id = id;
	queue->depth = dev->info.queue_depth;
	queue->desc_size = dev->info.io_desc_size;
	queue->features = dev->info.flags;

	/* Single pages that a mapping holds on to; no large block to search for. */
	queue->descs = __vmalloc(ublk_queue_descs_size(dev, queue->depth),
				 GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!queue->descs)
		return -ENOMEM;

	queue->slots = kvzalloc_objs(*queue->slots, queue->depth, GFP_KERNEL_ACCOUNT);
	if (!queue->slots) {
		vfree(queue->descs);
		queue->descs = NULL;
		return -ENOMEM;
	}
	for (u16 tag = 0; tag < queue->depth; tag++)
		ublk_slot_init(&queue->slots[tag], queue, tag);
	if (ublk_batch_init(queue)) {
		ublk_queue_free(queue);
		return -ENOMEM;
	}
	return 0;
}

void ublk_queue_free(struct ublk_queue *queue)
{
	ublk_batch_free(queue);
	kvfree(queue->slots);
	vfree(queue->descs);
}

/* remap_vmalloc_range() wants memory that was allocated for it, which is nobody's expense. */
static int ublk_queue_map_descs(const struct ublk_queue *queue, struct vm_area_struct *vma)
{
	size_t size = vma->vm_end - vma->vm_start;
	int ret = 0;

	for (size_t at = 0; at < size && !ret; at += PAGE_SIZE)
		ret = vm_insert_page(vma, vma->vm_start + at, vmalloc_to_page(queue->descs + at));
	return ret;
}

/* Map the descriptors of the queue that the offset names. */
int ublk_queue_mmap(struct ublk_device *dev, struct vm_area_struct *vma)
{
	unsigned long stride, id;

	if (vma->vm_flags & VM_WRITE)
		return -EPERM;
	if (vma->vm_end - vma->vm_start != ublk_queue_descs_size(dev, dev->info.queue_depth))
		return -EINVAL;
	stride = ublk_queue_descs_size(dev, UBLK_MAX_QUEUE_DEPTH) >> PAGE_SHIFT;
	if (vma->vm_pgoff % stride)
		return -EINVAL;
	id = vma->vm_pgoff / stride;
	if (id >= dev->info.nr_hw_queues)
		return -EINVAL;

	/* The server must not be able to make it writable later, and it is no child's. */
	vm_flags_clear(vma, VM_MAYWRITE);
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	return ublk_queue_map_descs(&dev->queues[id], vma);
}
