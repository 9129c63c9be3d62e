// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who owns tag N: the only place where that changes. slot.h has the states and the picture.
 */
#include <linux/bug.h>

#include "slot.h"
#include "trace.h"

/*
 * Fully ordered on success: what the old owner wrote to the slot is visible to the new one, and
 * ublk_request_finish() looks at the server's state after the slot has moved to COMMIT (pairs
 * with the barrier in ublk_server_sweep()).
 */
static bool ublk_slot_move(struct ublk_slot *slot, enum ublk_slot_state from,
			   enum ublk_slot_state to)
{
	int old = from;

	while (!atomic_try_cmpxchg(&slot->state, &old, to)) {
		if (old != UBLK_SLOT_PINNED || from != UBLK_SLOT_ARMED)
			return false;
		cpu_relax();
		old = from;
	}
	trace_ublk_slot(slot, from, to);
	return true;
}

void ublk_slot_init(struct ublk_slot *slot, struct ublk_queue *queue, u16 tag)
{
	atomic_set(&slot->state, UBLK_SLOT_EMPTY);
	slot->queue = queue;
	slot->tag = tag;
}

/* How it is now; good for telling only. */
enum ublk_slot_state ublk_slot_glance(const struct ublk_slot *slot)
{
	return atomic_read(&slot->state);
}

bool ublk_slot_is_empty(const struct ublk_slot *slot)
{
	return atomic_read(&slot->state) == UBLK_SLOT_EMPTY;
}

/* Park the first command. Nobody else moves an EMPTY slot, and FETCHes are serialized. */
void ublk_slot_arm(struct ublk_slot *slot, struct io_uring_cmd *cmd, u64 addr)
{
	slot->cmd = cmd;
	slot->addr = addr;
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_EMPTY, UBLK_SLOT_ARMED));
}

/* A request wants the parked command. */
bool ublk_slot_claim(struct ublk_slot *slot)
{
	return ublk_slot_move(slot, UBLK_SLOT_ARMED, UBLK_SLOT_CLAIMED);
}

/* The request did not need the command after all. */
void ublk_slot_unclaim(struct ublk_slot *slot)
{
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_CLAIMED, UBLK_SLOT_ARMED));
}

/* The server gets @rq when the caller completes the returned command. */
struct io_uring_cmd *ublk_slot_deliver(struct ublk_slot *slot, struct request *rq)
{
	struct io_uring_cmd *cmd = slot->cmd;

	slot->rq = rq;
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_CLAIMED, UBLK_SLOT_SERVER));
	return cmd;
}

/* The server has the slot's request; it may lose it, but only its task can commit it. */
bool ublk_slot_is_served(const struct ublk_slot *slot)
{
	return atomic_read(&slot->state) == UBLK_SLOT_SERVER;
}

/* The server commits what it has. */
bool ublk_slot_take(struct ublk_slot *slot)
{
	return ublk_slot_move(slot, UBLK_SLOT_SERVER, UBLK_SLOT_COMMIT);
}

/* The server is told of @rq, but not given its data yet. */
struct io_uring_cmd *ublk_slot_offer(struct ublk_slot *slot, struct request *rq)
{
	struct io_uring_cmd *cmd = slot->cmd;

	slot->rq = rq;
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_CLAIMED, UBLK_SLOT_OFFERED));
	return cmd;
}

/* As ublk_slot_is_served(), for a request that waits for a buffer. */
bool ublk_slot_is_offered(const struct ublk_slot *slot)
{
	return atomic_read(&slot->state) == UBLK_SLOT_OFFERED;
}

/* The server gives a buffer for what it was offered. */
bool ublk_slot_take_offered(struct ublk_slot *slot)
{
	return ublk_slot_move(slot, UBLK_SLOT_OFFERED, UBLK_SLOT_COMMIT);
}

/* The server has the request, and goes on having it. */
void ublk_slot_hand_back(struct ublk_slot *slot)
{
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_COMMIT, UBLK_SLOT_SERVER));
}

/* The server does not know of the request yet, which has to be delivered once more. */
void ublk_slot_take_back(struct ublk_slot *slot)
{
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_COMMIT, UBLK_SLOT_CLAIMED));
}

/* The server's buffer was no good: it may give another one. */
void ublk_slot_refuse(struct ublk_slot *slot)
{
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_COMMIT, UBLK_SLOT_OFFERED));
}

/* Park the command that brought the result. The slot's next request may come at once. */
void ublk_slot_rearm(struct ublk_slot *slot, struct io_uring_cmd *cmd, u64 addr)
{
	slot->cmd = cmd;
	slot->addr = addr;
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_COMMIT, UBLK_SLOT_ARMED));
}

/*
 * The owner of @slot, which is CLAIMED or in COMMIT as @owner says, has to wait for memory. It
 * goes on with the slot only if ublk_slot_end_fault() gives it back.
 */
void ublk_slot_begin_fault(struct ublk_slot *slot, struct request *rq, enum ublk_slot_state owner)
{
	slot->rq = rq;
	WARN_ON_ONCE(!ublk_slot_move(slot, owner, UBLK_SLOT_FAULTING));
}

/* Returns false if the request was aborted: of what was in the slot the command is the caller's. */
bool ublk_slot_end_fault(struct ublk_slot *slot, enum ublk_slot_state owner)
{
	return ublk_slot_move(slot, UBLK_SLOT_FAULTING, owner);
}

/* The server commits for the last time. */
void ublk_slot_retire(struct ublk_slot *slot)
{
	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_COMMIT, UBLK_SLOT_DEAD));
}

/*
 * The owner of a CLAIMED slot starts to count: from now on @rq can be held, and whoever moves the
 * slot on from SERVER is the first holder. Nobody held the slot's last request any more when its
 * tag became free, and nobody gets a hold of 0, so a store is enough.
 */
void ublk_slot_count_holders(struct ublk_slot *slot, struct request *rq)
{
	slot->rq = rq;
	/* Pairs with atomic_inc_not_zero() in ublk_slot_hold(). */
	atomic_set_release(&slot->holders, 1);
}

/* Returns the slot's request if it has not ended; it does not end before it is let go of. */
struct request *ublk_slot_hold(struct ublk_slot *slot)
{
	return atomic_inc_not_zero(&slot->holders) ? slot->rq : NULL;
}

/*
 * Returns true if the caller was the last holder and must end the request. Orders what others did
 * with the request before what the caller does.
 */
bool ublk_slot_let_go(struct ublk_slot *slot)
{
	return atomic_dec_and_test(&slot->holders);
}

/* A command waits for a request, so its task can be told something by answering it. */
bool ublk_slot_is_parked(const struct ublk_slot *slot)
{
	int state = atomic_read(&slot->state);

	return state == UBLK_SLOT_ARMED || state == UBLK_SLOT_PINNED;
}

/*
 * Who had the slot a moment ago. Whoever acts on that asks once, and then makes the one change that
 * fits; if that fails, the slot has changed hands, and only another look tells to whom.
 */
enum ublk_slot_state ublk_slot_look(const struct ublk_slot *slot)
{
	return atomic_read(&slot->state);
}

/* Returns the parked command, which the caller must complete; NULL if none is parked. */
struct io_uring_cmd *ublk_slot_cancel(struct ublk_slot *slot)
{
	if (!ublk_slot_move(slot, UBLK_SLOT_ARMED, UBLK_SLOT_DEAD))
		return NULL;
	return slot->cmd;
}

/* The owner of a CLAIMED slot finds no server: returns the command it must complete. */
struct io_uring_cmd *ublk_slot_drop(struct ublk_slot *slot)
{
	struct io_uring_cmd *cmd = slot->cmd;

	WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_CLAIMED, UBLK_SLOT_DEAD));
	return cmd;
}

/*
 * The owner of a CLAIMED slot takes its request back. The command was sent to its task, which
 * answers it: that has happened if the slot is not CLAIMED any more.
 */
void ublk_slot_recall(struct ublk_slot *slot)
{
	ublk_slot_move(slot, UBLK_SLOT_CLAIMED, UBLK_SLOT_RECALLED);
}

/* The command of such a slot has come to its task; others end the request. */
void ublk_slot_end_recall(struct ublk_slot *slot)
{
	/* Whoever took the request away may not have come to the slot yet. */
	if (!ublk_slot_move(slot, UBLK_SLOT_CLAIMED, UBLK_SLOT_DEAD))
		WARN_ON_ONCE(!ublk_slot_move(slot, UBLK_SLOT_RECALLED, UBLK_SLOT_DEAD));
}

/* Returns the request the server had, which the caller must end; NULL if it has none. */
struct request *ublk_slot_abort(struct ublk_slot *slot)
{
	if (!ublk_slot_move(slot, UBLK_SLOT_SERVER, UBLK_SLOT_DEAD) &&
	    !ublk_slot_move(slot, UBLK_SLOT_OFFERED, UBLK_SLOT_DEAD) &&
	    !ublk_slot_move(slot, UBLK_SLOT_FAULTING, UBLK_SLOT_DEAD))
		return NULL;
	return slot->rq;
}

/* Keep the parked command from being completed. Do not sleep before unpin. */
bool ublk_slot_pin(struct ublk_slot *slot)
{
	int old = UBLK_SLOT_ARMED;

	return atomic_try_cmpxchg(&slot->state, &old, UBLK_SLOT_PINNED);
}

void ublk_slot_unpin(struct ublk_slot *slot)
{
	atomic_set_release(&slot->state, UBLK_SLOT_ARMED);
}

/*
 * The server has closed the device, so no command is left. The request stays: others than the
 * server may still hold it.
 */
void ublk_slot_reset(struct ublk_slot *slot)
{
	WARN_ON_ONCE(atomic_read(&slot->state) != UBLK_SLOT_EMPTY &&
		     atomic_read(&slot->state) != UBLK_SLOT_DEAD);
	slot->cmd = NULL;
	slot->addr = 0;
	slot->ring = NULL;
	WRITE_ONCE(slot->task, NULL);
	atomic_set_release(&slot->state, UBLK_SLOT_EMPTY);
}
