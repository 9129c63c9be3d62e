/* SPDX-License-Identifier: ((GPL-2.0 WITH Linux-syscall-note) OR MIT) */
/*
 * The ublk protocol: what a userspace block device server and the driver say to each other.
 * This states the ABI of Linux 7.3; the driver and every server include this one file unchanged.
 */
#ifndef UBLK_UAPI_UBLK_CMD_H
#define UBLK_UAPI_UBLK_CMD_H

#include <linux/types.h>

/*
 * Control commands: io_uring commands on /dev/ublk-control, on a ring with 128-byte SQEs, whose
 * payload is a struct ublksrv_ctrl_cmd. Each has a plain number and an ioctl-style encoding;
 * the plain numbers are the historic form and new servers should send the encoded one.
 */
#define UBLK_CMD_GET_QUEUE_AFFINITY	0x01
#define UBLK_CMD_GET_DEV_INFO		0x02
#define UBLK_CMD_ADD_DEV		0x04
#define UBLK_CMD_DEL_DEV		0x05
#define UBLK_CMD_START_DEV		0x06
#define UBLK_CMD_STOP_DEV		0x07
#define UBLK_CMD_SET_PARAMS		0x08
#define UBLK_CMD_GET_PARAMS		0x09
#define UBLK_CMD_START_USER_RECOVERY	0x10
#define UBLK_CMD_END_USER_RECOVERY	0x11
#define UBLK_CMD_GET_DEV_INFO2		0x12

/* addr/len: a CPU mask; data[0]: the queue. */
#define UBLK_U_CMD_GET_QUEUE_AFFINITY	\
	_IOR('u', UBLK_CMD_GET_QUEUE_AFFINITY, struct ublksrv_ctrl_cmd)
/* addr/len: a struct ublksrv_ctrl_dev_info. */
#define UBLK_U_CMD_GET_DEV_INFO		\
	_IOR('u', UBLK_CMD_GET_DEV_INFO, struct ublksrv_ctrl_cmd)
/* addr/len: a struct ublksrv_ctrl_dev_info, rewritten with what was granted. */
#define UBLK_U_CMD_ADD_DEV		\
	_IOWR('u', UBLK_CMD_ADD_DEV, struct ublksrv_ctrl_cmd)
/* Stops the device if need be and waits until its id is free. */
#define UBLK_U_CMD_DEL_DEV		\
	_IOWR('u', UBLK_CMD_DEL_DEV, struct ublksrv_ctrl_cmd)
/* data[0]: the server's process id. Waits until every tag has been fetched. */
#define UBLK_U_CMD_START_DEV		\
	_IOWR('u', UBLK_CMD_START_DEV, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_STOP_DEV		\
	_IOWR('u', UBLK_CMD_STOP_DEV, struct ublksrv_ctrl_cmd)
/* addr/len: a struct ublk_params. Only before START_DEV. */
#define UBLK_U_CMD_SET_PARAMS		\
	_IOWR('u', UBLK_CMD_SET_PARAMS, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_GET_PARAMS		\
	_IOR('u', UBLK_CMD_GET_PARAMS, struct ublksrv_ctrl_cmd)
#define UBLK_U_CMD_START_USER_RECOVERY	\
	_IOWR('u', UBLK_CMD_START_USER_RECOVERY, struct ublksrv_ctrl_cmd)
/* data[0]: the new server's process id. */
#define UBLK_U_CMD_END_USER_RECOVERY	\
	_IOWR('u', UBLK_CMD_END_USER_RECOVERY, struct ublksrv_ctrl_cmd)
/* GET_DEV_INFO whose buffer starts with the path of the device's character node. */
#define UBLK_U_CMD_GET_DEV_INFO2	\
	_IOR('u', UBLK_CMD_GET_DEV_INFO2, struct ublksrv_ctrl_cmd)
/* addr/len: UBLK_FEATURES_LEN bytes that receive the driver's feature word. */
#define UBLK_U_CMD_GET_FEATURES		\
	_IOR('u', 0x13, struct ublksrv_ctrl_cmd)
/* DEL_DEV that does not wait. */
#define UBLK_U_CMD_DEL_DEV_ASYNC	\
	_IOR('u', 0x14, struct ublksrv_ctrl_cmd)
/* data[0]: the new size in 512-byte sectors. */
#define UBLK_U_CMD_UPDATE_SIZE		\
	_IOWR('u', 0x15, struct ublksrv_ctrl_cmd)
/* data[0]: how long to wait for an idle command, in milliseconds; 0: for ever. */
#define UBLK_U_CMD_QUIESCE_DEV		\
	_IOWR('u', 0x16, struct ublksrv_ctrl_cmd)
/* STOP_DEV that fails with EBUSY while the disk is open. */
#define UBLK_U_CMD_TRY_STOP_DEV		\
	_IOWR('u', 0x17, struct ublksrv_ctrl_cmd)
/* addr/len: a struct ublk_shmem_buf_reg; the result is the buffer's index. */
#define UBLK_U_CMD_REG_BUF		\
	_IOWR('u', 0x18, struct ublksrv_ctrl_cmd)
/* data[0]: the buffer's index. */
#define UBLK_U_CMD_UNREG_BUF		\
	_IOWR('u', 0x19, struct ublksrv_ctrl_cmd)

/* A piece of server memory that requests may lie in (UBLK_F_SHMEM_ZC). */
struct ublk_shmem_buf_reg {
	__u64	addr;		/* page aligned */
	__u64	len;		/* bytes, page aligned, at most 4 GiB */
	__u32	flags;		/* UBLK_SHMEM_BUF_* */
	__u32	reserved;
};

/* The server only reads the buffer: WRITE requests may use it, READ requests may not. */
#define UBLK_SHMEM_BUF_READ_ONLY	(1U << 0)

#define UBLK_FEATURES_LEN		8

/*
 * I/O commands: io_uring commands on /dev/ublkcN. The payload of the first five is a
 * struct ublksrv_io_cmd, of the last three a struct ublk_batch_io.
 */
#define UBLK_IO_FETCH_REQ		0x20
#define UBLK_IO_COMMIT_AND_FETCH_REQ	0x21
#define UBLK_IO_NEED_GET_DATA		0x22

/* Parks until a request arrives for (q_id, tag). */
#define UBLK_U_IO_FETCH_REQ		\
	_IOWR('u', UBLK_IO_FETCH_REQ, struct ublksrv_io_cmd)
/* Hands in the result of the tag's request, then parks for the next one. */
#define UBLK_U_IO_COMMIT_AND_FETCH_REQ	\
	_IOWR('u', UBLK_IO_COMMIT_AND_FETCH_REQ, struct ublksrv_io_cmd)
/* Gives the buffer for a WRITE that was announced with UBLK_IO_RES_NEED_GET_DATA. */
#define UBLK_U_IO_NEED_GET_DATA		\
	_IOWR('u', UBLK_IO_NEED_GET_DATA, struct ublksrv_io_cmd)
/* addr: the slot of the ring's buffer table that is to hold the request's pages. */
#define UBLK_U_IO_REGISTER_IO_BUF	\
	_IOWR('u', 0x23, struct ublksrv_io_cmd)
#define UBLK_U_IO_UNREGISTER_IO_BUF	\
	_IOWR('u', 0x24, struct ublksrv_io_cmd)
/* Batches: arm many tags, commit many results, receive the tags of many requests. */
#define UBLK_U_IO_PREP_IO_CMDS		\
	_IOWR('u', 0x25, struct ublk_batch_io)
#define UBLK_U_IO_COMMIT_IO_CMDS	\
	_IOWR('u', 0x26, struct ublk_batch_io)
#define UBLK_U_IO_FETCH_IO_CMDS		\
	_IOWR('u', 0x27, struct ublk_batch_io)

/* Results of a parked command. */
#define UBLK_IO_RES_OK			0	/* a request: read its descriptor */
#define UBLK_IO_RES_NEED_GET_DATA	1	/* a WRITE: send NEED_GET_DATA */
#define UBLK_IO_RES_ABORT		(-ENODEV)	/* the device goes away: do not fetch */

/*
 * /dev/ublkcN as a file: descriptors can be mapped from UBLKSRV_CMD_BUF_OFFSET on (each queue
 * starts where UBLK_MAX_QUEUE_DEPTH descriptors and page rounding put it); request data can be
 * read and written (UBLK_F_USER_COPY) at UBLKSRV_IO_BUF_OFFSET plus an offset made of
 *
 *   bits  0-24  byte within the request
 *   bits 25-40  tag
 *   bits 41-52  queue
 *   bit  62     the request's integrity buffer instead of its data
 */
#define UBLKSRV_CMD_BUF_OFFSET		0
#define UBLKSRV_IO_BUF_OFFSET		0x80000000

#define UBLK_MAX_QUEUE_DEPTH		4096

#define UBLK_IO_BUF_OFF			0
#define UBLK_IO_BUF_BITS		25
#define UBLK_IO_BUF_BITS_MASK		((1ULL << UBLK_IO_BUF_BITS) - 1)

#define UBLK_TAG_OFF			UBLK_IO_BUF_BITS
#define UBLK_TAG_BITS			16
#define UBLK_TAG_BITS_MASK		((1ULL << UBLK_TAG_BITS) - 1)

#define UBLK_QID_OFF			(UBLK_TAG_OFF + UBLK_TAG_BITS)
#define UBLK_QID_BITS			12
#define UBLK_QID_BITS_MASK		((1ULL << UBLK_QID_BITS) - 1)

#define UBLK_MAX_NR_QUEUES		(1U << UBLK_QID_BITS)

#define UBLKSRV_IO_BUF_TOTAL_BITS	(UBLK_QID_OFF + UBLK_QID_BITS)
#define UBLKSRV_IO_BUF_TOTAL_SIZE	(1ULL << UBLKSRV_IO_BUF_TOTAL_BITS)

#define UBLK_INTEGRITY_FLAG_OFF		62
#define UBLKSRV_IO_INTEGRITY_FLAG	(1ULL << UBLK_INTEGRITY_FLAG_OFF)

/* Feature bits: ublksrv_ctrl_dev_info.flags and the word of GET_FEATURES. */
#define UBLK_F_SUPPORT_ZERO_COPY	(1ULL << 0)	/* REGISTER_IO_BUF and its opposite */
#define UBLK_F_URING_CMD_COMP_IN_TASK	(1ULL << 1)	/* always set; a hint of old */
#define UBLK_F_NEED_GET_DATA		(1UL << 2)	/* a WRITE's buffer is given late */
#define UBLK_F_USER_RECOVERY		(1UL << 3)	/* the disk outlives its server */
#define UBLK_F_USER_RECOVERY_REISSUE	(1UL << 4)	/* requests go to the next server */
#define UBLK_F_UNPRIVILEGED_DEV		(1UL << 5)	/* not only for CAP_SYS_ADMIN */
#define UBLK_F_CMD_IOCTL_ENCODE		(1UL << 6)	/* ioctl-style opcodes; always set */
#define UBLK_F_USER_COPY		(1UL << 7)	/* data moves by pread and pwrite */
#define UBLK_F_ZONED			(1ULL << 8)	/* a zoned disk */
#define UBLK_F_USER_RECOVERY_FAIL_IO	(1ULL << 9)	/* I/O fails while there is no server */
#define UBLK_F_UPDATE_SIZE		(1ULL << 10)	/* UPDATE_SIZE */
#define UBLK_F_AUTO_BUF_REG		(1ULL << 11)	/* buffers come registered */
#define UBLK_F_QUIESCE			(1ULL << 12)	/* QUIESCE_DEV */
#define UBLK_F_PER_IO_DAEMON		(1ULL << 13)	/* each tag has a task of its own */
#define UBLK_F_BUF_REG_OFF_DAEMON	(1ULL << 14)	/* any task may register buffers */
#define UBLK_F_BATCH_IO			(1ULL << 15)	/* the *_IO_CMDS */
#define UBLK_F_INTEGRITY		(1ULL << 16)	/* metadata beside the data */
#define UBLK_F_SAFE_STOP_DEV		(1ULL << 17)	/* TRY_STOP_DEV */
#define UBLK_F_NO_AUTO_PART_SCAN	(1ULL << 18)	/* no partition scan at the start */
#define UBLK_F_SHMEM_ZC			(1ULL << 19)	/* REG_BUF, UNREG_BUF */
#define UBLK_F_IO_DESC_SIZE		(1ULL << 20)	/* io_desc_size is meaningful */

/* Device states. */
#define UBLK_S_DEV_DEAD			0	/* not started, or stopped */
#define UBLK_S_DEV_LIVE			1
#define UBLK_S_DEV_QUIESCED		2	/* no server; I/O waits for the next one */
#define UBLK_S_DEV_FAIL_IO		3	/* no server; I/O fails meanwhile */

/* Payload of every control command. */
struct ublksrv_ctrl_cmd {
	__u32	dev_id;		/* (__u32)-1: any free id (ADD_DEV) or none (GET_FEATURES) */
	__u16	queue_id;	/* (__u16)-1: the command is not about one queue */
	__u16	len;		/* bytes at addr */
	__u64	addr;		/* the command's buffer */
	__u64	data[1];	/* the command's number */
	__u16	dev_path_len;	/* bytes of node path in front of the buffer, with its NUL */
	__u16	pad;
	__u32	reserved;
};

struct ublksrv_ctrl_dev_info {
	__u16	nr_hw_queues;
	__u16	queue_depth;
	__u16	state;			/* out: UBLK_S_DEV_* */
	__u16	io_desc_size;		/* bytes from one descriptor to the next, 0: natural size */
	__u32	max_io_buf_bytes;	/* the largest request */
	__u32	dev_id;
	__s32	ublksrv_pid;		/* out: the server, -1: none */
	__u32	pad1;
	__u64	flags;			/* UBLK_F_*: in what is asked for, out what is granted */
	__u64	ublksrv_flags;		/* the server's own; the driver only keeps them */
	__u32	owner_uid;		/* out */
	__u32	owner_gid;		/* out */
	__u64	reserved1;
	__u64	reserved2;
};

/* Operations: bits 0-7 of ublksrv_io_desc.op_flags. */
#define UBLK_IO_OP_READ			0
#define UBLK_IO_OP_WRITE		1
#define UBLK_IO_OP_FLUSH		2
#define UBLK_IO_OP_DISCARD		3
#define UBLK_IO_OP_WRITE_SAME		4
#define UBLK_IO_OP_WRITE_ZEROES		5
#define UBLK_IO_OP_ZONE_OPEN		10
#define UBLK_IO_OP_ZONE_CLOSE		11
#define UBLK_IO_OP_ZONE_FINISH		12
#define UBLK_IO_OP_ZONE_APPEND		13
#define UBLK_IO_OP_ZONE_RESET_ALL	14
#define UBLK_IO_OP_ZONE_RESET		15
/* Asked for by the driver itself: fill a buffer with zone descriptors. */
#define UBLK_IO_OP_REPORT_ZONES		18

/* Modifiers: bits 8-31 of ublksrv_io_desc.op_flags. */
#define UBLK_IO_F_FAILFAST_DEV		(1U << 8)
#define UBLK_IO_F_FAILFAST_TRANSPORT	(1U << 9)
#define UBLK_IO_F_FAILFAST_DRIVER	(1U << 10)
#define UBLK_IO_F_META			(1U << 11)
#define UBLK_IO_F_FUA			(1U << 13)	/* durable before it is committed */
#define UBLK_IO_F_NOUNMAP		(1U << 15)	/* WRITE_ZEROES must keep the space */
#define UBLK_IO_F_SWAP			(1U << 16)
#define UBLK_IO_F_NEED_REG_BUF		(1U << 17)	/* automatic registration failed */
#define UBLK_IO_F_INTEGRITY		(1UL << 18)	/* the request has metadata */
#define UBLK_IO_F_SHMEM_ZC		(1U << 19)	/* addr says where in a shared buffer */

/* One request, as mapped read-only into the server. */
struct ublksrv_io_desc {
	__u32	op_flags;	/* UBLK_IO_OP_* | UBLK_IO_F_* */
	union {
		__u32	nr_sectors;
		__u32	nr_zones;	/* REPORT_ZONES: the most that are wanted */
	};
	__u64	start_sector;
	__u64	addr;		/* the server's buffer, or ublk_shmem_zc_addr() */
};

static __inline__ __u8 ublksrv_get_op(const struct ublksrv_io_desc *iod)
{
	return (__u8)(iod->op_flags & 0xff);
}

/* The modifiers, shifted down: compare with UBLK_IO_F_* >> 8. */
static __inline__ __u32 ublksrv_get_flags(const struct ublksrv_io_desc *iod)
{
	return iod->op_flags >> 8;
}

/* If the buffer cannot be registered, deliver the request with UBLK_IO_F_NEED_REG_BUF. */
#define UBLK_AUTO_BUF_REG_FALLBACK	(1 << 0)
#define UBLK_AUTO_BUF_REG_F_MASK	UBLK_AUTO_BUF_REG_FALLBACK

/* Where UBLK_F_AUTO_BUF_REG puts a request's pages; travels in sqe->addr. */
struct ublk_auto_buf_reg {
	__u16	index;		/* slot in the ring's buffer table */
	__u8	flags;		/* UBLK_AUTO_BUF_REG_* */
	__u8	reserved0;
	__u32	reserved1;
};

static __inline__ struct ublk_auto_buf_reg ublk_sqe_addr_to_auto_buf_reg(__u64 sqe_addr)
{
	struct ublk_auto_buf_reg reg;

	reg.index = (__u16)sqe_addr;
	reg.flags = (__u8)(sqe_addr >> 16);
	reg.reserved0 = (__u8)(sqe_addr >> 24);
	reg.reserved1 = (__u32)(sqe_addr >> 32);
	return reg;
}

static __inline__ __u64 ublk_auto_buf_reg_to_sqe_addr(const struct ublk_auto_buf_reg *buf)
{
	return buf->index | ((__u64)buf->flags << 16) | ((__u64)buf->reserved0 << 24) |
	       ((__u64)buf->reserved1 << 32);
}

/* Payload of the commands about one tag. */
struct ublksrv_io_cmd {
	__u16	q_id;
	__u16	tag;
	__s32	result;		/* COMMIT: bytes done, or -errno */
	union {
		__u64	addr;			/* the buffer for the next request */
		__u64	zone_append_lba;	/* COMMIT of a ZONE_APPEND: where it went */
	};
};

/* One element of a batch; zone LBA and buffer address follow it if the flags say so. */
struct ublk_elem_header {
	__u16	tag;
	__u16	buf_index;	/* AUTO_BUF_REG: slot in the ring's buffer table */
	__s32	result;
};

/* Payload of the batch commands; sqe->addr points to the elements. */
struct ublk_batch_io {
	__u16	q_id;
#define UBLK_BATCH_F_HAS_ZONE_LBA		(1 << 0)
#define UBLK_BATCH_F_HAS_BUF_ADDR		(1 << 1)
#define UBLK_BATCH_F_AUTO_BUF_REG_FALLBACK	(1 << 2)
	__u16	flags;
	__u16	nr_elem;
	__u8	elem_bytes;	/* bytes from one element to the next */
	__u8	reserved;
	__u64	reserved2;
};

struct ublk_param_basic {
#define UBLK_ATTR_READ_ONLY		(1 << 0)
#define UBLK_ATTR_ROTATIONAL		(1 << 1)
#define UBLK_ATTR_VOLATILE_CACHE	(1 << 2)	/* wants FLUSH */
#define UBLK_ATTR_FUA			(1 << 3)	/* understands UBLK_IO_F_FUA */
	__u32	attrs;
	__u8	logical_bs_shift;
	__u8	physical_bs_shift;
	__u8	io_opt_shift;
	__u8	io_min_shift;
	__u32	max_sectors;
	__u32	chunk_sectors;
	__u64	dev_sectors;
	__u64	virt_boundary_mask;
};

struct ublk_param_discard {
	__u32	discard_alignment;		/* bytes */
	__u32	discard_granularity;		/* bytes */
	__u32	max_discard_sectors;
	__u32	max_write_zeroes_sectors;
	__u16	max_discard_segments;
	__u16	reserved0;
};

/* Out only: the numbers of /dev/ublkcN and /dev/ublkbN. */
struct ublk_param_devt {
	__u32	char_major;
	__u32	char_minor;
	__u32	disk_major;
	__u32	disk_minor;
};

struct ublk_param_zoned {
	__u32	max_open_zones;
	__u32	max_active_zones;
	__u32	max_zone_append_sectors;
	__u8	reserved[20];
};

struct ublk_param_dma_align {
	__u32	alignment;	/* mask: a power of two minus one */
	__u8	pad[4];
};

#define UBLK_MIN_SEGMENT_SIZE		4096
struct ublk_param_segment {
	__u64	seg_boundary_mask;
	__u32	max_segment_size;	/* at least UBLK_MIN_SEGMENT_SIZE */
	__u16	max_segments;
	__u8	pad[2];
};

struct ublk_param_integrity {
	__u32	flags;			/* LBMD_PI_CAP_* of linux/fs.h */
	__u16	max_integrity_segments;
	__u8	interval_exp;
	__u8	metadata_size;
	__u8	pi_offset;
	__u8	csum_type;		/* LBMD_PI_CSUM_* of linux/fs.h */
	__u8	tag_size;
	__u8	pad[5];
};

struct ublk_params {
	__u32	len;		/* bytes the caller knows of this structure */
#define UBLK_PARAM_TYPE_BASIC		(1 << 0)
#define UBLK_PARAM_TYPE_DISCARD		(1 << 1)
#define UBLK_PARAM_TYPE_DEVT		(1 << 2)
#define UBLK_PARAM_TYPE_ZONED		(1 << 3)
#define UBLK_PARAM_TYPE_DMA_ALIGN	(1 << 4)
#define UBLK_PARAM_TYPE_SEGMENT		(1 << 5)
#define UBLK_PARAM_TYPE_INTEGRITY	(1 << 6)
	__u32	types;		/* which members below are valid */
	struct ublk_param_basic		basic;
	struct ublk_param_discard	discard;
	struct ublk_param_devt		devt;
	struct ublk_param_zoned		zoned;
	struct ublk_param_dma_align	dma;
	struct ublk_param_segment	seg;
	struct ublk_param_integrity	integrity;
};

/* ublksrv_io_desc.addr under UBLK_IO_F_SHMEM_ZC: a buffer's index and an offset into it. */
#define UBLK_SHMEM_ZC_OFF_MASK		0xffffffffULL
#define UBLK_SHMEM_ZC_IDX_OFF		32
#define UBLK_SHMEM_ZC_IDX_MASK		0xffffULL

static __inline__ __u64 ublk_shmem_zc_addr(__u16 index, __u32 offset)
{
	return ((__u64)index << UBLK_SHMEM_ZC_IDX_OFF) | offset;
}

static __inline__ __u16 ublk_shmem_zc_index(__u64 addr)
{
	return (__u16)((addr >> UBLK_SHMEM_ZC_IDX_OFF) & UBLK_SHMEM_ZC_IDX_MASK);
}

static __inline__ __u32 ublk_shmem_zc_offset(__u64 addr)
{
	return (__u32)(addr & UBLK_SHMEM_ZC_OFF_MASK);
}

#endif /* UBLK_UAPI_UBLK_CMD_H */
