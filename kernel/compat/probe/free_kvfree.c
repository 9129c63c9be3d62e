// SPDX-License-Identifier: GPL-2.0-only
/* v6.9: __free(kvfree) */
#include <linux/slab.h>

void probe(void)
{
	void *memory __free(kvfree) = NULL;

	(void)memory;
}
