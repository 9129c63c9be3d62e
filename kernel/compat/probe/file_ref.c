// SPDX-License-Identifier: GPL-2.0-only
/* v6.13: struct file has a file_ref_t */
#include <linux/fs.h>

bool probe(struct file *file)
{
	return file_ref_get(&file->f_ref);
}
