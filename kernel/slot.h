/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slots: one per tag, each owned by exactly one side at a time. slot.c is the only place where a
 * slot changes hands, and it does so by compare-and-exchange, so whatever happens at the same
 * time, one side wins and the others are told that they lost.
 *
 *	    fetch           claim            deliver           take
 *   EMPTY -------> ARMED -------> CLAIMED ---------> SERVER -------> COMMIT
 *                   ^ ^              |                  |              |
 *                   | +--- unclaim --+                  |              |
 *                   +------------------- rearm ---------|--------------+
 *
 *   What could not be told the server after all is moved from SERVER to COMMIT, and back to CLAIMED
 *   by take_back, to be delivered later.
 *
 *   A request whose data the server takes later goes a longer way: offer moves CLAIMED to
 *   OFFERED, take_offered that to COMMIT while the data is copied, then hand_back to SERVER, or
 *   refuse back to OFFERED.
 *
 *   Memory of the server's that is not there is faulted in by its task, which can have to wait for
 *   anything, even for the request itself. Meanwhile the slot is nobody's: begin_fault moves
 *   CLAIMED or COMMIT to FAULTING, end_fault moves it back, if the request has not been aborted.
 *
 *   A task that is lost may never come to take what is on its way to it. The request is taken back
 *   all the same; but the command that brings the task work cannot be answered by anybody else, so
 *   recall moves its slot from CLAIMED to RECALLED, and the task work end_recall to DEAD.
 *
 *   Beside the server, others can be at work on the data of a request, on a queue that counts
 *   them (ublk_queue_counts_holders()). The commit then does not end the request but is one of
 *   those who let go of it, and the last one ends it. The slot goes on meanwhile, up to a new
 *   server; only its next request cannot come, for lack of a free tag.
 *
 *   DEAD is reached by cancel (from ARMED), drop (from CLAIMED), abort (from SERVER, OFFERED
 *   and FAULTING), end_recall (from RECALLED) and retire (from COMMIT); reset makes any slot EMPTY
 *   again when the server has closed the device.
 */
#ifndef UBLK_SLOT_H
#define UBLK_SLOT_H

#include <linux/atomic.h>
#include <linux/cache.h>
#include <linux/types.h>

#include "ublk.h"

/**
 * enum ublk_slot_state - who owns a slot, and with it the command and the request in it
 *
 * @UBLK_SLOT_EMPTY:	nobody; the server has not fetched yet
 * @UBLK_SLOT_ARMED:	the driver: a command is parked, waiting for a request
 * @UBLK_SLOT_PINNED:	as ARMED, while watch.c looks at the command; lasts some instructions
 * @UBLK_SLOT_CLAIMED:	the request: it travels with the command to the server's task
 * @UBLK_SLOT_OFFERED:	the server: it knows of the request and must give a buffer for its data
 * @UBLK_SLOT_SERVER:	the server: it has the request and must commit it
 * @UBLK_SLOT_COMMIT:	the command that is just being handled, a commit or the buffer for data
 * @UBLK_SLOT_FAULTING:	nobody: the server's task makes memory present for the data of the request
 * @UBLK_SLOT_RECALLED:	the command, on its way to the server's task; the request was taken back
 * @UBLK_SLOT_DEAD:	nobody; the server is gone and its command was answered
 */
enum ublk_slot_state {
	UBLK_SLOT_EMPTY,
	UBLK_SLOT_ARMED,
	UBLK_SLOT_PINNED,
	UBLK_SLOT_CLAIMED,
	UBLK_SLOT_OFFERED,
	UBLK_SLOT_SERVER,
	UBLK_SLOT_COMMIT,
	UBLK_SLOT_FAULTING,
	UBLK_SLOT_RECALLED,
	UBLK_SLOT_DEAD,
};

/*
 * Field tags: C constant, L ublk_device.lock, O whoever owns the slot by its state.
 */
struct ublk_slot {
	/* A: enum ublk_slot_state, only for slot.c */
	atomic_t state;
	/* A: how many have not let go of rq yet; 0 on a queue that does not count */
	atomic_t holders;
	/* C: position in the queue, also the blk-mq tag */
	u16 tag;
	/* O: the command; ARMED, PINNED, CLAIMED, RECALLED and, before delivery, FAULTING */
	struct io_uring_cmd *cmd;
	/* O: the server's buffer for the next request */
	u64 addr;
	/* O: the request; OFFERED, SERVER, COMMIT, FAULTING, and while there are holders */
	struct request *rq;
	/* O, changed under L too: NULL in an EMPTY slot */
	struct ublk_ring *ring;
	/* L: the task that fetched; read locklessly to compare, never dereferenced */
	struct task_struct *task;
	/* C */
	struct ublk_queue *queue;
} ____cacheline_aligned_in_smp;

static inline struct ublk_slot *ublk_request_slot(const struct request *rq)
{
	struct ublk_queue *queue = rq->mq_hctx->driver_data;

	return &queue->slots[rq->tag];
}

enum ublk_slot_state ublk_slot_glance(const struct ublk_slot *slot);
void ublk_slot_init(struct ublk_slot *slot, struct ublk_queue *queue, u16 tag);

/* FETCH. The caller holds ublk_device.lock. */
bool ublk_slot_is_empty(const struct ublk_slot *slot);
void ublk_slot_arm(struct ublk_slot *slot, struct io_uring_cmd *cmd, u64 addr);

/* The way of a request. Those that return bool say whether the slot changed hands. */
bool ublk_slot_claim(struct ublk_slot *slot);
void ublk_slot_unclaim(struct ublk_slot *slot);
struct io_uring_cmd *ublk_slot_deliver(struct ublk_slot *slot, struct request *rq);
bool ublk_slot_is_served(const struct ublk_slot *slot);
bool ublk_slot_take(struct ublk_slot *slot);
struct io_uring_cmd *ublk_slot_offer(struct ublk_slot *slot, struct request *rq);
bool ublk_slot_is_offered(const struct ublk_slot *slot);
bool ublk_slot_take_offered(struct ublk_slot *slot);
void ublk_slot_hand_back(struct ublk_slot *slot);
void ublk_slot_take_back(struct ublk_slot *slot);
void ublk_slot_refuse(struct ublk_slot *slot);
void ublk_slot_rearm(struct ublk_slot *slot, struct io_uring_cmd *cmd, u64 addr);
void ublk_slot_begin_fault(struct ublk_slot *slot, struct request *rq,
			   enum ublk_slot_state owner);
bool ublk_slot_end_fault(struct ublk_slot *slot, enum ublk_slot_state owner);

/* Those who use a request. */
void ublk_slot_count_holders(struct ublk_slot *slot, struct request *rq);
struct request *ublk_slot_hold(struct ublk_slot *slot);
bool ublk_slot_let_go(struct ublk_slot *slot);

/* The end of a server. */
bool ublk_slot_is_parked(const struct ublk_slot *slot);
enum ublk_slot_state ublk_slot_look(const struct ublk_slot *slot);
struct io_uring_cmd *ublk_slot_cancel(struct ublk_slot *slot);
struct io_uring_cmd *ublk_slot_drop(struct ublk_slot *slot);
void ublk_slot_recall(struct ublk_slot *slot);
void ublk_slot_end_recall(struct ublk_slot *slot);
void ublk_slot_retire(struct ublk_slot *slot);
struct request *ublk_slot_abort(struct ublk_slot *slot);
bool ublk_slot_pin(struct ublk_slot *slot);
void ublk_slot_unpin(struct ublk_slot *slot);
void ublk_slot_reset(struct ublk_slot *slot);

#endif /* UBLK_SLOT_H */
