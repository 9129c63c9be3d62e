// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who there is, what each of them may do, and how a thread's acts follow from the seed.
 */
#include <inttypes.h>
#include <stdio.h>

#include "liar.h"

const struct seat seats[] = {
	{ .name = "honest", .honest = true, .threads = { &role_honest } },
	{ .name = "server", .threads = { &role_server, &role_server, &role_vandal } },
	{ .name = "server", .threads = { &role_server, &role_vandal } },
	{ .name = "unprivileged", .unprivileged = true,
	  .threads = { &role_server, &role_vandal } },
	{ .name = "edges", .threads = { &role_edge_server, &role_edge_user } },
	{ .name = "controller", .threads = { &role_controller } },
	{ .name = "reader", .user = true, .threads = { &role_reader, &role_reader } },
	{ .name = "user", .user = true, .threads = { &role_blunt_user } },
};

const unsigned int seat_count = sizeof(seats) / sizeof(seats[0]);

struct dice act_stream(uint64_t seed, unsigned int seat, unsigned int generation,
		       unsigned int thread)
{
	return dice_from(seed, ((uint64_t)generation * LIAR_MAX_SEATS + seat) * LIAR_MAX_THREADS +
			       thread);
}

/* What it takes from the stream depends on nothing but the stream, and on what coverage.c keeps. */
const struct act *act_next(const struct role *role, struct dice *stream, struct dice *dice)
{
	unsigned int sum = 0, point;
	const struct act *act;

	for (act = role->acts; act->name; act++)
		sum += act->weight;
	point = dice_below(stream, sum);
	for (act = role->acts; point >= act->weight; act++)
		point -= act->weight;
	*dice = (struct dice) { .state = dice_roll(stream) };
	return coverage_choose(role, act, stream, dice);
}

/* The beginning of what each thread of the first processes does. */
void seat_print(uint64_t seed, unsigned int acts)
{
	unsigned int seat, thread, i;

	for (seat = 0; seat < seat_count; seat++) {
		for (thread = 0; thread < LIAR_MAX_THREADS; thread++) {
			const struct role *role = seats[seat].threads[thread];
			struct dice stream = act_stream(seed, seat, 0, thread), dice;

			for (i = 0; role && i < acts; i++) {
				const struct act *act = act_next(role, &stream, &dice);

				printf("%s %u.%u: %s %016" PRIx64 "\n", seats[seat].name, seat,
				       thread, act->name, dice.state);
			}
		}
	}
}
