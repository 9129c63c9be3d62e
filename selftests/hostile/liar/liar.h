/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A server that lies, as a generator: processes whose threads send what a server, its controller
 * and the users of its disk may send and much that they may not, at random, but from a seed.
 *
 * What a thread does is a sequence of acts. Kind and dice of each act come from the thread's own
 * stream of random numbers and from nothing else, so a seed repeats the sequences; what an act
 * meets in the driver depends on the others. An act is some operations: commands, system calls.
 */
#ifndef LIAR_H
#define LIAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../raw.h"

/* Devices that everybody may do anything to, and behind them the one whose server is honest. */
#define LIAR_FIRST_ID 200
#define LIAR_IDS 4
#define LIAR_HONEST_ID (LIAR_FIRST_ID + LIAR_IDS)
/* And one of another user's, without a server, that liars without privileges may not even look at. */
#define LIAR_OTHERS_ID (LIAR_HONEST_ID + 1)
/* And one with parameters at the edges: edges.c. */
#define LIAR_EDGES_ID (LIAR_HONEST_ID + 2)

#define LIAR_MAX_SEATS 16
#define LIAR_MAX_THREADS 4
#define LIAR_NOBODY 65534

/* --- dice.c: random numbers --- */

struct dice {
	uint64_t state;
};

struct dice dice_from(uint64_t seed, uint64_t number);
uint64_t dice_roll(struct dice *dice);
unsigned int dice_below(struct dice *dice, unsigned int limit);
bool dice_chance(struct dice *dice, unsigned int percent);
uint64_t dice_pick(struct dice *dice, const uint64_t *values, size_t count);
/* The index of a weight, heavier ones more often. */
unsigned int dice_weighted(struct dice *dice, const unsigned char *weights, size_t count);

#define PICK(dice, ...)								\
	dice_pick(dice, (const uint64_t[]) { __VA_ARGS__ },			\
		  sizeof((const uint64_t[]) { __VA_ARGS__ }) / sizeof(uint64_t))

/* --- bytes.c: what may be seen on a disk --- */

/* What readers put into their buffers, and what freed memory is filled with. */
#define BYTES_PREFILL 0xc5
#define BYTES_MARKER 0xe7

/* @disk and place of 8 bytes of the contents; only bytes that bytes_are_tame() knows. */
uint64_t bytes_word(unsigned int disk, uint64_t offset);
void bytes_fill(void *buffer, unsigned int disk, uint64_t offset, size_t length);
/* How many bytes from the beginning on are right; @length if all. Multiples of 8. */
size_t bytes_exact(const void *buffer, unsigned int disk, uint64_t offset, size_t length);
/* The same for bytes that servers and users make, or zero, and the prefill if @prefill. */
size_t bytes_tame(const void *buffer, size_t length, bool prefill);

/* --- memory.c: addresses of every kind --- */

#define MEMORY_ROOM (128 << 10)		/* behind every good address */

void memory_set_up(void);
/* Memory of tame bytes, which the driver reads data from and writes data to. */
uint64_t memory_data(struct dice *dice);
uint64_t memory_any_data(struct dice *dice);
/* Memory for everything else: structures, answers, elements. */
void *memory_note(struct dice *dice);
uint64_t memory_any_note(struct dice *dice, void *note);
/* Take memory away, or give it back. */
void memory_change(struct dice *dice);
/*
 * Let some of memory_any_data() be some of a disk, which may be the one that is served from there: not
 * with zero copy, see there in Documentation/protocol.rst.
 */
void memory_map_disk(unsigned int id, struct dice *dice);
/* What makes a server wait in the middle of a copy, for others or for ever. */
uint64_t memory_that_never_comes(struct dice *dice);
uint64_t memory_of_disk(struct dice *dice);
/* Whole pages that servers register and users read to, of the same file. */
#define SHARED_BYTES (1UL << 20)
uint64_t memory_shared(struct dice *dice);
char *memory_share(void);
/* A file of tame bytes. */
int memory_file(void);

/* --- report.c: counters, and what was found, shared by all processes --- */

enum what {
	WHAT_CONTROL,	/* control commands */
	WHAT_COMMAND,	/* I/O commands about one tag */
	WHAT_BATCH,	/* about many tags, and about buffers */
	WHAT_FILE,	/* /dev/ublkcN as a file */
	WHAT_DISK,	/* reads, writes and the like of a disk */
	WHAT_USE,	/* what else users of a disk do: open, ioctl, map */
	WHAT_PROCESS,	/* fork, exec, exit, rings, memory */
	WHAT_COUNT
};

#define LIAR_NUMBERS 0x28		/* of commands, and all others as 0 */
#define REPORT_ERRORS 134		/* errno, and all others as 0 */

enum failed {
	FAILED_NOT,
	FAILED_UNTOLD,	/* the text is being written */
	FAILED,
};

struct shared {
	atomic_ulong made[WHAT_COUNT];
	atomic_ulong good[WHAT_COUNT];
	atomic_ulong sent[LIAR_NUMBERS];	/* commands by their number */
	atomic_ulong accepted[LIAR_NUMBERS];
	atomic_ulong refused[LIAR_NUMBERS][REPORT_ERRORS];	/* by their error */
	atomic_ulong flips;		/* of entries while they may be read */
	atomic_ulong checked;		/* bytes that readers looked at */
	atomic_ulong honest;		/* and those among them of the honest server's disk */
	unsigned long looks;		/* of the supervisor at liars' devices */
	unsigned long alive;		/* those that had a disk and a server then */
	atomic_int failed;		/* enum failed */
	char failure[512];
	atomic_ulong complaints;
	char complaint[512];		/* the first of them */
	atomic_ulong forged;		/* commands by way of a forged node */
	atomic_ulong edges;		/* disks with parameters at the edges */
	int memory;			/* memfd: what users and servers share */
};

/* What goes wrong on purpose, to prove that it is found. */
enum staged {
	STAGED_NOTHING,
	STAGED_MARKER,		/* a reader finds a byte of the marker */
	STAGED_WRONG,		/* the honest server delivers another sector */
	STAGED_DEAF,		/* a process does not die */
	STAGED_DEVICE,		/* a device stays */
	STAGED_FORGED,		/* a node is as good as the device's own */
	STAGED_IDLE,		/* nobody does anything */
	STAGED_LEAK,		/* a disk (null_blk) whose reads bring what was in the pages */
	STAGED_COUNT
};

extern struct shared *shared;
extern enum staged staged;

int report_set_up(void);
void report_made(enum what what, unsigned int count);
void report_good(enum what what);
void report_sent(unsigned int number);
/* What became of a command: bytes or such, or -errno. */
void report_result(unsigned int number, int result);
unsigned long report_total(void);
void report_failure(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for what the run can go on after: told at its end, when it has failed. */
void report_complaint(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_await(void);
void report_print(const char *title);
/* A run after which a kind of operation, or of check, is missing has proved nothing. */
const char *report_missing(void);
void report_check(void);
/* If something was found, tell what, and how to see it again. Returns whether it was. */
bool report_found(uint64_t seed, unsigned long operations, unsigned int epoch);
bool report_complaints(uint64_t seed, unsigned long operations);
void report_stacks(const pid_t *dying, unsigned int count);

/* --- acts, roles and seats: act.c, seat.c --- */

struct liar;

struct act {
	const char *name;
	void (*run)(struct liar *liar, struct dice *dice);
	unsigned short weight;
};

/* What one thread may do, ended by an act without a name. */
struct role {
	const char *name;
	const struct act *acts;
};

struct seat {
	const char *name;
	bool user;			/* of disks; ended before the servers */
	bool honest;			/* is not disturbed, lives to the end */
	bool unprivileged;
	const struct role *threads[LIAR_MAX_THREADS];
};

extern const struct seat seats[];
extern const unsigned int seat_count;

extern const struct role role_server, role_vandal, role_controller;
extern const struct role role_reader, role_blunt_user, role_honest;
extern const struct role role_edge_server, role_edge_user;

/* The sequence that a thread of a seat's n-th process follows. */
struct dice act_stream(uint64_t seed, unsigned int seat, unsigned int generation,
		       unsigned int thread);
const struct act *act_next(const struct role *role, struct dice *stream, struct dice *dice);
/* In a process of its own: be that seat until killed. */
void seat_run(uint64_t seed, unsigned int seat, unsigned int generation)
	__attribute__((noreturn));
void seat_print(uint64_t seed, unsigned int acts);

/* Around what a server may wait in without an end: see end_if_stuck(). */
void seat_enter(void);
void seat_leave(void);

/* --- coverage.c: acts that reach new code are done more often; nothing without a set-up --- */

/* False if this kernel does not tell what is reached; without @trace nobody asks. */
bool coverage_set_up(bool trace);
void coverage_prepare(void);
void coverage_begin(unsigned int thread);
void coverage_acted(const struct role *role, const struct act *act, uint64_t dice);
const struct act *coverage_choose(const struct role *role, const struct act *act,
				  struct dice *stream, struct dice *dice);
void coverage_next_seed(const char *folder, uint64_t seed);
bool coverage_read(const char *path);
void coverage_print(void);

/* --- supervisor.c --- */

struct run {
	uint64_t seed;
	unsigned long operations;
	unsigned int epochs;		/* of this seed so far */
};

int supervise_set_up(void);
/* Until the operations are done, or something was found. */
void supervise(struct run *run);
void supervise_end(void);

/* --- rings.c: io_urings of a liar --- */

#define RING_CAUGHT 64

struct caught {
	unsigned short queue;
	unsigned short tag;
	bool offered;			/* a WRITE without its data */
};

struct liar_ring {
	struct raw_ring raw;		/* fd -1: not open */
	bool flips;			/* others may change its entries under it */
	bool fixed_file;		/* the device is registered, too */
	bool table;			/* it has a table of buffers */
	unsigned int caught_count;
	struct caught caught[RING_CAUGHT];
};

/* What a completion is about: the upper byte of user_data; then enum what, then the command. */
enum token {
	TOKEN_OTHER,
	TOKEN_TAG,			/* FETCH, COMMIT: queue and tag below */
	TOKEN_DATA,			/* NEED_GET_DATA: the same */
	TOKEN_BATCH,			/* tags in a provided buffer: queue below */
	TOKEN_ASKED,			/* somebody waits for this one */
	TOKEN_BUFFER,			/* user.c: number of the buffer below */
};

uint64_t ring_token(enum token token, enum what what, unsigned int queue, unsigned int tag);
uint64_t ring_token_of(uint64_t token, unsigned int op);
/* What a ring of a liar is for. */
enum ring_use {
	RING_IO,
	RING_NARROW,			/* the same, with a few places at most */
	RING_CONTROL,
};

void ring_open(struct liar_ring *ring, struct dice *dice, enum ring_use use);
void ring_open_with(struct liar_ring *ring, unsigned int entries, unsigned int flags);
void ring_close(struct liar_ring *ring);
/* NULL if there is no place, or no ring. */
struct io_uring_sqe *ring_sqe(struct liar_ring *ring);
/* False if the kernel takes nothing from it. */
bool ring_submit(struct liar_ring *ring, int wait_ms);
/* Count a completion as good if it is. */
void ring_judge(const struct io_uring_cqe *cqe);
/* Change entries of some ring of this process, whoever may be reading them. */
void rings_flip(struct dice *dice);

/* --- a liar's thread, and what its process has --- */

#define LIAR_QUEUES 4
#define LIAR_RINGS 2
#define LIAR_HANDLES 2

/* What a server goes on doing as long as it has the device, and so combines with all else. */
enum habit {
	HABIT_NONE,
	HABIT_STALLS,			/* copies wait for memory that never comes, until it is killed */
	HABIT_OWN_DISK,			/* copies wait for the disk it serves */
	HABIT_NARROW,			/* little room for completions, and it does not look soon */
};

struct handle {
	atomic_int chr;			/* -1: not open */
	unsigned int id;
	enum habit habit;
	struct ublksrv_ctrl_dev_info info;
	const char *maps[LIAR_QUEUES];
};

struct liar {
	unsigned int seat;
	unsigned int number;		/* of the thread */
	bool unprivileged;
	struct handle *handle;
	struct liar_ring control;
	struct liar_ring rings[LIAR_RINGS];
	unsigned int lies;		/* percent of its answers */
	bool sent_away;			/* a command came back with UBLK_IO_RES_ABORT */
	bool asked_done;
	int asked_result;
};

extern struct liar liars[LIAR_MAX_THREADS];
extern struct handle handles[LIAR_HANDLES];

struct liar_ring *liar_any_ring(struct liar *liar, struct dice *dice);
void liar_set_up(void);
/* Where the data of a request are, or those of the next one, by this server's habit. */
uint64_t liar_data(const struct liar *liar, struct dice *dice);

/* control.c */
unsigned int control_any_id(struct dice *dice);
unsigned int control_own_id(const struct liar *liar, struct dice *dice);
void control_burst(struct liar *liar, struct dice *dice);
/* One command; its result, or -ETIME. */
int control_ask(struct liar *liar, unsigned int op, const struct ublksrv_ctrl_cmd *command);
void control_reap(struct liar *liar);
void control_start(struct liar *liar, struct dice *dice, bool recovery);
struct ublksrv_ctrl_dev_info control_any_info(struct dice *dice, unsigned int id, bool sane);
/* Where the supervisor puts a node of the other user's device that anybody could have made. */
#define FORGED_FOLDER "/tmp/liar-forged"
#define FORGED_NODE FORGED_FOLDER "/node"
void control_forge(struct liar *liar, struct dice *dice);
bool control_needs_path(const struct liar *liar, unsigned int number);
/* Makes @command be about @id, with the node's path in front of the buffer where one is needed. */
void control_address(struct ublksrv_ctrl_cmd *command, unsigned int id,
		     char *note, const void *payload, size_t length, bool path);

/* params.c */
enum params {
	PARAMS_SANE,
	PARAMS_EXTREME,			/* some fields at the ends of what they can hold */
	PARAMS_SPOILT,			/* anything anywhere */
};

struct ublk_params params_any(struct dice *dice, const struct ublksrv_ctrl_dev_info *info,
			      enum params kind);
enum params params_any_kind(struct dice *dice);

/* commands.c */
void command_burst(struct liar *liar, struct dice *dice);
void command_fetch_all(struct liar *liar, struct liar_ring *ring, struct dice *dice);
struct io_uring_sqe *command_sqe(struct liar *liar, struct liar_ring *ring, unsigned int op,
				 uint64_t token);
void command_set(struct io_uring_sqe *sqe, unsigned int queue, unsigned int tag, int result,
		 uint64_t address);
int command_any_result(struct dice *dice);

/* batch.c */
void batch_burst(struct liar *liar, struct dice *dice);
struct liar_ring *batch_ring(struct liar *liar, struct liar_ring *ring);
void batch_arm(struct liar *liar, struct liar_ring *ring, struct dice *dice);
void batch_commit(struct liar *liar, struct liar_ring *ring, struct dice *dice,
		  const struct caught *caught, unsigned int count);
void batch_completed(struct liar *liar, struct liar_ring *ring, const struct io_uring_cqe *cqe);

/* answer.c */
void answer_serve(struct liar *liar, struct dice *dice);
void answer_reap(struct liar *liar, struct liar_ring *ring);

/* file.c */
void file_burst(struct liar *liar, struct dice *dice);
off_t file_position(unsigned int queue, unsigned int tag, unsigned int offset);

/* --- users of disks --- */

/* reading.c: what a read of a disk may have brought; @direct: into the reader's own pages. */
struct reading {
	unsigned int id;
	bool direct;
	bool trusted;		/* its server puts data into pages itself (zero copy) */
	off_t offset;
	size_t length;
};

/* Open a disk to read it: its file, or 0 if there is none now, after a pause. */
int reading_open_disk(unsigned int id, int flags);
int reading_open(unsigned int id, int flags, bool *trusted);
void reading_check(const struct reading *reading, char *buffer, ssize_t result);
void reading_poison(struct dice *dice);
/* Read a disk whose driver writes nothing to a READ's pages: is that found? */
void reading_stage_leak(void);

#endif
