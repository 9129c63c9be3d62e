/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of kernel/slot.c, of those who move slots (submitters, the server's tasks, cancellation,
 * polling), and of the sweep that takes everything back when the server is gone. spin looks at every
 * order in which their steps can meet; `run` says how, and with which of the variants below.
 *
 * What must hold, whatever meets what:
 *  - a request ends, or is orphaned, once and not twice: end_request() and that submitters end;
 *  - a command is answered once and not twice: answer() and that the file is closed at last;
 *  - the sweep ends with every slot DEAD or EMPTY and nothing parked, which is what DEL_DEV waits
 *    for: Closer ends. Nobody waits for ever: spin reports who cannot go on.
 *
 * A step is what the driver does atomically: an exchange of a slot's state, a read of it, something
 * under ublk_device.lock. Memory is that of a machine that orders everything, so barriers are not
 * looked at; nor are batches, those who hold a request beside the server, and the next server.
 *
 * Each variant is a driver that is wrong in one way, which must be found:
 *  THREE_READS		the sweep reads a slot's state again and again, as long as it does not know
 *			what it wants to know: between two looks, COMMIT becomes ARMED
 *  PINNED_IS_CLEAN	the sweep does not come back to a slot that polling has pinned
 *  ONE_PASS		the sweep answers a command as it comes to it; that waits for a lock whose
 *			holder may wait for a request that the sweep has not come to yet
 *  TWO_PASSES		it answers when it has looked at all slots; but one that was passing then can be
 *			FAULTING now, and it is the sweep that must take its request back
 *  ANSWERS_FIRST	who takes back a request answers its command first
 *  REST_ON_STACK	a task that serves what was on its way to it keeps the rest to itself meanwhile
 *  EARLY_LOOK		a commit looks whether the server is gone before the slot is in COMMIT
 *  LOST_RECALL		a command that was recalled is not answered when it comes to its task
 */

#define SLOTS		2
#ifndef RINGS
#define RINGS		1
#endif
#ifndef REQUESTS
#define REQUESTS	1	/* of each tag, one after the other */
#endif
#ifndef FATE
#define FATE		ALL	/* the server's */
#endif
/* OFFERS: the server is told of a request first, and takes its data then; NO_FAULTS: all memory is there */
#ifndef LOOKS
#define LOOKS		0	/* at parked commands, by polling */
#endif

#define COMMANDS	(2 * SLOTS)	/* a commit can come while the slot's last command is answered */
#define RING(slot)	((slot) % RINGS)
#define SLOT(command)	((command) / 2)

/* Those of enum ublk_slot_state. */
mtype:slot = { EMPTY, ARMED, PINNED, CLAIMED, OFFERED, SERVER, COMMIT, FAULTING, RECALLED, DEAD };

/* How a copy that met a missing page goes on. */
mtype:memory = { THERE, BAD, FATAL };

/* Who of the server's tasks is killed at some time. */
mtype:fate = { SPARED, ONE, ALL };

/* A slot. */
mtype:slot state[SLOTS];
byte parked[SLOTS];		/* slot.cmd */
byte rq[SLOTS];			/* slot.rq, as the number of the tag's request */

/* The tag of the same number. */
byte number[SLOTS];		/* of its latest request */
bool flying[SLOTS];		/* which has not ended */
bool finished[SLOTS];		/* all have */

bool waiting[COMMANDS];		/* commands without an answer */

/* A ring, and its task. */
chan inbox[RINGS] = [SLOTS] of { byte, byte };	/* slot and number, the oldest first */
chan rest[RINGS] = [SLOTS] of { byte, byte };	/* what was taken from there and is not served yet */
chan work[RINGS] = [SLOTS] of { byte };		/* commands that bring the task work */
bool uring_lock[RINGS];
bool killed[RINGS];
bool exited[RINGS];
bool lost[RINGS];

mtype:fate fate;
bool gone;			/* the server, by UBLK_SERVER_GONE */
bool closed;			/* its file */
bool swept;			/* and all it held taken back */

bool unanswered[SLOTS];		/* the slot is DEAD, its command is the answerer's */
bool kick;			/* gone_work is to run */
bool sweeping;			/* and does */
bool moved;			/* a slot or a request has, since the last sweep began */

/* --- slot.c --- */

inline try_move(s, from, to, done)
{
	atomic {
		(from != ARMED || state[s] != PINNED) ->
		if
		:: state[s] == from -> state[s] = to; moved = true; done = true
		:: else -> done = false
		fi
	}
}

/* Where the driver warns if it cannot. */
inline must_move(s, from, to)
{
	d_step {
		assert(state[s] == from);
		state[s] = to;
		moved = true
	}
}

/* --- requests and commands --- */

inline end_request(s, n)
{
	d_step {
		assert(flying[s] && number[s] == n);
		flying[s] = false
	}
}

inline answer(command)
{
	d_step {
		assert(waiting[command]);
		waiting[command] = false
	}
}

/* With IO_URING_F_UNLOCKED. */
inline answer_unlocked(command)
{
	atomic {
		!uring_lock[RING(SLOT(command))] ->
		assert(waiting[command]);
		waiting[command] = false
	}
}

inline new_command(s, command)
{
	d_step {
		command = (waiting[2 * s] -> 2 * s + 1 : 2 * s);
		assert(!waiting[command]);
		waiting[command] = true
	}
}

/* --- the end of a server --- */

/* The driver sweeps again whenever it is told, which is more than what is needed. */
inline lose_ring(r)
{
	d_step {
		kick = kick || !lost[r];
		lost[r] = true;
		gone = true
	}
}

inline lose_all()
{
	d_step {
		kick = kick || !lost[0] || !lost[RINGS - 1];
		lost[0] = true;
		lost[RINGS - 1] = true;
		gone = true
	}
}

/* --- submitters --- */

proctype Submitter(byte s)
{
	byte n, command;
	bool claimed, first;

	for (n : 1 .. REQUESTS) {
		d_step { flying[s] = true; number[s] = n }
		/* Nobody is between the look at the device's state and the claim when that is shut. */
		atomic {
			(closed || state[s] != PINNED) ->
			claimed = !closed && state[s] == ARMED;
			if
			:: claimed -> state[s] = CLAIMED; moved = true
			:: else
			fi
		}
		if
		:: claimed ->
			command = parked[s];
			atomic {
				first = empty(inbox[RING(s)]);
				inbox[RING(s)] ! s, n;
				moved = true
			}
			if
			:: first -> work[RING(s)] ! command
			:: else
			fi
		:: else -> end_request(s, n)
		fi;
		/* Before, its tag does not come back. */
		!flying[s];
		command = 0;
		first = false
	}
	finished[s] = true
}

/* --- a task of the server --- */

#define ALL_FINISHED	(finished[0] && finished[1])

/*
 * What memory is missing may be the disk's: then it comes when all requests have ended, of which some
 * may not even have been made yet, and no signal ends the wait. Only a server that dies gets out of that.
 */
inline await_memory(s, owner, canceled)
{
	must_move(s, owner, FAULTING);
	if
	:: how = THERE
	:: how = BAD
	:: killed[r] -> how = FATAL
	:: fate == ALL ->
		ALL_FINISHED;
		if
		:: how = THERE
		:: killed[r] -> how = FATAL
		fi
	fi;
	if
	:: how == FATAL -> lose_ring(r); canceled = true
	:: else -> try_move(s, FAULTING, owner, done); canceled = !done
	fi
}

inline deliver(s, n)
{
	canceled = false;
	how = THERE;
	rq[s] = n;
#if !defined(OFFERS) && !defined(NO_FAULTS)
	if
	:: await_memory(s, CLAIMED, canceled)
	:: skip
	fi;
#endif
	if
	:: canceled -> answer(parked[s])
	:: !canceled && how == BAD -> must_move(s, CLAIMED, ARMED); end_request(s, n)
	:: !canceled && how != BAD ->
		atomic {
#ifdef OFFERS
			must_move(s, CLAIMED, OFFERED);
#else
			must_move(s, CLAIMED, SERVER);
#endif
			answer(parked[s])
		}
	fi
}

/* The owner of a CLAIMED slot finds no server. The caller has the task's lock. */
inline bounce(s, n)
{
	atomic {
		must_move(s, CLAIMED, DEAD);
		end_request(s, n);
		answer(parked[s])
	}
}

/* The command @carrier has come to its task. */
inline empty_inbox(carrier, dead)
{
	if
	:: dead -> lose_all()
	:: else
	fi;
	atomic {
		do
		:: inbox[r] ? s, n -> rest[r] ! s, n; moved = true
		:: empty(inbox[r]) -> break
		od;
		/* The command of the oldest comes with the task work, and so this is it, or it is to come. */
		ours = false;
		if
		:: nempty(rest[r]) ->
			rest[r] ? <s, n>;
			ours = (s == SLOT(carrier));
			if
			:: !ours -> rest[r] ? s, n; canceled = true
			:: ours
			fi
		:: empty(rest[r])
		fi
	}
	if
	:: canceled -> try_move(s, CLAIMED, RECALLED, done); end_request(s, n)
	:: else
	fi;
#ifdef REST_ON_STACK
	do
	:: rest[r] ? s, n -> stack ! s, n
	:: empty(rest[r]) -> break
	od;
#define REST stack
#else
#define REST rest[r]
#endif
	do
	:: REST ? s, n ->
		if
		:: dead || !ours -> bounce(s, n)
		:: else -> deliver(s, n)
		fi
	:: empty(REST) -> break
	od;
	if
	:: !ours ->
		s = SLOT(carrier);
		try_move(s, CLAIMED, DEAD, done);
		if
		:: !done -> must_move(s, RECALLED, DEAD)
		:: else
		fi;
#ifndef LOST_RECALL
		answer(carrier)
#endif
	:: else
	fi
}

inline commit(s)
{
#ifdef EARLY_LOOK
	ours = gone;
#endif
	try_move(s, SERVER, COMMIT, done);
	if
	:: done ->
		new_command(s, command);
		n = rq[s];
		canceled = false;
#ifndef NO_FAULTS
		if
		:: await_memory(s, COMMIT, canceled)
		:: skip
		fi;
#endif
		if
		:: canceled -> answer(command)
		:: else ->
#ifndef EARLY_LOOK
			ours = gone;
#endif
			if
			:: !ours -> parked[s] = command; must_move(s, COMMIT, ARMED)
			:: else -> must_move(s, COMMIT, DEAD)
			fi;
			end_request(s, n);
			if
			:: ours -> answer(command)
			:: else
			fi
		fi
	:: else
	fi
}

inline get_data(s)
{
	try_move(s, OFFERED, COMMIT, done);
	if
	:: done ->
		canceled = false;
		how = THERE;
		if
		:: await_memory(s, COMMIT, canceled)
		:: skip
		fi;
		if
		:: canceled
		:: !canceled && how == BAD -> must_move(s, COMMIT, OFFERED)
		:: !canceled && how != BAD -> must_move(s, COMMIT, SERVER)
		fi
	:: else
	fi
}

/* io_uring asks for parked commands, if the kernel's does. */
inline cancel_all()
{
	for (s : 0 .. SLOTS - 1) {
		if
		:: RING(s) == r && waiting[parked[s]] ->
			lose_ring(r);
			try_move(s, ARMED, DEAD, done);
			if
			:: done -> answer(parked[s])
			:: else
			fi
		:: else
		fi
	}
}

/* Its next act, with the ring's lock. */
#define MAY_ACT		(!killed[r] && !closed && !uring_lock[r])
#define IS(s, what)	(RING(s) == r && state[s] == what)
#define HAS(what)	(IS(0, what) || IS(1, what))

inline pick(what)
{
	if
	:: IS(0, what) -> tag = 0
	:: IS(1, what) -> tag = 1
	fi
}

inline unlock()
{
	d_step {
		s = 0; n = 0; command = 0; carrier = 0; tag = 0;
		canceled = false; ours = false; done = false; how = THERE;
		uring_lock[r] = false
	}
}

proctype Task(byte r)
{
#ifdef REST_ON_STACK
	chan stack = [SLOTS] of { byte, byte };
#endif
	byte s, n, command, carrier, tag;
	bool canceled, ours, done;
	mtype:memory how = THERE;

	do
	:: atomic { MAY_ACT && work[r] ? [carrier] -> uring_lock[r] = true; work[r] ? carrier };
		empty_inbox(carrier, false);
		unlock()
	:: atomic { MAY_ACT && HAS(SERVER) -> uring_lock[r] = true; pick(SERVER) };
		commit(tag);
		unlock()
	:: atomic { MAY_ACT && HAS(OFFERED) -> uring_lock[r] = true; pick(OFFERED) };
		get_data(tag);
		unlock()
	:: !killed[r] && fate == ALL ->		/* It reads the disk it serves. */
		ALL_FINISHED
	:: killed[r] -> break
	:: closed -> break
	od;

	if
	:: atomic { killed[r] && !uring_lock[r] -> uring_lock[r] = true };
		cancel_all();
		unlock()
	:: true		/* The kernel does not ask, or the server lives. */
	fi;
	exited[r] = true;
	/* What is still on its way to it is brought to somebody else. */
	do
	:: atomic { work[r] ? [carrier] && !uring_lock[r] -> uring_lock[r] = true; work[r] ? carrier };
		empty_inbox(carrier, true);
		unlock()
	:: closed -> break
	od
}

/* --- who takes everything back --- */

/* A command whose slot is DEAD now. */
inline leave_to_answerer(s)
{
#ifdef ONE_PASS
	answer_unlocked(parked[s])
#else
	unanswered[s] = true
#endif
}

/* What is in mine; has_come: the task work that the oldest one's command was to bring. */
inline take_back(has_come)
{
	come = has_come;
	do
	:: mine ? s, n ->
		if
		:: come ->
			must_move(s, CLAIMED, DEAD);
#ifdef ANSWERS_FIRST
			answer_unlocked(parked[s]);
			end_request(s, n)
#else
			end_request(s, n);
			leave_to_answerer(s)
#endif
		:: else -> try_move(s, CLAIMED, RECALLED, done); end_request(s, n)
		fi;
		come = true
	:: empty(mine) -> break
	od
}

inline take_all(list)
{
	atomic {
		if
		:: lost[r] ->
			do
			:: list ? s, n -> mine ! s, n
			:: empty(list) -> break
			od
		:: else
		fi
	}
}

/* Under ublk_device.lock, which the ring is lost under, too. */
inline abort_lost(s)
{
	d_step {
		done = (closing || lost[RING(s)]) &&
		       (state[s] == SERVER || state[s] == OFFERED || state[s] == FAULTING);
		if
		:: done -> n = rq[s]; state[s] = DEAD; moved = true
		:: else
		fi
	}
	if
	:: done -> end_request(s, n)
	:: else
	fi
}

#ifdef THREE_READS
inline sweep_slot(s)
{
	try_move(s, ARMED, DEAD, done);
	if
	:: done -> leave_to_answerer(s)
	:: !done && (state[s] == SERVER || state[s] == OFFERED || state[s] == FAULTING) -> abort_lost(s)
	:: else
	fi;
	if
	:: !done && (state[s] == CLAIMED || state[s] == COMMIT || state[s] == FAULTING) -> clean = false
	:: else
	fi;
	done = false
}
#else
/* One look, and the one change that fits. */
inline sweep_slot(s)
{
	seen = state[s];
	if
#ifdef PINNED_IS_CLEAN
	:: seen == ARMED ->
#else
	:: seen == ARMED || seen == PINNED ->
#endif
		try_move(s, ARMED, DEAD, done);
		if
		:: done -> leave_to_answerer(s)
		:: else -> clean = false
		fi
	:: seen == SERVER || seen == OFFERED || seen == FAULTING ->
		abort_lost(s);
		/* Of a ring that is not lost, a task that goes on commits and sees that it must not. */
		clean = clean && (done || (seen != FAULTING && !lost[RING(s)]))
	:: seen == CLAIMED || seen == COMMIT -> clean = false
	:: else
	fi;
	done = false
}
#endif

inline sweep()
{
	moved = false;
	clean = true;
	for (r : 0 .. RINGS - 1) {
		take_all(rest[r]);
		take_back(true);
		take_all(inbox[r]);
		take_back(false)
	}
	for (s : 0 .. SLOTS - 1) {
		sweep_slot(s)
	}
#ifdef TWO_PASSES
	for (s : 0 .. SLOTS - 1) {
		if
		:: unanswered[s] -> answer_unlocked(parked[s]); unanswered[s] = false
		:: else
		fi
	}
#endif
	atomic {
		s = 0; r = 0; n = 0;
		come = false; done = false; seen = EMPTY
	}
}

/* Looks again only when something has changed, so that looking for ever is seen as a dead end. */
proctype Sweeper()
{
	chan mine = [SLOTS] of { byte, byte };
	byte s, r, n;
	bool clean = true, come, done, closing;
	mtype:slot seen = EMPTY;

	do
	:: atomic { !closed && (kick || (!clean && moved)) -> kick = false; sweeping = true };
		sweep();
		sweeping = false
	:: closed -> break
	od
}

#ifndef TWO_PASSES
/* A command that comes back is answered by its task when that has its lock. The sweep does not wait. */
proctype Answerer()
{
	do
	:: atomic { unanswered[0] && !uring_lock[RING(0)] -> answer(parked[0]); unanswered[0] = false }
	:: atomic { unanswered[1] && !uring_lock[RING(1)] -> answer(parked[1]); unanswered[1] = false }
	:: closed -> break
	od
}
#endif

#define NOBODY_WAITS	(!waiting[0] && !waiting[1] && !waiting[2] && !waiting[3])
#define NOBODY_ACTS	(!uring_lock[0] && !uring_lock[RINGS - 1])
#define ALL_EXITED	(exited[0] && exited[RINGS - 1])

/* The last reference to the file is gone: each command has one, and the process. */
proctype Closer()
{
	chan mine = [SLOTS] of { byte, byte };
	byte s, r, n;
	bool clean, come, done, closing;
	mtype:slot seen = EMPTY;

	atomic { gone && NOBODY_WAITS && NOBODY_ACTS && (fate != ALL || ALL_EXITED) ->
		closed = true };
	atomic { !sweeping -> moved = true };
	do
	:: !clean && moved -> sweep()
	:: clean -> break
	od;
	closing = true;
	for (s : 0 .. SLOTS - 1) {
		abort_lost(s);
		assert(state[s] == EMPTY || state[s] == DEAD)
	}
	assert(NOBODY_WAITS && empty(work[0]) && empty(work[RINGS - 1]));
	swept = true
}

inline look_at_parked(s)
{
	atomic { looks < LOOKS && state[s] == ARMED -> looks++; state[s] = PINNED };
	if
	:: killed[RING(s)] -> lose_ring(RING(s))
	:: else
	fi;
	d_step { state[s] = ARMED; moved = true }
}

/* Looks at parked commands, a few times, and at tasks, until they are seen to be dying. */
proctype Poller()
{
	byte looks;

	do
	:: look_at_parked(0)
	:: look_at_parked(1)
	:: atomic { killed[0] && !lost[0] && !closed -> lose_ring(0) }
	:: atomic { killed[RINGS - 1] && !lost[RINGS - 1] && !closed -> lose_ring(RINGS - 1) }
	:: closed -> break
	od
}

/* Somebody else ends the server, or its disk. */
proctype Ender()
{
	if
	:: fate != SPARED
	:: d_step { gone = true; kick = true }
	fi;
	d_step {
		killed[0] = (fate != SPARED);
		killed[RINGS - 1] = killed[RINGS - 1] || (fate == ALL)
	}
}

init
{
	byte i;

	atomic {
		fate = FATE;
		for (i : 0 .. SLOTS - 1) {
			state[i] = EMPTY;
			waiting[2 * i] = true;
			parked[i] = 2 * i;
			must_move(i, EMPTY, ARMED);
			run Submitter(i)
		}
		for (i : 0 .. RINGS - 1) {
			run Task(i)
		}
		run Sweeper();
#ifndef TWO_PASSES
		run Answerer();
#endif
		run Closer();
		run Poller();
		run Ender()
	}
}
