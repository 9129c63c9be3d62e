// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves data between a request's pages and the memory of the server, one of whose tasks calls. A
 * bvec can span many pages; each is copied in one piece, and no page is pinned.
 */
#include <linux/blk-mq.h>
#include <linux/uio.h>

#include "trace.h"
#include "ublk.h"

/**
 * ublk_copy_bvec() - copy one piece of a request
 * @copy: what is to be copied, and how far that is
 * @bvec: the next piece of the request's data or metadata
 *
 * Return: whether there is more to copy.
 */
bool ublk_copy_bvec(struct ublk_copy *copy, const struct bio_vec *bvec)
{
	size_t piece, copied;
	void *kernel;

	/* All of memory is mapped, so a bvec is one stretch of kernel addresses. */
	BUILD_BUG_ON(IS_ENABLED(CONFIG_HIGHMEM));

	if (copy->offset >= bvec->bv_len) {
		copy->offset -= bvec->bv_len;
		return true;
	}
	piece = min(bvec->bv_len - copy->offset, iov_iter_count(copy->user));
	kernel = page_address(bvec->bv_page) + bvec->bv_offset + copy->offset;
	/*
	 * The unchecked variants: hardened usercopy allows a copy within one folio, but a bvec may
	 * join neighbours. Its pages belong to the request, and these do check the user's side.
	 */
	copied = copy->to_user ? _copy_to_iter(kernel, piece, copy->user) :
				 _copy_from_iter(kernel, piece, copy->user);
	copy->offset = 0;
	copy->done += copied;
	return copied == piece && iov_iter_count(copy->user);
}

/* Returns how much of the data of @rq behind @offset was copied. */
static size_t ublk_copy(struct request *rq, size_t offset, struct iov_iter *user, bool to_user)
{
	struct ublk_copy copy = { .user = user, .offset = offset, .to_user = to_user };
	struct req_iterator iter;
	struct bio_vec bvec;

	rq_for_each_bvec(bvec, rq, iter) {
		if (!ublk_copy_bvec(&copy, &bvec))
			break;
	}
	trace_ublk_copy(rq, copy.done);
	return copy.done;
}

/* The data of a WRITE goes to the server's buffer. */
size_t ublk_copy_to_server(struct request *rq, u64 addr, size_t len)
{
	struct iov_iter user;

	if (import_ubuf(ITER_DEST, u64_to_user_ptr(addr), len, &user))
		return 0;
	return ublk_copy(rq, 0, &user, true);
}

/* What the server read goes to the request. */
size_t ublk_copy_from_server(struct request *rq, u64 addr, size_t len)
{
	struct iov_iter user;

	if (import_ubuf(ITER_SOURCE, u64_to_user_ptr(addr), len, &user))
		return 0;
	return ublk_copy(rq, 0, &user, false);
}

/* As much of the data behind @offset as @to has room for; returns how much that was. */
size_t ublk_copy_to_iter(struct request *rq, size_t offset, struct iov_iter *to)
{
	return ublk_copy(rq, offset, to, true);
}

/* As much as fits behind @offset; returns how much that was. */
size_t ublk_copy_from_iter(struct request *rq, size_t offset, struct iov_iter *from)
{
	return ublk_copy(rq, offset, from, false);
}

/* What nobody has written of a READ: @len bytes behind @offset. */
void ublk_copy_zeroes(struct request *rq, size_t offset, size_t len)
{
	struct req_iterator iter;
	struct bio_vec bvec;

	rq_for_each_bvec(bvec, rq, iter) {
		size_t skip = min_t(size_t, bvec.bv_len, offset);
		size_t piece = min_t(size_t, bvec.bv_len - skip, len);

		memset(page_address(bvec.bv_page) + bvec.bv_offset + skip, 0, piece);
		offset -= skip;
		len -= piece;
		if (!len)
			break;
	}
}
