/* SPDX-License-Identifier: GPL-2.0-only */
/* A control command that is sent by a process of its own, so that its sender can be killed. */
#ifndef STRESS_CLIENT_H
#define STRESS_CLIENT_H

#include "raw.h"

/* How long whoever sent a command may outlive a SIGKILL, in milliseconds. */
#define CLIENT_DEATH_DEADLINE patience(2000)

struct client {
	pid_t pid;
	struct raw_shared *shared;
};

/*
 * Fork a client that sends the command: 0 once it has been waiting for a while. If the command ends
 * before, that is -EALREADY for a success, else what the command said.
 */
int client_send(struct client *client, unsigned int op, const struct ublksrv_ctrl_cmd *command);
/* Can every thread of the client be woken by a signal? False if one cannot for a second. */
bool client_can_be_woken(const struct client *client);
/* Kill it: its wait status, or -ETIME if it is not gone in time. */
int client_kill(struct client *client);

#endif
