// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process of a seat: its threads do one act after the other until somebody ends them.
 */
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "liar.h"

struct life {
	struct liar *liar;
	const struct role *role;
	struct dice stream;
};

static void *live(void *argument)
{
	struct life *life = argument;
	struct dice dice;

	for (;;)
		act_next(life->role, &life->stream, &dice)->run(life->liar, &dice);
	return NULL;
}

static void become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(LIAR_NOBODY, LIAR_NOBODY, LIAR_NOBODY) ||
	    setresuid(LIAR_NOBODY, LIAR_NOBODY, LIAR_NOBODY))
		_exit(1);
}

/* It dies with its supervisor, leaves no core, and does not eat all memory by its own fault. */
static void be_a_guest(const struct seat *seat)
{
	const struct rlimit no_core = { 0, 0 }, files = { 1024, 1024 };

	setrlimit(RLIMIT_CORE, &no_core);
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	if (staged == STAGED_DEAF && seat->user)
		signal(SIGTERM, SIG_IGN);
	if (seat->unprivileged)
		become_nobody();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void seat_run(uint64_t seed, unsigned int number, unsigned int generation)
{
	const struct seat *seat = &seats[number];
	struct life lives[LIAR_MAX_THREADS];
	pthread_t thread;
	unsigned int i;

	be_a_guest(seat);
	while (staged == STAGED_IDLE)
		pause();
	liar_set_up();
	for (i = 0; i < LIAR_MAX_THREADS && seat->threads[i]; i++) {
		liars[i].number = i;
		liars[i].unprivileged = seat->unprivileged;
		lives[i] = (struct life) {
			.liar = &liars[i],
			.role = seat->threads[i],
			.stream = act_stream(seed, number, generation, i),
		};
		if (pthread_create(&thread, NULL, live, &lives[i]))
			_exit(1);
	}
	for (;;)
		pause();
}
