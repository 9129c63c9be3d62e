// SPDX-License-Identifier: GPL-2.0-only
/*
 * User copy: the server moves a request's data itself, with pread() and pwrite() on /dev/ublkcN at
 * a position that names queue, tag and byte. Any of its threads may, at any time: the request is
 * held (slot.h) while a copy is under way, but not while a page fault is, which can take for ever.
 */
#include <linux/blk-mq.h>
#include <linux/fs.h>
#include <linux/nospec.h>
#include <linux/uio.h>

#include "integrity.h"
#include "slot.h"
#include "ublk.h"

/**
 * struct ublk_place - what a call is about
 * @offset: bytes into the data, or the metadata
 * @metadata: the metadata, not the data
 */
struct ublk_place {
	size_t offset;
	bool metadata;
};

/* Which request a position is in, and where in it; NULL: in none. */
static struct ublk_slot *ublk_user_copy_find(struct ublk_device *dev, loff_t position,
					     struct ublk_place *where)
{
	const struct ublksrv_ctrl_dev_info *info = &dev->info;
	u64 place;
	u16 queue, tag;

	where->metadata = position & UBLKSRV_IO_INTEGRITY_FLAG;
	if (where->metadata && !(info->flags & UBLK_F_INTEGRITY))
		return NULL;
	position &= ~UBLKSRV_IO_INTEGRITY_FLAG;
	place = position - UBLKSRV_IO_BUF_OFFSET;
	if (position < UBLKSRV_IO_BUF_OFFSET || place >= UBLKSRV_IO_BUF_TOTAL_SIZE)
		return NULL;
	where->offset = place & UBLK_IO_BUF_BITS_MASK;
	tag = place >> UBLK_TAG_OFF & UBLK_TAG_BITS_MASK;
	queue = place >> UBLK_QID_OFF & UBLK_QID_BITS_MASK;
	if (queue >= info->nr_hw_queues || tag >= info->queue_depth)
		return NULL;
	queue = array_index_nospec(queue, info->nr_hw_queues);
	tag = array_index_nospec(tag, info->queue_depth);
	return &dev->queues[queue].slots[tag];
}

static size_t ublk_user_copy_write_data(struct request *rq, size_t start, struct iov_iter *from,
					size_t wanted)
{
	size_t filled = ublk_filled_claim(rq, start, start + wanted);
	size_t done = ublk_copy_from_iter(rq, start, from);

	if (unlikely(done < wanted))
		ublk_filled_disclaim(rq, max(filled, start + done), start + wanted);
	return done;
}

/*
 * The server reads what is written to the disk, and writes what is read from it. Returns how much
 * of @wanted was copied, or -errno.
 */
static ssize_t ublk_user_copy_move(struct request *rq, const struct ublk_place *where,
				   struct iov_iter *user, bool server_reads, size_t *wanted)
{
	size_t bytes = where->metadata ? ublk_integrity_bytes(rq) : blk_rq_bytes(rq);

	if (!blk_rq_has_data(rq))
		return -EINVAL;
	/* A request need not have metadata, even on a disk that has. */
	if (where->offset > bytes)
		return where->metadata && !bytes ? 0 : -EINVAL;
	if (server_reads != op_is_write(req_op(rq)))
		return -EACCES;

	*wanted = min(iov_iter_count(user), bytes - where->offset);
	if (where->metadata)
		return ublk_integrity_copy(rq, where->offset, user, server_reads);
	if (server_reads)
		return ublk_copy_to_iter(rq, where->offset, user);
	return ublk_user_copy_write_data(rq, where->offset, user, *wanted);
}

/* As far as the server's memory is there. */
static ssize_t ublk_user_copy_some(struct ublk_slot *slot, const struct ublk_place *where,
				   struct iov_iter *user, bool server_reads, size_t *wanted)
{
	struct request *rq = ublk_request_hold(slot);
	ssize_t ret;

	if (!rq)
		return -EINVAL;
	ret = ublk_user_copy_move(rq, where, user, server_reads, wanted);
	ublk_request_let_go(rq);
	return ret;
}

/*
 * A server that commits meanwhile gets what it asked for: the rest goes to or comes from whatever
 * request is there then, or none.
 */
static ssize_t ublk_user_copy_all(struct ublk_slot *slot, struct ublk_place *where,
				  struct iov_iter *user, bool server_reads)
{
	ssize_t done = 0, ret;
	int tries = 0;

	while (true) {
		size_t wanted;

		ret = ublk_user_copy_some(slot, where, user, server_reads, &wanted);
		if (ret < 0)
			return done ?: ret;
		done += ret;
		where->offset += ret;
		if (likely(ret == wanted))
			return done;
		tries = ret ? 0 : tries + 1;
		if (tries > UBLK_FAULT_TRIES ||
		    !ublk_copy_fault_in(slot->queue->dev->server, user, wanted - ret, server_reads))
			return done ?: -EFAULT;
	}
}

static ssize_t ublk_user_copy(struct kiocb *iocb, struct iov_iter *user, bool server_reads)
{
	struct ublk_server *server = iocb->ki_filp->private_data;
	struct ublk_place where;
	struct ublk_slot *slot;

	if (!(server->dev->info.flags & UBLK_F_USER_COPY) || !user_backed_iter(user))
		return -EACCES;
	/* As with descriptors: what the disk's users do is for the server's eyes. */
	if (current->mm != server->mm)
		return -EINVAL;

	slot = ublk_user_copy_find(server->dev, iocb->ki_pos, &where);
	if (!slot)
		return -EINVAL;
	return ublk_user_copy_all(slot, &where, user, server_reads);
}

ssize_t ublk_user_copy_read(struct kiocb *iocb, struct iov_iter *to)
{
	return ublk_user_copy(iocb, to, true);
}

ssize_t ublk_user_copy_write(struct kiocb *iocb, struct iov_iter *from)
{
	return ublk_user_copy(iocb, from, false);
}
