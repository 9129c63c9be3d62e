/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The driver's own types and a table of contents of its files. The block side (disk.c) and the
 * server side (server.c) do not call each other: they meet in the slot (slot.h).
 *
 * Locks, outermost first. Take none of the earlier while you hold a later one:
 *
 *   io_uring's uring_lock	held when I/O commands and task work come in; nobody takes it to
 *				complete an I/O command (answer.c)
 *   ublk_shmem.mutex		shared buffers (shmem.h); takes no other but ublk_devices
 *   ublk_device.mutex		control commands; never taken under uring_lock, and no command is
 *				completed while it is held (completion may need uring_lock)
 *   ublk_device.lock		spinlock: states, the server and its rings; nothing sleeps under it
 *   ublk_batch.lock		spinlock of a queue: its FETCH commands for batches (batch.c)
 *   ublk_devices		the table of devices (device.c): an xarray with a lock of its own
 *   ublk_owners_lock		spinlock: who has how many devices (device.c); takes no other
 *   ublk_request.filled_lock	spinlock of a request: what of a READ the server has written
 *
 * Slots have no lock: their state changes hands by compare-and-exchange (slot.h).
 *
 * Letters behind a field say what protects it:
 *   C  constant once the structure can be found by others
 *   M  ublk_device.mutex
 *   L  ublk_device.lock
 *   A  atomic; the comment names the partner
 */
#ifndef UBLK_H
#define UBLK_H

#include <linux/blk-mq.h>
#include <linux/cdev.h>
#include <linux/io_uring/cmd.h>
#include <linux/llist.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <linux/ublk_cmd.h>

#include "debugfs.h"
#include "shmem.h"

#define UBLK_MAX_DEVICES	BIT(MINORBITS)

enum ublk_slot_state;
struct dentry;
struct ublk_batch;
struct ublk_owner;
struct ublk_slot;

/**
 * struct ublk_ring - one io_uring of one server task that has tags with us
 *
 * All tags fetched by one task through one io_uring share it, so that a burst of requests costs
 * one task work. It lives as long as a slot points to it.
 */
struct ublk_ring {
	struct task_struct *task;	/* C: referenced */
	const void *io_uring;		/* C: identifies the io_uring, never dereferenced */
	struct llist_head inbox;	/* A: requests on their way to the task (inbox.c) */
	struct list_head node;		/* L: in ublk_server.rings */
	unsigned int slots;		/* L: how many slots point here; the last one frees */
	bool lost;			/* L: the task will not commit what it holds */
};

/**
 * enum ublk_server_state - how far a server got with its device
 *
 * @UBLK_SERVER_FETCHING:	not every tag has been fetched
 * @UBLK_SERVER_READY:		every tag has been fetched
 * @UBLK_SERVER_GONE:		it left, or was sent away: commands are answered with
 *				UBLK_IO_RES_ABORT until it closes the device
 * @UBLK_SERVER_CLOSED:		it closes the device: no work is queued for it any more
 */
enum ublk_server_state {
	UBLK_SERVER_FETCHING,
	UBLK_SERVER_READY,
	UBLK_SERVER_GONE,
	UBLK_SERVER_CLOSED,
};

/**
 * struct ublk_server - an open /dev/ublkcN: at most one per device
 */
struct ublk_server {
	struct ublk_device *dev;	/* C: the open file holds a reference */
	struct pid *pid;		/* C: the opener's process, referenced */
	struct mm_struct *mm;		/* C: the opener's memory, kept by watch */
	struct mmu_notifier watch;	/* tells when that memory goes: exit or exec */
	bool privileged;		/* L: who opened the device and who fetched all were so */
	enum ublk_server_state state;	/* L: read locklessly by ublk_server_is_gone() */
	unsigned int fetched;		/* L: how many tags have been fetched */
	bool lost;			/* L: none of its tasks will commit any more */
	struct list_head rings;		/* L */
	atomic_t faults;		/* A: tasks waiting for memory; ublk_server_poll_work() */
	struct delayed_work poll;	/* looks for death where io_uring does not tell */
};

/**
 * struct ublk_queue - one hardware queue
 */
struct ublk_queue {
	struct ublk_device *dev;	/* C */
	u16 id;				/* C */
	u16 depth;			/* C */
	u16 desc_size;			/* C: bytes from one descriptor to the next */
	u64 features;			/* C: UBLK_F_*, as granted */
	void *descs;			/* C: mapped read-only into the server */
	struct ublk_slot *slots;	/* C: as many as depth */
	struct ublk_batch *batch;	/* C: NULL without UBLK_F_BATCH_IO */
};

/**
 * enum ublk_device_state - what the device is to the block layer
 *
 * @UBLK_DEVICE_IDLE:		there is no disk; it may be started
 * @UBLK_DEVICE_STARTING:	the disk is being made
 * @UBLK_DEVICE_LIVE:		the disk is there
 * @UBLK_DEVICE_STOPPING:	the disk is being removed, the server serves it to the end
 * @UBLK_DEVICE_QUIESCING:	the disk is there, but its server is to get no more requests
 * @UBLK_DEVICE_QUIESCED:	the disk is there without a server; requests wait for the next one
 * @UBLK_DEVICE_FAIL_IO:	the disk is there without a server; requests fail
 * @UBLK_DEVICE_ABORTING:	the disk is being removed, and there is nobody to serve it
 * @UBLK_DEVICE_STOPPED:	the disk is gone but somebody still has it open
 * @UBLK_DEVICE_DELETED:	no longer in reach of new commands
 *
 * Up to STOPPING, requests may go to the server.
 */
enum ublk_device_state {
	UBLK_DEVICE_IDLE,
	UBLK_DEVICE_STARTING,
	UBLK_DEVICE_LIVE,
	UBLK_DEVICE_STOPPING,
	UBLK_DEVICE_QUIESCING,
	UBLK_DEVICE_QUIESCED,
	UBLK_DEVICE_FAIL_IO,
	UBLK_DEVICE_ABORTING,
	UBLK_DEVICE_STOPPED,
	UBLK_DEVICE_DELETED,
};

/**
 * enum ublk_fate - what becomes of a request that no server takes
 *
 * @UBLK_FATE_FAIL:	it fails
 * @UBLK_FATE_WAIT:	it waits until the device's state changes
 * @UBLK_FATE_RETRY:	there is a server again: dispatch it again
 */
enum ublk_fate {
	UBLK_FATE_FAIL,
	UBLK_FATE_WAIT,
	UBLK_FATE_RETRY,
};

/**
 * enum ublk_device_event - what userspace is told with a uevent
 *
 * @UBLK_EVENT_GONE:	the server is gone or was sent away
 * @UBLK_EVENT_READY:	there is a disk, and a server that gets its requests
 */
enum ublk_device_event {
	UBLK_EVENT_GONE		= BIT(0),
	UBLK_EVENT_READY	= BIT(1),
};

/**
 * struct ublk_device - one device
 *
 * Freed with the last reference to @chardev, which the table of devices, the open /dev/ublkcN
 * and the disk hold.
 */
struct ublk_device {
	struct device chardev;
	struct cdev cdev;

	u32 id;				/* C */
	u64 serial;			/* C: tells devices that had the same id apart */
	struct ublksrv_ctrl_dev_info info;	/* C: as granted by ADD_DEV */
	struct blk_mq_tag_set tag_set;	/* C */

	/* Serializes parameters and what makes use of them; no holder waits for a server. */
	struct mutex mutex;
	struct ublk_params params;	/* M: all zero unless valid */

	/* Protects the states, the server and its rings. */
	spinlock_t lock;
	enum ublk_device_state state;	/* L: read locklessly by ublk_device_is_open() */
	/* L: NULL while /dev/ublkcN is not open; what the server asks for needs no lock */
	struct ublk_server *server;
	struct gendisk *disk;		/* L: referenced from start to the end of stop_work */

	struct wait_queue_head wait;	/* woken when server.state, state or stops_done change */
	u64 stops_asked;		/* L */
	u64 stops_done;			/* L: stop_work has served that many of stops_asked */
	struct work_struct stop_work;	/* removes the disk, then sends the server away */
	struct delayed_work gone_work;	/* takes back what a gone server held */
	struct work_struct event_work;	/* tells userspace of events */
	unsigned int events;		/* L: enum ublk_device_event, still to be told */
	struct work_struct scan_work;	/* reads the partition table */

	struct ublk_shmem shmem;	/* has its own lock */

	struct ublk_owner *owner;	/* C: NULL of a privileged device */
	struct dentry *picture;		/* C: in debugfs */
	struct ublk_counts counts;

	struct ublk_queue queues[];	/* C: info.nr_hw_queues of them */
};

/**
 * enum ublk_sequel - what follows when nobody uses a request any more
 *
 * @UBLK_SEQUEL_END:		it ends
 * @UBLK_SEQUEL_AGAIN:		what follows the bytes that are done goes round again
 * @UBLK_SEQUEL_ORPHANED:	its server is gone, and may have done it: ublk_request_orphan()
 * @UBLK_SEQUEL_UNTOLD:		its server is gone, and was never told of it
 */
enum ublk_sequel {
	UBLK_SEQUEL_END,
	UBLK_SEQUEL_AGAIN,
	UBLK_SEQUEL_ORPHANED,
	UBLK_SEQUEL_UNTOLD,
} __packed;

/**
 * struct ublk_outcome - what became of a request
 * @status: how it ends, if it does
 * @sequel: whether it does
 * @bytes: how many bytes are done
 */
struct ublk_outcome {
	blk_status_t status;
	enum ublk_sequel sequel;
	unsigned int bytes;
};

/**
 * struct ublk_zone_range - some zones
 * @sector: where the first begins
 * @nr_zones: how many
 */
struct ublk_zone_range {
	u64 sector;
	u32 nr_zones;
};

/**
 * struct ublk_request - what the driver keeps with a struct request
 * @inbox: in ublk_ring.inbox
 * @outcome: set by who commits or aborts, used by the last who lets go (slot.h)
 * @filled_lock: innermost of all locks
 * @filled: of a READ, up to this byte nothing is left of what the pages held before: all is zeroed,
 *	written by the server, or claimed by a holder who is writing it and takes back what he does
 *	not (filled.c). Behind it nothing is known. SIZE_MAX: the server writes to all of it, unseen
 * @report: what a report of zones is asked about (zoned.c)
 * @shared: the shared buffer it was delivered in; NULL: none, or it has only been claimed (shmem.c)
 * @buffer_ring: the io_uring whose buffer table the request was put into before it was delivered;
 *	NULL: none. Only compared
 * @buffer_index: where in that table
 * @prepared: it was made ready for a server that could not be told of it, in a batch
 */
struct ublk_request {
	struct llist_node inbox;
	struct ublk_outcome outcome;
	spinlock_t filled_lock;	/* guards filled */
	size_t filled;		/* filled_lock, but for who is alone with the request */
	struct ublk_zone_range report;
	struct ublk_shmem_buffer *shared;
	const void *buffer_ring;
	u16 buffer_index;
	bool prepared;
};

/**
 * struct ublk_answer - what the server says of a request it had
 * @result: bytes done or -errno, as the server claims
 * @addr: the server's buffer with what was read, or the sector where a ZONE_APPEND went
 * @next: what the slot's next request is delivered with: a buffer's address, or where it is
 *	registered (zerocopy.c)
 * @park: the command that waits for the slot's next request; NULL with UBLK_F_BATCH_IO
 * @ended: collects requests that ublk_request_end_all() is to end; NULL: they end at once
 * @hands: what the task that commits has in hand
 */
struct ublk_answer {
	s32 result;
	u64 addr;
	u64 next;
	struct io_uring_cmd *park;
	struct io_comp_batch *ended;
	struct ublk_hands *hands;
};

/* work.c: workqueues */
/**
 * struct ublk_parked - what a FETCH or COMMIT of one tag carries with it
 * @slot: the tag's
 * @next: the next command whose request its task has laid down (inbox.c)
 */
struct ublk_parked {
	struct ublk_slot *slot;
	struct io_uring_cmd *next;
};

/**
 * struct ublk_hands - requests that a task of the server has in hand while it copies another one
 * @lay_down: the task is about to wait for memory, maybe for the end of one of them: leave them
 *	where they are looked for when the server dies
 * @pick_up: it goes on: take those that are still there
 */
struct ublk_hands {
	void (*lay_down)(struct ublk_hands *hands);
	void (*pick_up)(struct ublk_hands *hands);
};

/* For work that may wait for a server to answer: ublk_start.work, stop_work, scan_work. */
extern struct workqueue_struct *ublk_workqueue;
/* For work that waits for nobody, and that the above may need to get on: gone_work, poll. */
extern struct workqueue_struct *ublk_server_workqueue;
int ublk_workqueues_init(void);
void ublk_workqueues_exit(void);
void ublk_device_queue_work(struct ublk_device *dev, struct work_struct *work);

/* disk.c: /dev/ublkbN */
extern const struct blk_mq_ops ublk_mq_ops;
struct gendisk *ublk_disk_add(struct ublk_device *dev);
void ublk_disk_remove(struct ublk_device *dev, struct gendisk *disk);
void ublk_disk_allow_scan(struct gendisk *disk);
void ublk_disk_scan_work(struct work_struct *work);

/* control.c: /dev/ublk-control */
int ublk_control_init(void);
void ublk_control_exit(void);

/* features.c: what a device can do */
u64 ublk_features_supported(void);
int ublk_features_grant(u64 asked, u64 *granted);

/* device.c: devices from ADD_DEV to DEL_DEV */
int ublk_devices_init(void);
void ublk_devices_exit(void);
struct ublk_device *ublk_device_find(u32 id);
struct ublk_device *ublk_device_add(const struct ublksrv_ctrl_dev_info *info);
int ublk_device_delete(struct ublk_device *dev);
void ublk_device_discard(struct ublk_device *dev);
int ublk_device_wait_freed(u32 id, u64 serial);

/* state.c: what a device is to the block layer */
bool ublk_device_can_recover(const struct ublk_device *dev);
bool ublk_device_is_served(const struct ublk_device *dev);
bool ublk_device_lets_server_in(const struct ublk_device *dev);
bool ublk_device_lacks_server(const struct ublk_device *dev);
bool ublk_device_goes_away(struct ublk_device *dev);
enum ublk_fate ublk_device_fate(const struct ublk_device *dev, bool delivered);
struct gendisk *ublk_device_get_disk(struct ublk_device *dev);
struct ublksrv_ctrl_dev_info ublk_device_info(struct ublk_device *dev);
int ublk_device_begin_start(struct ublk_device *dev, pid_t pid);
void ublk_device_fail_start(struct ublk_device *dev);
void ublk_device_go_live(struct ublk_device *dev, struct gendisk *disk);
void ublk_device_server_left(struct ublk_device *dev);
void ublk_device_shut(struct ublk_device *dev);
void ublk_device_server_closed(struct ublk_device *dev);
int ublk_device_try_end_recovery(struct ublk_device *dev, pid_t pid);
int ublk_device_try_quiesce(struct ublk_device *dev, bool can_be_told);
void ublk_device_unquiesce(struct ublk_device *dev);
bool ublk_device_begin_removal(struct ublk_device *dev);
int ublk_device_begin_stop_if_unused(struct ublk_device *dev, struct gendisk *disk);
void ublk_device_end_removal(struct ublk_device *dev);
void ublk_device_disk_freed(struct ublk_device *dev);
int ublk_device_mark_deleted(struct ublk_device *dev);
int ublk_device_resize(struct ublk_device *dev, u64 sectors);

/* start.c: START_DEV */
int ublk_device_start(struct ublk_device *dev, pid_t pid);

/* stop.c: STOP_DEV */
void ublk_device_stop_work(struct work_struct *work);
int ublk_device_stop(struct ublk_device *dev);
int ublk_device_try_stop(struct ublk_device *dev);

/* recovery.c: from one server to the next */
int ublk_device_start_recovery(struct ublk_device *dev);
int ublk_device_end_recovery(struct ublk_device *dev, pid_t pid);
int ublk_device_quiesce(struct ublk_device *dev, u64 timeout_ms);

/* event.c: what userspace is told */
void ublk_device_tell(struct ublk_device *dev, enum ublk_device_event event);
void ublk_device_event_work(struct work_struct *work);

/* params.c: SET_PARAMS, GET_PARAMS, queue limits */
int ublk_params_set(struct ublk_device *dev, void __user *from, u32 len);
int ublk_params_get(struct ublk_device *dev, void __user *to, u32 len);
struct queue_limits ublk_params_limits(const struct ublk_params *params);

/**
 * ublk_params_whole_blocks() - what of a number of sectors can be used
 * @params: valid ones
 * @sectors: any number
 */
static inline u64 ublk_params_whole_blocks(const struct ublk_params *params, u64 sectors)
{
	return round_down(sectors, 1ULL << (params->basic.logical_bs_shift - SECTOR_SHIFT));
}

/* queue.c: memory of a queue */
int ublk_queue_init(struct ublk_queue *queue, struct ublk_device *dev, u16 id);
void ublk_queue_free(struct ublk_queue *queue);
int ublk_queue_mmap(struct ublk_device *dev, struct vm_area_struct *vma);

/* answer.c: commands of a server that is gone */
void ublk_answer_abort(struct io_uring_cmd *cmd, unsigned int issue_flags);

/* server_state.c: what is known of a server */
void ublk_server_send_away(struct ublk_server *server, enum ublk_server_state to);
void ublk_server_lost(struct ublk_server *server, struct ublk_ring *ring);
void ublk_server_lost_locked(struct ublk_server *server, struct ublk_ring *ring);
void ublk_server_dismiss(struct ublk_device *dev);
void ublk_server_dismiss_locked(struct ublk_device *dev);
void ublk_server_kill(struct ublk_device *dev);
void ublk_server_suspect(struct ublk_device *dev);
void ublk_server_poll_later(struct ublk_server *server);
void ublk_server_begin_fault(struct ublk_server *server);
void ublk_server_end_fault(struct ublk_server *server);
void ublk_server_count_fetched(struct ublk_server *server, unsigned int tags);
struct ublk_ring *ublk_server_get_ring(struct ublk_server *server, const void *io_uring,
				       struct ublk_ring **spare);
void ublk_server_drop_ring(struct ublk_server *server, struct ublk_ring *ring);

/* watch.c: is there still a server? */
int ublk_server_watch(struct ublk_server *server);
void ublk_server_unwatch(struct ublk_server *server);
void ublk_server_start_polling(struct ublk_server *server);
void ublk_server_poll_work(struct work_struct *work);

/* server.c: FETCH and COMMIT */
int ublk_server_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);

/* takeback.c: the server is gone */
void ublk_server_retire(struct ublk_server *server);
void ublk_server_gone_work(struct work_struct *work);

/* chardev.c: /dev/ublkcN */
extern const struct file_operations ublk_server_fops;

/* request_end.c: how a struct request ends */
struct request *ublk_request_hold(struct ublk_slot *slot);
void ublk_request_let_go(struct request *rq);
void ublk_request_conclude(struct ublk_slot *slot, struct request *rq,
			   const struct ublk_outcome *outcome, struct io_comp_batch *ended);
void ublk_request_abort(struct request *rq);
void ublk_request_untell(struct request *rq);
void ublk_request_reject(struct request *rq);
void ublk_request_fail(struct request *rq);
void ublk_request_orphan(struct request *rq, bool delivered);
void ublk_request_end_all(struct io_comp_batch *ended);

/* request.c: what the server is told of a struct request, and what it answers */
bool ublk_request_prepare(struct request *rq, struct io_uring_cmd *cmd, struct ublk_hands *hands,
			  unsigned int issue_flags);
void ublk_request_withdraw(struct request *rq, struct io_uring_cmd *cmd, unsigned int issue_flags);
void ublk_request_put_back(struct ublk_slot *slot, struct io_uring_cmd *cmd,
			   unsigned int issue_flags);
void ublk_request_deliver(struct request *rq, struct ublk_hands *hands, unsigned int issue_flags);
void ublk_request_bounce(struct request *rq, unsigned int issue_flags);
bool ublk_request_finish(struct ublk_slot *slot, struct io_uring_cmd *cmd,
			 const struct ublk_answer *answer, unsigned int issue_flags);
int ublk_request_get_data(struct ublk_slot *slot, u64 addr);
bool ublk_request_addr_is_valid(const struct ublk_slot *slot, u64 addr);

/* inbox.c: a struct request on its way to the server's task */
blk_status_t ublk_request_dispatch(struct request *rq);
void ublk_request_recall(struct llist_node *inbox);

/**
 * struct ublk_copy - a copy under way
 * @user: the server's memory, as far as it is not done
 * @offset: how many bytes of the request's are to be left out
 * @done: how many bytes were copied
 * @to_user: the direction
 */
struct ublk_copy {
	struct iov_iter *user;
	size_t offset;
	size_t done;
	bool to_user;
};

/*
 * So often memory may be gone again when it has just been faulted in, without a byte copied. Pages
 * are not reclaimed so fast; what remains is memory that cannot be copied to, whatever it says.
 */
#define UBLK_FAULT_TRIES	64

/**
 * enum ublk_copied - what became of a copy between a request and a buffer of the server
 *
 * @UBLK_COPIED:		all is there
 * @UBLK_COPY_BAD_BUFFER:	that is no such buffer
 * @UBLK_COPY_LOST:		the server dies, so who copied owns neither request nor slot any
 *				more, but for the command that was in it
 */
enum ublk_copied {
	UBLK_COPIED,
	UBLK_COPY_BAD_BUFFER,
	UBLK_COPY_LOST,
};

/* copy.c: request data <-> server memory */
extern struct ublk_hands ublk_empty_hands;
bool ublk_copy_bvec(struct ublk_copy *copy, const struct bio_vec *bvec);
bool ublk_copy_fault_in(struct ublk_server *server, const struct iov_iter *user, size_t bytes,
			bool to_user);
enum ublk_copied ublk_copy_with_server(struct request *rq, enum ublk_slot_state owner, u64 addr,
				       size_t bytes, bool to_user, struct ublk_hands *hands);
size_t ublk_copy_to_iter(struct request *rq, size_t offset, struct iov_iter *to);
size_t ublk_copy_from_iter(struct request *rq, size_t offset, struct iov_iter *from);
void ublk_copy_zeroes(struct request *rq, size_t offset, size_t len);

/* filled.c: how much of a READ has been written */
size_t ublk_filled_claim(struct request *rq, size_t start, size_t end);
void ublk_filled_disclaim(struct request *rq, size_t reached, size_t end);
void ublk_filled_all(struct request *rq);
void ublk_filled_judge(struct request *rq, struct ublk_outcome *outcome);

/* user_copy.c: the server moves data with pread() and pwrite() */
ssize_t ublk_user_copy_read(struct kiocb *iocb, struct iov_iter *to);
ssize_t ublk_user_copy_write(struct kiocb *iocb, struct iov_iter *from);

/* zerocopy.c: a request's pages in a ring's buffer table */
int ublk_zerocopy_register(struct ublk_slot *slot, struct io_uring_cmd *cmd, u64 index,
			   unsigned int issue_flags);
int ublk_zerocopy_unregister(struct ublk_device *dev, struct io_uring_cmd *cmd, u64 index,
			     unsigned int issue_flags);
int ublk_zerocopy_next_buffer(const struct ublk_queue *queue, struct io_uring_cmd *cmd,
			      u64 *buffer);
bool ublk_zerocopy_attach(struct ublk_slot *slot, struct request *rq, struct io_uring_cmd *cmd,
			  unsigned int issue_flags);
void ublk_zerocopy_detach(struct ublk_slot *slot, struct io_uring_cmd *cmd,
			  unsigned int issue_flags);

/* batch.c: one command tells of many requests */
int ublk_batch_init(struct ublk_queue *queue);
void ublk_batch_free(struct ublk_queue *queue);
void ublk_batch_dispatch(struct ublk_queue *queue, struct ublk_request *pdu);
int ublk_batch_fetch(struct ublk_queue *queue, struct io_uring_cmd *cmd,
		     const struct ublk_batch_io *header, unsigned int issue_flags);
void ublk_batch_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags);
bool ublk_batch_has_parked(struct ublk_queue *queue);
struct ublk_batch_picture ublk_batch_look(struct ublk_queue *queue);
bool ublk_batch_close(struct ublk_queue *queue);
void ublk_batch_reopen(struct ublk_queue *queue);

/* elements.c: one command for many tags */
int ublk_batch_handle(struct ublk_server *server, struct io_uring_cmd *cmd, int opcode,
		      unsigned int issue_flags);

static inline void ublk_device_put(struct ublk_device *dev)
{
	put_device(&dev->chardev);
}

static inline struct ublksrv_io_desc *ublk_queue_desc(const struct ublk_queue *queue, u16 tag)
{
	return queue->descs + (size_t)tag * queue->desc_size;
}

/* How data moves that neither the driver copies nor the server maps. */
#define UBLK_F_MOVED_BY_SERVER	\
	(UBLK_F_USER_COPY | UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG)

/* The driver copies data between requests and buffers that commands name. */
static inline bool ublk_queue_copies(const struct ublk_queue *queue)
{
	return !(queue->features & UBLK_F_MOVED_BY_SERVER);
}

/* A request can be in use by others than the server's commit; see slot.h. */
static inline bool ublk_queue_counts_holders(const struct ublk_queue *queue)
{
	return queue->features & UBLK_F_MOVED_BY_SERVER;
}

/* May requests go to the server? Pairs with the wait in ublk_device_shut(). */
static inline bool ublk_device_is_open(const struct ublk_device *dev)
{
	return READ_ONCE(dev->state) <= UBLK_DEVICE_STOPPING;
}

static inline bool ublk_server_is_gone(const struct ublk_server *server)
{
	/* Pairs with the store in ublk_server_send_away(). */
	return READ_ONCE(server->state) >= UBLK_SERVER_GONE;
}

#endif /* UBLK_H */
