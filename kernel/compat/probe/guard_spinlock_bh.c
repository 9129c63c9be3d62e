// SPDX-License-Identifier: GPL-2.0-only
/* v6.15, back-ported to 6.12: guard(spinlock_bh) */
#include <linux/spinlock.h>

void probe(spinlock_t *lock)
{
	guard(spinlock_bh)(lock);
}
