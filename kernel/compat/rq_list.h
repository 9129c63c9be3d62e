/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Lists of requests. v6.13 (back-ported to 6.12) made them a structure with head and tail and in
 * order; before, a list was a pointer to the request added last.
 */
#ifndef COMPAT_RQ_LIST_H
#define COMPAT_RQ_LIST_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>

/*
 * UBLK_DEFINE_QUEUE_RQS(name, body): a callback for blk_mq_ops.queue_rqs that calls
 * void body(struct rq_list *list), oldest request first. The block layer issues one by one the
 * requests that body leaves in the list.
 */
#if COMPAT_HAVE_RQ_LIST_STRUCT		/* v6.13 */
#define UBLK_DEFINE_QUEUE_RQS(name, body)					\
static void name(struct rq_list *list)						\
{										\
	body(list);								\
}
#else
struct rq_list {
	struct request *head;
	struct request *tail;
};

/* The kernel's inline functions used these macros above; now they get their new meaning. */
#undef rq_list_add_tail
#undef rq_list_pop
#undef rq_list_peek
#undef rq_list_for_each
#undef rq_list_for_each_safe
#undef rq_list_empty

static inline void rq_list_init(struct rq_list *list)
{
	list->head = NULL;
	list->tail = NULL;
}

static inline void rq_list_add_tail(struct rq_list *list, struct request *rq)
{
	rq->rq_next = NULL;
	if (list->tail)
		list->tail->rq_next = rq;
	else
		list->head = rq;
	list->tail = rq;
}

static inline void rq_list_add_head(struct rq_list *list, struct request *rq)
{
	rq->rq_next = list->head;
	list->head = rq;
	if (!list->tail)
		list->tail = rq;
}

static inline struct request *rq_list_pop(struct rq_list *list)
{
	struct request *rq = list->head;

	if (rq) {
		list->head = rq->rq_next;
		if (!list->head)
			list->tail = NULL;
		rq->rq_next = NULL;
	}
	return rq;
}

/*
 * Newest first becomes oldest first. And what the block layer did not do yet: without an entry
 * here, nobody who walks the tags finds the request, be it to count it or to time it out.
 */
static inline void compat_rq_list_from_stack(struct rq_list *list, struct request **stack)
{
	struct request *rq;

	rq_list_init(list);
	while ((rq = *stack)) {
		*stack = rq->rq_next;
		rq->mq_hctx->tags->rqs[rq->tag] = rq;
		rq_list_add_head(list, rq);
	}
}

/* What body leaves stays oldest first: the block layer takes its requests from the head. */
#define UBLK_DEFINE_QUEUE_RQS(name, body)					\
static void name(struct request **stack)					\
{										\
	struct rq_list in_order;						\
										\
	compat_rq_list_from_stack(&in_order, stack);				\
	body(&in_order);							\
	*stack = in_order.head;							\
}
#endif

#endif
