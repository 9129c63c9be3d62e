// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random numbers that a seed repeats (splitmix64), and what is drawn with them.
 */
#include "liar.h"

static uint64_t scramble(uint64_t value)
{
	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
	return value ^ value >> 31;
}

/* The @number-th of many independent streams. */
struct dice dice_from(uint64_t seed, uint64_t number)
{
	return (struct dice) { .state = scramble(scramble(seed) + number) };
}

uint64_t dice_roll(struct dice *dice)
{
	dice->state += 0x9e3779b97f4a7c15ULL;
	return scramble(dice->state);
}

unsigned int dice_below(struct dice *dice, unsigned int limit)
{
	return (dice_roll(dice) >> 32) * limit >> 32;
}

bool dice_chance(struct dice *dice, unsigned int percent)
{
	return dice_below(dice, 100) < percent;
}

uint64_t dice_pick(struct dice *dice, const uint64_t *values, size_t count)
{
	return values[dice_below(dice, count)];
}

unsigned int dice_weighted(struct dice *dice, const unsigned char *weights, size_t count)
{
	unsigned int sum = 0, i, point;

	for (i = 0; i < count; i++)
		sum += weights[i];
	point = dice_below(dice, sum);
	for (i = 0; point >= weights[i]; i++)
		point -= weights[i];
	return i;
}
