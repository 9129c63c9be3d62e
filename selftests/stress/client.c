// SPDX-License-Identifier: GPL-2.0-only
/* Control commands of processes that get killed; see client.h. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"

/* A command that has not ended by then waits for something. */
#define WAITS_AFTER_MS 150

static void __attribute__((noreturn)) client_main(struct client *client, unsigned int op,
						  const struct ublksrv_ctrl_cmd *command)
{
	struct raw_control control;
	int ret = raw_control_begin(&control, op, command);

	if (!ret)
		ret = raw_control_wait(&control, WAITS_AFTER_MS);
	/* 0 means that there is no answer yet */
	atomic_store(&client->shared->caught, ret ? ret : -EALREADY);
	atomic_store(&client->shared->go, 1);
	if (ret == -ETIME)
		raw_control_wait(&control, 10 * RAW_DEADLINE);
	_exit(1);
}

int client_send(struct client *client, unsigned int op, const struct ublksrv_ctrl_cmd *command)
{
	int ret;

	client->shared = raw_share();
	if (!client->shared)
		return -ENOMEM;
	client->pid = raw_fork();
	if (client->pid < 0)
		return -errno;
	if (client->pid == 0)
		client_main(client, op, command);
	ret = raw_await(&client->shared->go, 1, RAW_DEADLINE);
	if (ret)
		return -EPROTO;
	ret = atomic_load(&client->shared->caught);
	return ret == -ETIME ? 0 : ret;
}

/* The letter that tells what a thread is doing; 0: it has gone. */
static char state_of(const char *pid, const char *tid)
{
	char path[300], line[512], *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/task/%s/stat", pid, tid);
	file = fopen(path, "r");
	if (!file)
		return 0;
	if (!fgets(line, sizeof(line), file))
		line[0] = 0;
	fclose(file);
	end = strrchr(line, ')');
	return end && end[1] ? end[2] : 0;
}

static bool has_thread_in_state(pid_t pid, char state)
{
	struct dirent *entry;
	char path[64], name[16];
	bool found = false;
	DIR *dir;

	snprintf(name, sizeof(name), "%d", pid);
	snprintf(path, sizeof(path), "/proc/%s/task", name);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)))
		found = entry->d_name[0] != '.' && state_of(name, entry->d_name) == state;
	if (dir)
		closedir(dir);
	return found;
}

bool client_can_be_woken(const struct client *client)
{
	long long end = raw_now_ms() + 1000;

	/* Everybody is uninterruptible for some microseconds now and then. */
	while (has_thread_in_state(client->pid, 'D')) {
		if (raw_now_ms() > end)
			return false;
		raw_pause();
	}
	return true;
}

int client_kill(struct client *client)
{
	int status;

	kill(client->pid, SIGKILL);
	status = raw_reap(client->pid, CLIENT_DEATH_DEADLINE);
	if (status != -ETIME)
		client->pid = -1;
	return status;
}
