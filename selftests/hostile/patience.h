/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Limits in the sources are those of a stock kernel. On one that checks everything it does things
 * take longer, and UBLK_TEST_TIME_FACTOR says how many times as long they may take. Included before
 * everything else, so that it holds for the limits of the kselftest harness, too.
 */
#ifndef HOSTILE_PATIENCE_H
#define HOSTILE_PATIENCE_H

#include <stdlib.h>
#include <unistd.h>

static inline int patience(int limit)
{
	const char *factor = getenv("UBLK_TEST_TIME_FACTOR");

	return factor ? limit * atoi(factor) : limit;
}

#define alarm(seconds) alarm(patience(seconds))

#endif /* HOSTILE_PATIENCE_H */
