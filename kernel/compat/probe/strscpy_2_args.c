// SPDX-License-Identifier: GPL-2.0-only
/* v6.9: strscpy() takes the size of an array by itself */
#include <linux/string.h>

void probe(const char *from)
{
	char to[8];

	strscpy(to, from);
}
