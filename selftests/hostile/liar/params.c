// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parameters of a disk: as an honest server sets them, with some fields at the ends of what they can
 * hold, or with anything anywhere. What the driver takes of that, users of the disk find out.
 */
#include <stddef.h>
#include <string.h>

#include "liar.h"

/* A field that the driver reads, and what makes it read it: UBLK_PARAM_TYPE_*. */
struct field {
	unsigned int type;
	unsigned int offset;
	unsigned int size;
};

#define FIELD(type, member) \
	{ UBLK_PARAM_TYPE_##type, offsetof(struct ublk_params, member), \
	  sizeof(((struct ublk_params *)0)->member) }

static const struct field fields[] = {
	FIELD(BASIC, basic.attrs),
	FIELD(BASIC, basic.logical_bs_shift),
	FIELD(BASIC, basic.physical_bs_shift),
	FIELD(BASIC, basic.io_opt_shift),
	FIELD(BASIC, basic.io_min_shift),
	FIELD(BASIC, basic.max_sectors),
	FIELD(BASIC, basic.chunk_sectors),
	FIELD(BASIC, basic.dev_sectors),
	FIELD(BASIC, basic.virt_boundary_mask),
	FIELD(DISCARD, discard.discard_alignment),
	FIELD(DISCARD, discard.discard_granularity),
	FIELD(DISCARD, discard.max_discard_sectors),
	FIELD(DISCARD, discard.max_write_zeroes_sectors),
	FIELD(DISCARD, discard.max_discard_segments),
	FIELD(DISCARD, discard.reserved0),
	FIELD(DEVT, devt.char_major),
	FIELD(ZONED, zoned.max_open_zones),
	FIELD(ZONED, zoned.max_active_zones),
	FIELD(ZONED, zoned.max_zone_append_sectors),
	FIELD(DMA_ALIGN, dma.alignment),
	FIELD(SEGMENT, seg.seg_boundary_mask),
	FIELD(SEGMENT, seg.max_segment_size),
	FIELD(SEGMENT, seg.max_segments),
	FIELD(INTEGRITY, integrity.flags),
	FIELD(INTEGRITY, integrity.max_integrity_segments),
	FIELD(INTEGRITY, integrity.interval_exp),
	FIELD(INTEGRITY, integrity.metadata_size),
	FIELD(INTEGRITY, integrity.pi_offset),
	FIELD(INTEGRITY, integrity.csum_type),
	FIELD(INTEGRITY, integrity.tag_size),
};

#define FIELDS (sizeof(fields) / sizeof(fields[0]))
#define PARAM_TYPES 7

/* What breaks sums, shifts and roundings: the ends, half of all, odd ones, powers of two. */
static uint64_t extreme(unsigned int bits, struct dice *dice)
{
	uint64_t all = ~0ULL >> (64 - bits);

	switch (dice_below(dice, 8)) {
	case 0:
		return 0;
	case 1:
		return all;
	case 2:
		return all - dice_below(dice, 4096);
	case 3:
		return 1 + all / 2;
	case 4:
		return all / 2;
	case 5:
		return PICK(dice, 1, 3, 7, 511, 513, 4095, 4097);
	case 6:
		return 1ULL << dice_below(dice, bits);
	default:
		return dice_roll(dice) & all;
	}
}

/* Of each kind as often, mostly of those that are read; numbers lie in memory as the machine has them. */
static void make_extreme(struct ublk_params *params, struct dice *dice)
{
	unsigned int type = 1U << dice_below(dice, PARAM_TYPES);
	const struct field *field;
	uint64_t value;

	while (!(params->types & type) && dice_chance(dice, 90))
		type = 1U << dice_below(dice, PARAM_TYPES);
	do {
		field = &fields[dice_below(dice, FIELDS)];
	} while (field->type != type);
	params->types |= type;
	value = extreme(8 * field->size, dice);
	memcpy((char *)params + field->offset, &value, field->size);
}

/* Overwrite some of it with numbers, large or small. */
static void spoil(struct ublk_params *params, struct dice *dice)
{
	uint32_t *words = (uint32_t *)params;
	unsigned int count = 1 + dice_below(dice, 4);

	while (count--)
		words[dice_below(dice, sizeof(*params) / 4)] =
			dice_chance(dice, 50) ? dice_below(dice, 256) :
			dice_chance(dice, 50) ? 1U << dice_below(dice, 32) : dice_roll(dice);
}

struct ublk_params params_any(struct dice *dice, const struct ublksrv_ctrl_dev_info *info,
			      enum params kind)
{
	struct ublk_params params = raw_params(info);
	unsigned int count;

	params.basic.logical_bs_shift = PICK(dice, 9, 9, 12);
	params.basic.attrs = dice_below(dice, 16) & ~(dice_chance(dice, 90) ?
						      UBLK_ATTR_READ_ONLY : 0);
	if (info->flags & UBLK_F_ZONED) {
		params.types |= UBLK_PARAM_TYPE_ZONED;
		params.basic.chunk_sectors = 8192;
		params.zoned.max_zone_append_sectors = params.basic.max_sectors;
	}
	if (info->flags & UBLK_F_INTEGRITY) {
		params.types |= UBLK_PARAM_TYPE_INTEGRITY;
		params.integrity.metadata_size = 8;
		params.integrity.interval_exp = 9;
		params.integrity.csum_type = dice_below(dice, 3);
	}
	if (dice_chance(dice, 30)) {
		params.types |= UBLK_PARAM_TYPE_SEGMENT;
		params.seg.seg_boundary_mask = PICK(dice, 4095, 65535, ~0ULL);
		params.seg.max_segment_size = PICK(dice, 4096, 65536, ~0U);
		params.seg.max_segments = PICK(dice, 0, 1, 2, 128);
	}
	if (dice_chance(dice, 30)) {
		params.types |= UBLK_PARAM_TYPE_DMA_ALIGN;
		params.dma.alignment = PICK(dice, 0, 3, 511, 4095);
	}
	if (kind == PARAMS_EXTREME)
		for (count = 1 + dice_below(dice, 2); count; count--)
			make_extreme(&params, dice);
	if (kind == PARAMS_SPOILT)
		spoil(&params, dice);
	return params;
}

enum params params_any_kind(struct dice *dice)
{
	return PICK(dice, PARAMS_SANE, PARAMS_SANE, PARAMS_SANE, PARAMS_EXTREME, PARAMS_EXTREME,
		    PARAMS_EXTREME, PARAMS_EXTREME, PARAMS_SPOILT);
}
