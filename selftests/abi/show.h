/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prints one constant, for the program that describe writes. */
#include <errno.h>
#include <stdio.h>

#define SIGN(x) ((__typeof__(x))-1 < 1 ? "signed" : "unsigned")
#define SHOW(name, x) printf("constant %s = %lld, %zu bytes, %s\n", name, \
			     (long long)(x), sizeof(x), SIGN(x))
