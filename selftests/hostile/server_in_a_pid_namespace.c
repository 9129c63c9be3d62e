// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server in a pid namespace of its own has two process ids. START_DEV, END_USER_RECOVERY and
 * GET_DEV_INFO mean the one that their caller sees, and nobody starts a server that he cannot see.
 */
// # timeout: 90
#include <kselftest_harness.h>

#include <sched.h>
#include <sys/prctl.h>

#include "raw.h"

/* What goes on between the test and the processes in namespaces. */
struct told {
	struct raw_shared shared;
	atomic_int outer;	/* the server's pid as the test sees it */
	atomic_int wish;	/* a pid for START_DEV or END_USER_RECOVERY, sent from inside */
	atomic_int result;
	atomic_int inner;	/* what GET_DEV_INFO says inside */
};

FIXTURE(space)
{
	struct raw_device device;
	struct told *told;
	pid_t helper;
	pid_t stranger;
};

FIXTURE_SETUP(space)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, 4);

	self->helper = -1;
	self->stranger = -1;
	raw_none(&self->device, NULL);
	self->told = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->told);
	info.flags = UBLK_F_NO_AUTO_PART_SCAN | UBLK_F_USER_RECOVERY;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
}

static void end_process(struct __test_metadata *_metadata, pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		EXPECT_NE(-ETIME, raw_reap(*pid, RAW_DEATH_DEADLINE));
	}
	*pid = -1;
}

/* With the helper dies the first process of its namespace, the server. */
FIXTURE_TEARDOWN(space)
{
	end_process(_metadata, &self->helper);
	end_process(_metadata, &self->stranger);
	EXPECT_EQ(0, raw_destroy(&self->device));
}

/* Fork into a new namespace: 0 in its first process, which dies with its parent, else its pid. */
static pid_t fork_into_namespace(void)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		return -1;
	pid = fork();
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void do_wish(FIXTURE_DATA(space) *self, unsigned int op)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct ublksrv_ctrl_dev_info info = { 0 };
	int wish = atomic_load(&self->told->wish);

	if (!wish)
		return;
	command.data[0] = wish;
	atomic_store(&self->told->wish, 0);
	atomic_store(&self->told->result, raw_control(op, &command));
	raw_get_info(self->device.id, &info);
	atomic_store(&self->told->inner, info.ublksrv_pid);
	atomic_fetch_add(&self->told->shared.go, 1);
}

static void __attribute__((noreturn)) serve(FIXTURE_DATA(space) *self, unsigned int op)
{
	struct raw_server server;

	if (raw_server_open_next(&server, &self->device))
		_exit(1);
	server.answer_all = true;
	raw_fetch_all(&server);
	raw_pump(&server, 0);
	atomic_store(&self->told->shared.fetched, 1);
	for (;;) {
		do_wish(self, op);
		raw_pump(&server, 20);
	}
}

/* A server whose pid is 1 where it lives, which sends @op if the test wishes it to. */
static void start_server(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self,
			 unsigned int op)
{
	memset(self->told, 0, sizeof(*self->told));
	self->helper = raw_fork();
	ASSERT_LE(0, self->helper);
	if (self->helper == 0) {
		pid_t pid = fork_into_namespace();

		if (pid == 0)
			serve(self, op);
		atomic_store(&self->told->outer, pid);
		for (;;)
			pause();
	}
	ASSERT_EQ(0, raw_await(&self->told->shared.fetched, 1, RAW_DEADLINE));
	ASSERT_EQ(0, raw_await(&self->told->outer, 2, RAW_DEADLINE));
}

/* What the server's own command for process @pid says. */
static int from_inside(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self, pid_t pid)
{
	int before = atomic_load(&self->told->shared.go);

	atomic_store(&self->told->wish, pid);
	EXPECT_EQ(0, raw_await(&self->told->shared.go, before + 1, RAW_DEADLINE));
	return atomic_load(&self->told->result);
}

static int from_outside(FIXTURE_DATA(space) *self, unsigned int op, pid_t pid)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);

	command.data[0] = pid;
	return raw_control(op, &command);
}

static void expect_pid(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self)
{
	struct ublksrv_ctrl_dev_info info;

	EXPECT_EQ(0, raw_get_info(self->device.id, &info));
	EXPECT_EQ(UBLK_S_DEV_LIVE, info.state);
	EXPECT_EQ(atomic_load(&self->told->outer), info.ublksrv_pid);
}

static void end_server(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self)
{
	long long end = raw_now_ms() + RAW_DEATH_DEADLINE;
	struct ublksrv_ctrl_dev_info info = { 0 };

	end_process(_metadata, &self->helper);
	while (info.state != UBLK_S_DEV_QUIESCED && raw_now_ms() < end) {
		ASSERT_EQ(0, raw_get_info(self->device.id, &info));
		raw_pause();
	}
	EXPECT_EQ(UBLK_S_DEV_QUIESCED, info.state);
}

TEST_F(space, outsider_names_it_as_he_sees_it)
{
	int outer;

	start_server(_metadata, self, 0);
	outer = atomic_load(&self->told->outer);
	EXPECT_EQ(-EINVAL, from_outside(self, UBLK_U_CMD_START_DEV, 1));
	EXPECT_EQ(-EINVAL, from_outside(self, UBLK_U_CMD_START_DEV, self->helper));
	ASSERT_EQ(0, from_outside(self, UBLK_U_CMD_START_DEV, outer));
	expect_pid(_metadata, self);

	end_server(_metadata, self);
	start_server(_metadata, self, 0);
	outer = atomic_load(&self->told->outer);
	EXPECT_EQ(-EINVAL, from_outside(self, UBLK_U_CMD_END_USER_RECOVERY, 1));
	EXPECT_EQ(0, from_outside(self, UBLK_U_CMD_END_USER_RECOVERY, outer));
	expect_pid(_metadata, self);
}

TEST_F(space, insider_names_it_as_he_sees_it)
{
	start_server(_metadata, self, UBLK_U_CMD_START_DEV);
	EXPECT_EQ(-EINVAL, from_inside(_metadata, self, atomic_load(&self->told->outer)));
	EXPECT_EQ(0, from_inside(_metadata, self, 1));
	EXPECT_EQ(1, atomic_load(&self->told->inner));
	expect_pid(_metadata, self);

	end_server(_metadata, self);
	start_server(_metadata, self, UBLK_U_CMD_END_USER_RECOVERY);
	EXPECT_EQ(-EINVAL, from_inside(_metadata, self, atomic_load(&self->told->outer)));
	EXPECT_EQ(0, from_inside(_metadata, self, 1));
	EXPECT_EQ(1, atomic_load(&self->told->inner));
	expect_pid(_metadata, self);
}

/* From another namespace it has no pid at all: no number names it, neither 1 nor 0. */
static void __attribute__((noreturn)) look_from_elsewhere(FIXTURE_DATA(space) *self,
							  unsigned int op)
{
	struct ublksrv_ctrl_dev_info info;
	unsigned int mistakes = 0;

	mistakes += from_outside(self, op, 1) != -EINVAL;
	mistakes += from_outside(self, op, 0) != -EINVAL;
	mistakes += from_outside(self, op, -1) != -EINVAL;
	mistakes += from_outside(self, op, atomic_load(&self->told->outer)) != -EINVAL;
	atomic_store(&self->told->shared.caught, 1);
	while (!atomic_load(&self->told->shared.child))
		raw_pause();
	mistakes += raw_get_info(self->device.id, &info) || info.ublksrv_pid != -1;
	_exit(mistakes);
}

/* A stranger tries @op, then the test sends it and the stranger looks at the result. */
static void expect_strange(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self,
			   unsigned int op)
{
	struct raw_shared *shared = &self->told->shared;

	self->stranger = raw_fork();
	ASSERT_LE(0, self->stranger);
	if (self->stranger == 0) {
		pid_t pid = fork_into_namespace();

		if (pid == 0)
			look_from_elsewhere(self, op);
		_exit(pid < 0 ? 100 : raw_reap(pid, RAW_DEADLINE) >> 8);
	}
	ASSERT_EQ(0, raw_await(&shared->caught, 1, RAW_DEADLINE));
	ASSERT_EQ(0, from_outside(self, op, atomic_load(&self->told->outer)));
	atomic_store(&shared->child, 1);
	EXPECT_EQ(0, raw_reap(self->stranger, RAW_DEADLINE));
	self->stranger = -1;
}

TEST_F(space, who_does_not_see_it_cannot_name_it)
{
	start_server(_metadata, self, 0);
	expect_strange(_metadata, self, UBLK_U_CMD_START_DEV);
	end_server(_metadata, self);
	start_server(_metadata, self, 0);
	expect_strange(_metadata, self, UBLK_U_CMD_END_USER_RECOVERY);
}

TEST_HARNESS_MAIN
