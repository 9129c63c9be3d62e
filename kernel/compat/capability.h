/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What this kernel lets the driver do and no shim can make up for. The driver reads these in
 * plain C where it negotiates features.
 */
#ifndef COMPAT_CAPABILITY_H
#define COMPAT_CAPABILITY_H

/* io_uring asks us to cancel parked commands; without it see server_monitor.h. */
#define UBLK_CAN_CANCEL_CMD	COMPAT_HAVE_CMD_CANCELABLE

/* A request's pages can be put into a ring's buffer table. */
#define UBLK_CAN_ZERO_COPY	COMPAT_HAVE_IO_BUFFER_REGISTER

/* One command can post many completions. */
#define UBLK_CAN_BATCH		COMPAT_HAVE_CMD_MULTISHOT

/* A disk's metadata format is part of its queue limits. */
#define UBLK_CAN_INTEGRITY	COMPAT_HAVE_INTEGRITY_LIMITS

/* The block layer computes checksums of data that lie in any pieces of memory. */
#define UBLK_CAN_SPLIT_INTERVALS	COMPAT_HAVE_INTEGRITY_SPLIT

#endif
