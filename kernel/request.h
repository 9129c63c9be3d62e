/* SPDX-License-Identifier: GPL-2.0-only */
/* What the protocol calls the operation of a request. */
#ifndef UBLK_REQUEST_H
#define UBLK_REQUEST_H

#include <linux/blk-mq.h>

#include <linux/ublk_cmd.h>

#include "zoned.h"

/* The protocol's name of the operation, or -1. */
static inline int ublk_request_op(const struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return UBLK_IO_OP_READ;
	case REQ_OP_WRITE:
		return UBLK_IO_OP_WRITE;
	case REQ_OP_FLUSH:
		return UBLK_IO_OP_FLUSH;
	case REQ_OP_DISCARD:
		return UBLK_IO_OP_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return UBLK_IO_OP_WRITE_ZEROES;
	default:
		return ublk_zoned_op(rq);
	}
}

#endif /* UBLK_REQUEST_H */
