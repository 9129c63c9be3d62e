// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves data between a request's pages and the memory of the server, one of whose tasks calls. A
 * bvec can span many pages; each is copied in one piece, and no page is pinned.
 *
 * Nothing is copied while a page fault could be taken: that may wait for anything, even for this
 * disk, whose only free tag may be that of the request. Who copies less than wanted gives up the
 * request, faults the memory in, and goes on if the request is still there.
 */
#include <linux/blk-mq.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "slot.h"
#include "trace.h"
#include "ublk.h"

/**
 * ublk_copy_bvec() - copy one piece of a request, as far as the server's memory is there
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
	pagefault_disable();
	copied = copy->to_user ? _copy_to_iter(kernel, piece, copy->user) :
				 _copy_from_iter(kernel, piece, copy->user);
	pagefault_enable();
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

/**
 * ublk_copy_fault_in() - wait for the server's memory
 * @server: whose memory it is; the caller has no request of its device
 * @user: the memory
 * @bytes: how much of it
 * @to_user: it must be writable
 *
 * Return: whether there is some of it now.
 */
bool ublk_copy_fault_in(struct ublk_server *server, const struct iov_iter *user, size_t bytes,
			bool to_user)
{
	size_t missing;

	ublk_server_begin_fault(server);
	missing = to_user ? fault_in_iov_iter_writeable(user, bytes) :
			    fault_in_iov_iter_readable(user, bytes);
	ublk_server_end_fault(server);
	return missing < bytes;
}

static void ublk_hands_do_nothing(struct ublk_hands *hands)
{
}

/* Of a task that has nothing in hand but what it copies. */
struct ublk_hands ublk_empty_hands = {
	.lay_down	= ublk_hands_do_nothing,
	.pick_up	= ublk_hands_do_nothing,
};

/* As ublk_copy_fault_in(), for the owner of a slot, who gives it up meanwhile. */
static enum ublk_copied ublk_copy_await_memory(struct ublk_slot *slot, struct request *rq,
					       enum ublk_slot_state owner,
					       const struct iov_iter *user, bool to_user,
					       struct ublk_hands *hands)
{
	struct ublk_server *server = slot->queue->dev->server;
	bool there;

	hands->lay_down(hands);
	ublk_slot_begin_fault(slot, rq, owner);
	there = ublk_copy_fault_in(server, user, iov_iter_count(user), to_user);
	hands->pick_up(hands);
	if (!there && fatal_signal_pending(current)) {
		/* It did not come because the server dies. The request is taken back as usual. */
		ublk_server_lost(server, slot->ring);
		return UBLK_COPY_LOST;
	}
	if (!ublk_slot_end_fault(slot, owner))
		return UBLK_COPY_LOST;
	return there ? UBLK_COPIED : UBLK_COPY_BAD_BUFFER;
}

/**
 * ublk_copy_with_server() - move the first data of a request to or from a buffer of the server
 * @rq: the request
 * @owner: in which state of its slot the caller owns it
 * @addr: the buffer
 * @bytes: how much
 * @to_user: to the buffer
 * @hands: what the task has in hand besides; what becomes of that is not in the result
 *
 * Runs in the server's task.
 *
 * Return: see there.
 */
enum ublk_copied ublk_copy_with_server(struct request *rq, enum ublk_slot_state owner, u64 addr,
				       size_t bytes, bool to_user, struct ublk_hands *hands)
{
	struct ublk_slot *slot = ublk_request_slot(rq);
	enum ublk_copied ret;
	size_t done = 0, piece;
	struct iov_iter user;
	int tries = 0;

	if (import_ubuf(to_user ? ITER_DEST : ITER_SOURCE, u64_to_user_ptr(addr), bytes, &user) ||
	    iov_iter_count(&user) != bytes)
		return UBLK_COPY_BAD_BUFFER;
	while (true) {
		piece = ublk_copy(rq, done, &user, to_user);
		done += piece;
		if (likely(done == bytes))
			return UBLK_COPIED;
		tries = piece ? 0 : tries + 1;
		if (tries > UBLK_FAULT_TRIES)
			return UBLK_COPY_BAD_BUFFER;
		ret = ublk_copy_await_memory(slot, rq, owner, &user, to_user, hands);
		if (ret != UBLK_COPIED)
			return ret;
	}
}

/* As much of the data behind @offset as @to has room for and is there; returns how much it was. */
size_t ublk_copy_to_iter(struct request *rq, size_t offset, struct iov_iter *to)
{
	return ublk_copy(rq, offset, to, true);
}

/* As much as fits behind @offset and is there; returns how much that was. */
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
