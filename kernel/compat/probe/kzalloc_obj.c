// SPDX-License-Identifier: GPL-2.0-only
/* v7.0, back-ported to 6.12: typed allocation, kzalloc_obj() and its relatives */
#include <linux/slab.h>

struct item {
	unsigned int nr;
	int value[];
};

void *probe(struct item *item, int *array)
{
	item = kzalloc_flex(*item, value, 4);
	kvfree(item);
	array = kvzalloc_objs(*array, 4, GFP_NOIO);
	kvfree(array);
	return kzalloc_obj(*item);
}
