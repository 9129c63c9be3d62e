/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: every change of hands of a slot and every change of state of a device or server.
 * They are the contract for tracing tools; the functions around them are not.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ublk

#if !defined(UBLK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define UBLK_TRACE_H

#include <linux/tracepoint.h>

#include "slot.h"
#include "ublk.h"

/* Each list is used twice: for tools, which cannot look up enumerators, and to print names. */
#define ublk_slot_states				\
	STATE(UBLK_SLOT_EMPTY, "empty")			\
	STATE(UBLK_SLOT_ARMED, "armed")			\
	STATE(UBLK_SLOT_PINNED, "pinned")		\
	STATE(UBLK_SLOT_CLAIMED, "claimed")		\
	STATE(UBLK_SLOT_OFFERED, "offered")		\
	STATE(UBLK_SLOT_SERVER, "server")		\
	STATE(UBLK_SLOT_COMMIT, "commit")		\
	STATE(UBLK_SLOT_FAULTING, "faulting")		\
	STATE(UBLK_SLOT_RECALLED, "recalled")		\
	LAST_STATE(UBLK_SLOT_DEAD, "dead")

#define ublk_server_states				\
	STATE(UBLK_SERVER_FETCHING, "fetching")		\
	STATE(UBLK_SERVER_READY, "ready")		\
	STATE(UBLK_SERVER_GONE, "gone")			\
	LAST_STATE(UBLK_SERVER_CLOSED, "closed")

#define ublk_device_states				\
	STATE(UBLK_DEVICE_IDLE, "idle")			\
	STATE(UBLK_DEVICE_STARTING, "starting")		\
	STATE(UBLK_DEVICE_LIVE, "live")			\
	STATE(UBLK_DEVICE_STOPPING, "stopping")		\
	STATE(UBLK_DEVICE_QUIESCING, "quiescing")	\
	STATE(UBLK_DEVICE_QUIESCED, "quiesced")		\
	STATE(UBLK_DEVICE_FAIL_IO, "fail-io")		\
	STATE(UBLK_DEVICE_ABORTING, "aborting")		\
	STATE(UBLK_DEVICE_STOPPED, "stopped")		\
	LAST_STATE(UBLK_DEVICE_DELETED, "deleted")

#undef STATE
#undef LAST_STATE
#define STATE(value, name)	TRACE_DEFINE_ENUM(value);
#define LAST_STATE(value, name)	TRACE_DEFINE_ENUM(value);

ublk_slot_states
ublk_server_states
ublk_device_states

#undef STATE
#undef LAST_STATE
#define STATE(value, name)	{ value, name },
#define LAST_STATE(value, name)	{ value, name }

TRACE_EVENT(ublk_slot,
	TP_PROTO(const struct ublk_slot *slot, enum ublk_slot_state from, enum ublk_slot_state to),
	TP_ARGS(slot, from, to),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u16, queue)
		__field(u16, tag)
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		__entry->dev = slot->queue->dev->id;
		__entry->queue = slot->queue->id;
		__entry->tag = slot->tag;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("dev=%u queue=%u tag=%u %s -> %s",
		  __entry->dev, __entry->queue, __entry->tag,
		  __print_symbolic(__entry->from, ublk_slot_states),
		  __print_symbolic(__entry->to, ublk_slot_states))
);

TRACE_EVENT(ublk_server,
	TP_PROTO(const struct ublk_device *dev, enum ublk_server_state to),
	TP_ARGS(dev, to),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(int, to)
	),
	TP_fast_assign(
		__entry->dev = dev->id;
		__entry->to = to;
	),
	TP_printk("dev=%u -> %s", __entry->dev,
		  __print_symbolic(__entry->to, ublk_server_states))
);

TRACE_EVENT(ublk_device,
	TP_PROTO(const struct ublk_device *dev, enum ublk_device_state from,
		 enum ublk_device_state to),
	TP_ARGS(dev, from, to),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		__entry->dev = dev->id;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("dev=%u %s -> %s", __entry->dev,
		  __print_symbolic(__entry->from, ublk_device_states),
		  __print_symbolic(__entry->to, ublk_device_states))
);

/* Data that the driver moved, whatever the way; those of shared memory are never here. */
TRACE_EVENT(ublk_copy,
	TP_PROTO(const struct request *rq, size_t bytes),
	TP_ARGS(rq, bytes),
	TP_STRUCT__entry(
		__field(u32, dev)
		__field(u16, queue)
		__field(u16, tag)
		__field(u64, bytes)
	),
	TP_fast_assign(
		const struct ublk_queue *queue = rq->mq_hctx->driver_data;

		__entry->dev = queue->dev->id;
		__entry->queue = queue->id;
		__entry->tag = rq->tag;
		__entry->bytes = bytes;
	),
	TP_printk("dev=%u queue=%u tag=%u bytes=%llu", __entry->dev, __entry->queue,
		  __entry->tag, __entry->bytes)
);

#endif /* UBLK_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
