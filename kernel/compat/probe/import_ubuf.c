// SPDX-License-Identifier: GPL-2.0-only
/* v6.3: import_ubuf() */
#include <linux/uio.h>

int probe(void __user *buf, size_t len, struct iov_iter *iter)
{
	return import_ubuf(ITER_DEST, buf, len, iter);
}
