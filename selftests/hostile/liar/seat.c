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

/* How long a server's thread may be in one system call before its process is ended, or is not. */
#define STUCK_MS patience(300)
#define LOOK_MICROSECONDS 20000

/* When each thread has entered what it is in, 0: nothing. */
static atomic_llong entered[LIAR_MAX_THREADS];
static _Thread_local unsigned int thread_number;

struct life {
	struct liar *liar;
	const struct role *role;
	struct dice stream;
};

static void *live(void *argument)
{
	struct life *life = argument;
	const struct act *act;
	struct dice dice;
	uint64_t state;

	thread_number = life->liar->number;
	coverage_begin(thread_number);
	for (;;) {
		act = act_next(life->role, &life->stream, &dice);
		state = dice.state;
		act->run(life->liar, &dice);
		coverage_acted(life->role, act, state);
	}
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

void seat_enter(void)
{
	atomic_store(&entered[thread_number], raw_now_ms());
}

void seat_leave(void)
{
	atomic_store(&entered[thread_number], 0);
}

static bool is_stuck(void)
{
	long long now = raw_now_ms(), since;
	unsigned int i;

	for (i = 0; i < LIAR_MAX_THREADS; i++) {
		since = atomic_load(&entered[i]);
		if (since && now - since > STUCK_MS)
			return true;
	}
	return false;
}

/*
 * Who waits for memory that does not come lies no more, and is to die just there. Some are left to
 * those who end everybody at last.
 */
static void end_if_stuck(const struct seat *seat, struct dice *dice)
{
	bool may_stay = dice_chance(dice, 25);

	for (;;) {
		usleep(LOOK_MICROSECONDS);
		if (!seat->user && !seat->honest && !may_stay && is_stuck())
			kill(getpid(), SIGKILL);
	}
}

void seat_run(uint64_t seed, unsigned int number, unsigned int generation)
{
	const struct seat *seat = &seats[number];
	struct life lives[LIAR_MAX_THREADS];
	struct dice dice = dice_from(~seed, generation * LIAR_MAX_SEATS + number);
	pthread_t thread;
	unsigned int i;

	coverage_prepare();
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
	end_if_stuck(seat, &dice);
	__builtin_unreachable();
}
