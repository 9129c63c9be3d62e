// SPDX-License-Identifier: GPL-2.0-only
/* v6.3: vma->vm_flags is changed through helpers that lock the VMA */
#include <linux/mm.h>

void probe(struct vm_area_struct *vma)
{
	vm_flags_set(vma, VM_DONTCOPY);
	vm_flags_clear(vma, VM_MAYWRITE);
}
