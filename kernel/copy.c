// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves data between a request's pages and the server's memory, in the server's task. A bvec can
 * span many pages; each is copied in one piece, and no page is pinned.
 */
#include <linux/blk-mq.h>
#include <linux/uio.h>

#include "ublk.h"

typedef size_t (*ublk_copy_fn)(void *kernel, size_t len, struct iov_iter *user);

/*
 * The unchecked variants: hardened usercopy allows a copy within one folio, but a bvec may join
 * neighbours. Its pages belong to the request, and _copy_*_iter() does check the user's side.
 */
static size_t ublk_copy_piece_to_user(void *kernel, size_t len, struct iov_iter *user)
{
	return _copy_to_iter(kernel, len, user);
}

static size_t ublk_copy_piece_from_user(void *kernel, size_t len, struct iov_iter *user)
{
	return _copy_from_iter(kernel, len, user);
}

/* Returns how many of the first @len bytes of @rq were copied. */
static size_t ublk_copy(struct request *rq, struct iov_iter *user, size_t len,
			ublk_copy_fn copy_piece)
{
	struct req_iterator iter;
	struct bio_vec bvec;
	size_t done = 0;

	/* All of memory is mapped, so a bvec is one stretch of kernel addresses. */
	BUILD_BUG_ON(IS_ENABLED(CONFIG_HIGHMEM));

	rq_for_each_bvec(bvec, rq, iter) {
		size_t piece = min_t(size_t, bvec.bv_len, len - done);
		size_t copied;

		copied = copy_piece(page_address(bvec.bv_page) + bvec.bv_offset, piece, user);
		done += copied;
		if (copied < piece || done == len)
			break;
	}
	return done;
}

/* The data of a WRITE goes to the server's buffer. */
size_t ublk_copy_to_server(struct request *rq, u64 addr, size_t len)
{
	struct iov_iter user;

	if (import_ubuf(ITER_DEST, u64_to_user_ptr(addr), len, &user))
		return 0;
	return ublk_copy(rq, &user, len, ublk_copy_piece_to_user);
}

/* What the server read goes to the request. */
size_t ublk_copy_from_server(struct request *rq, u64 addr, size_t len)
{
	struct iov_iter user;

	if (import_ubuf(ITER_SOURCE, u64_to_user_ptr(addr), len, &user))
		return 0;
	return ublk_copy(rq, &user, len, ublk_copy_piece_from_user);
}
