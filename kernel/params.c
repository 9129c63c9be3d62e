// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device's parameters: checks what a server asks for, and turns it into queue limits. Values
 * that the block layer would answer with a warning or a crash are refused here.
 */
#include <linux/blkdev.h>
#include <linux/log2.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "integrity.h"
#include "ublk.h"
#include "zoned.h"

/* What SET_PARAMS understands; other bits are for later versions and are dropped. */
#define UBLK_PARAM_TYPES_KNOWN	(UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_DISCARD |	\
				 UBLK_PARAM_TYPE_DEVT | UBLK_PARAM_TYPE_ZONED |		\
				 UBLK_PARAM_TYPE_DMA_ALIGN | UBLK_PARAM_TYPE_SEGMENT |	\
				 UBLK_PARAM_TYPE_INTEGRITY)

/* Only told. */
#define UBLK_PARAM_TYPES_REFUSED UBLK_PARAM_TYPE_DEVT

/* As far as NVMe can go; more than that is a mistake. */
#define UBLK_MAX_BLOCK_SHIFT	ilog2(SZ_256M)

/* The largest whose mask leaves something of 32 bits. */
#define UBLK_MAX_DISCARD_GRANULARITY	SZ_2G

/* A bio tells its size in 32 bits. */
#define UBLK_MAX_BIO_SECTORS	(UINT_MAX >> SECTOR_SHIFT)

/* A server tells in a signed number how much of a request is done. */
#define UBLK_MAX_RESULT_SECTORS	(INT_MAX >> SECTOR_SHIFT)

/* Alignment of buffers in memory if the server does not say: what a request can be made of. */
#define UBLK_DMA_ALIGNMENT	3

/* How struct ublk_params begins: tells how much of it follows. */
struct ublk_params_header {
	__u32	len;
	__u32	types;
};

static bool ublk_params_is_mask(u64 value)
{
	return !(value & (value + 1));
}

static u32 ublk_params_block_sectors(const struct ublk_params *params)
{
	return 1U << (params->basic.logical_bs_shift - SECTOR_SHIFT);
}

static bool ublk_params_basic_is_valid(const struct ublk_params *params,
				       const struct ublksrv_ctrl_dev_info *info)
{
	const struct ublk_param_basic *basic = &params->basic;

	if (basic->logical_bs_shift < SECTOR_SHIFT || basic->logical_bs_shift > PAGE_SHIFT)
		return false;
	if (basic->physical_bs_shift > UBLK_MAX_BLOCK_SHIFT ||
	    basic->io_min_shift > UBLK_MAX_BLOCK_SHIFT ||
	    basic->io_opt_shift > UBLK_MAX_BLOCK_SHIFT)
		return false;
	if (basic->logical_bs_shift > basic->physical_bs_shift)
		return false;
	if (basic->max_sectors < PAGE_SECTORS ||
	    basic->max_sectors > info->max_io_buf_bytes >> SECTOR_SHIFT)
		return false;
	if (basic->dev_sectors > (u64)LLONG_MAX >> SECTOR_SHIFT)
		return false;

	/* The block layer cannot split in the middle of a block. */
	if (basic->chunk_sectors % ublk_params_block_sectors(params))
		return false;
	return ublk_params_is_mask(basic->virt_boundary_mask);
}

/*
 * A discard is cut where a granule ends, so granules are whole blocks and a discard may be as long
 * as one. Kernels compute in 32 bits with masks: beyond UBLK_MAX_DISCARD_GRANULARITY they get
 * pieces of 0 bytes, which some take for ever and others for success. What is smaller than a
 * physical block counts as one.
 */
static bool ublk_params_discard_is_valid(const struct ublk_params *params,
					 const struct ublksrv_ctrl_dev_info *info)
{
	const struct ublk_param_discard *discard = &params->discard;
	u32 block_size = 1U << params->basic.logical_bs_shift;

	if (!discard->discard_granularity)
		return false;
	/* Nothing is discarded, so nobody looks at the rest. */
	if (!discard->max_discard_sectors)
		return true;
	if (discard->max_discard_segments != 1)
		return false;
	if (discard->discard_granularity > UBLK_MAX_DISCARD_GRANULARITY ||
	    discard->discard_granularity % SECTOR_SIZE)
		return false;
	if (discard->discard_granularity > 1U << params->basic.physical_bs_shift &&
	    discard->discard_granularity % block_size)
		return false;
	if (discard->discard_alignment % block_size)
		return false;
	return discard->max_discard_sectors >= discard->discard_granularity >> SECTOR_SHIFT;
}

static bool ublk_params_dma_is_valid(const struct ublk_params *params,
				     const struct ublksrv_ctrl_dev_info *info)
{
	return params->dma.alignment < PAGE_SIZE && ublk_params_is_mask(params->dma.alignment);
}

static bool ublk_params_segment_is_valid(const struct ublk_params *params,
					 const struct ublksrv_ctrl_dev_info *info)
{
	const struct ublk_param_segment *seg = &params->seg;

	return ublk_params_is_mask(seg->seg_boundary_mask) &&
	       seg->seg_boundary_mask >= UBLK_MIN_SEGMENT_SIZE - 1 &&
	       seg->max_segment_size >= UBLK_MIN_SEGMENT_SIZE;
}

static bool ublk_params_zoned_is_valid(const struct ublk_params *params,
				       const struct ublksrv_ctrl_dev_info *info)
{
	return (info->flags & UBLK_F_ZONED) && ublk_zoned_params_are_valid(params);
}

static bool ublk_params_metadata_is_valid(const struct ublk_params *params,
					  const struct ublksrv_ctrl_dev_info *info)
{
	return (info->flags & UBLK_F_INTEGRITY) && ublk_integrity_params_are_valid(params);
}

/* What is checked of each kind, in this order: all others rely on the first. */
static const struct ublk_params_rule {
	u32 type;
	bool (*is_valid)(const struct ublk_params *params,
			 const struct ublksrv_ctrl_dev_info *info);
} ublk_params_rules[] = {
	{ UBLK_PARAM_TYPE_BASIC, ublk_params_basic_is_valid },
	{ UBLK_PARAM_TYPE_DISCARD, ublk_params_discard_is_valid },
	{ UBLK_PARAM_TYPE_ZONED, ublk_params_zoned_is_valid },
	{ UBLK_PARAM_TYPE_DMA_ALIGN, ublk_params_dma_is_valid },
	{ UBLK_PARAM_TYPE_SEGMENT, ublk_params_segment_is_valid },
	{ UBLK_PARAM_TYPE_INTEGRITY, ublk_params_metadata_is_valid },
};

static bool ublk_params_are_valid(const struct ublk_params *params,
				  const struct ublksrv_ctrl_dev_info *info)
{
	u32 types = params->types;

	if (!(types & UBLK_PARAM_TYPE_BASIC) || (types & UBLK_PARAM_TYPES_REFUSED))
		return false;
	/* A zoned device has zones. */
	if ((info->flags & UBLK_F_ZONED) && !(types & UBLK_PARAM_TYPE_ZONED))
		return false;
	for (unsigned int i = 0; i < ARRAY_SIZE(ublk_params_rules); i++) {
		const struct ublk_params_rule *rule = &ublk_params_rules[i];

		if ((types & rule->type) && !rule->is_valid(params, info))
			return false;
	}
	return true;
}

/* Reads each byte once. Memory is read before any lock is taken: a fault may take for ever. */
static int ublk_params_read(struct ublk_params *params, void __user *from,
			    const struct ublk_params_header *header)
{
	u32 len = min_t(u32, header->len, sizeof(*params));

	if (copy_from_user((void *)params + sizeof(*header), from + sizeof(*header),
			   len - sizeof(*header)))
		return -EFAULT;
	params->len = len;
	params->types = header->types & UBLK_PARAM_TYPES_KNOWN;
	return 0;
}

/**
 * ublk_params_set() - SET_PARAMS
 * @dev: without a disk, or -EACCES
 * @from: a struct ublk_params that says how long it is
 * @len: how much may be read there
 *
 * Return: 0 or -errno. If the parameters are bad or cannot be read, the device has none.
 */
int ublk_params_set(struct ublk_device *dev, void __user *from, u32 len)
{
	struct ublk_params params = {};
	struct ublk_params_header header;
	int ret;

	if (len <= sizeof(header))
		return -EINVAL;
	if (copy_from_user(&header, from, sizeof(header)))
		return -EFAULT;
	if (header.len <= sizeof(header) || header.len > len || !header.types)
		return -EINVAL;
	ret = ublk_params_read(&params, from, &header);

	guard(mutex)(&dev->mutex);

	scoped_guard(spinlock, &dev->lock) {
		if (dev->state != UBLK_DEVICE_IDLE)
			return -EACCES;
	}
	if (!ret && !ublk_params_are_valid(&params, &dev->info))
		ret = -EINVAL;
	if (ret)
		memset(&dev->params, 0, sizeof(dev->params));
	else
		dev->params = params;
	return ret;
}

static struct ublk_param_devt ublk_params_devt(struct ublk_device *dev)
{
	struct ublk_param_devt devt = {
		.char_major = MAJOR(dev->chardev.devt),
		.char_minor = MINOR(dev->chardev.devt),
	};

	guard(spinlock)(&dev->lock);
	if (dev->disk) {
		devt.disk_major = MAJOR(disk_devt(dev->disk));
		devt.disk_minor = MINOR(disk_devt(dev->disk));
	}
	return devt;
}

/**
 * ublk_params_get() - GET_PARAMS
 * @dev: the device
 * @to: a struct ublk_params whose len says how much is wanted
 * @len: how much may be written there
 *
 * Return: 0 or -errno.
 */
int ublk_params_get(struct ublk_device *dev, void __user *to, u32 len)
{
	struct ublk_params_header header;
	struct ublk_params params;

	if (len <= sizeof(header))
		return -EINVAL;
	if (copy_from_user(&header, to, sizeof(header)))
		return -EFAULT;
	if (!header.len || header.len > len)
		return -EINVAL;

	scoped_guard(mutex, &dev->mutex)
		params = dev->params;
	params.devt = ublk_params_devt(dev);
	params.types |= UBLK_PARAM_TYPE_DEVT;
	if (copy_to_user(to, &params, min_t(u32, header.len, sizeof(params))))
		return -EFAULT;
	return 0;
}

static unsigned int ublk_params_features(const struct ublk_param_basic *basic)
{
	unsigned int features = 0;

	if (basic->attrs & UBLK_ATTR_VOLATILE_CACHE) {
		features |= BLK_FEAT_WRITE_CACHE;
		if (basic->attrs & UBLK_ATTR_FUA)
			features |= BLK_FEAT_FUA;
	}
	if (basic->attrs & UBLK_ATTR_ROTATIONAL)
		features |= BLK_FEAT_ROTATIONAL;
	return features;
}

/*
 * A block that is made of pieces smaller than itself must not meet a limit on segments: it would
 * have to be split, which the block layer cannot do and 6.1 does not survive.
 */
static unsigned int ublk_params_dma_alignment(const struct ublk_params *params,
					      const struct queue_limits *limits)
{
	unsigned int alignment = UBLK_DMA_ALIGNMENT;
	unsigned int most_pieces;

	if (params->types & UBLK_PARAM_TYPE_DMA_ALIGN)
		alignment = params->dma.alignment;
	most_pieces = limits->logical_block_size / (alignment + 1) + 1;
	if (limits->max_segments < most_pieces || limits->virt_boundary_mask >= PAGE_SIZE)
		alignment = max(alignment, limits->logical_block_size - 1);
	if (params->types & UBLK_PARAM_TYPE_INTEGRITY)
		alignment = max(alignment, ublk_integrity_alignment(params));
	return alignment;
}

static void ublk_params_limit_discard(const struct ublk_params *params,
				      struct queue_limits *limits)
{
	const struct ublk_param_discard *discard = &params->discard;

	limits->discard_alignment = discard->discard_alignment;
	limits->discard_granularity = discard->discard_granularity;
	limits->max_hw_discard_sectors = discard->max_discard_sectors;
	limits->max_discard_segments = discard->max_discard_segments;
	/* 6.1 takes it for what fits into a bio, and cuts there. */
	limits->max_write_zeroes_sectors =
		ublk_params_whole_blocks(params, min_t(u32, discard->max_write_zeroes_sectors,
						       UBLK_MAX_BIO_SECTORS));
}

/* What the block layer may send, given valid @params. */
struct queue_limits ublk_params_limits(const struct ublk_params *params)
{
	const struct ublk_param_basic *basic = &params->basic;
	struct queue_limits limits = {
		.features		= ublk_params_features(basic),
		.logical_block_size	= 1U << basic->logical_bs_shift,
		.physical_block_size	= 1U << basic->physical_bs_shift,
		.io_min			= 1U << basic->io_min_shift,
		.io_opt			= 1U << basic->io_opt_shift,
		.max_hw_sectors		= min_t(u32, basic->max_sectors, UBLK_MAX_RESULT_SECTORS),
		.chunk_sectors		= basic->chunk_sectors,
		.virt_boundary_mask	= basic->virt_boundary_mask,
		.max_segments		= USHRT_MAX,
		.max_segment_size	= UINT_MAX,
	};

	if (params->types & UBLK_PARAM_TYPE_DISCARD)
		ublk_params_limit_discard(params, &limits);
	if (params->types & UBLK_PARAM_TYPE_ZONED)
		ublk_zoned_limit(params, &limits);
	if (params->types & UBLK_PARAM_TYPE_SEGMENT) {
		limits.seg_boundary_mask = params->seg.seg_boundary_mask;
		limits.max_segment_size = params->seg.max_segment_size;
		limits.max_segments = params->seg.max_segments ?: BLK_MAX_SEGMENTS;
	}
	if (params->types & UBLK_PARAM_TYPE_INTEGRITY)
		ublk_integrity_limit(params, &limits);
	limits.dma_alignment = ublk_params_dma_alignment(params, &limits);
	return limits;
}
