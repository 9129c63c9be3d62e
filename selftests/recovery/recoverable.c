// SPDX-License-Identifier: GPL-2.0-only
/* Servers that come and go while their disk stays; see recoverable.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "recoverable.h"

int recoverable_command(int id, unsigned int op, __u64 data)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(id);

	command.data[0] = data;
	return raw_control(op, &command);
}

int recoverable_add(struct recoverable *self, __u64 features, unsigned int queues,
		    unsigned int depth)
{
	int ret;

	raw_none(&self->device, NULL);
	self->pid = -1;
	self->shared = raw_share();
	self->disk = mmap(NULL, RAW_DISK_BYTES, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!self->shared || self->disk == MAP_FAILED)
		return -ENOMEM;

	self->device.info = raw_info(queues, depth);
	self->device.info.flags = features;
	ret = raw_add_info(&self->device.info);
	if (ret)
		return ret;
	self->device.id = self->device.info.dev_id;
	self->device.params = raw_params(&self->device.info);
	return raw_set_params(self->device.id, &self->device.params);
}

int recoverable_kill(struct recoverable *self)
{
	int status;

	if (self->pid <= 0)
		return 0;
	kill(self->pid, SIGKILL);
	status = raw_reap(self->pid, RAW_DEATH_DEADLINE);
	if (status == -ETIME)
		return status;
	self->pid = -1;
	return 0;
}

static void forget(void *shared, size_t size)
{
	if (shared && shared != MAP_FAILED)
		munmap(shared, size);
}

int recoverable_end(struct recoverable *self)
{
	int killed = recoverable_kill(self);
	int ret = raw_destroy(&self->device);

	forget(self->disk, RAW_DISK_BYTES);
	self->disk = NULL;
	forget(self->shared, sizeof(*self->shared));
	self->shared = NULL;
	return killed ? killed : ret;
}

static void answer(struct recoverable *self, struct raw_server *server,
		   const struct raw_request *request)
{
	void *buffer = raw_buffer(server, request->queue, request->tag);
	char *at = self->disk + (request->descriptor.start_sector << 9);
	int bytes = raw_request_bytes(request);

	switch (ublksrv_get_op(&request->descriptor)) {
	case UBLK_IO_OP_READ:
		memcpy(buffer, at, bytes);
		break;
	case UBLK_IO_OP_WRITE:
		memcpy(at, buffer, bytes);
		break;
	case UBLK_IO_OP_DISCARD:
	case UBLK_IO_OP_WRITE_ZEROES:
		memset(at, 0, request->descriptor.nr_sectors << 9);
		break;
	default:
		break;
	}
	raw_io_queue(server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request->queue, request->tag, bytes,
		     (unsigned long)buffer);
}

static bool has_work(const struct raw_server *server)
{
	return server->parked || server->caught_count;
}

/* The ring goes, the file and the process stay. */
static void __attribute__((noreturn)) leave(struct raw_server *server)
{
	raw_ring_close(&server->ring);
	for (;;)
		pause();
}

/* Until it is killed, or all its commands have come back. */
static void __attribute__((noreturn)) server_main(struct recoverable *self,
						  enum recoverable_server kind)
{
	struct raw_request request;
	struct raw_server server;

	atomic_store(&self->shared->child, getpid());
	if (raw_server_open_next(&server, &self->device))
		_exit(9);
	server.hold_all = kind != HOLDS;
	if (kind == FETCHES_SOME)
		raw_io_queue(&server, UBLK_U_IO_FETCH_REQ, 0, 0, 0,
			     (unsigned long)raw_buffer(&server, 0, 0));
	else
		raw_fetch_all(&server);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&self->shared->fetched, 1);
	if (kind == OPENS_DISK)
		_exit(raw_open_block(self->device.id, O_RDONLY) < 0);

	while (has_work(&server) || (kind != SERVES && kind != LEAVES)) {
		raw_pump(&server, 1000);
		while (server.caught_count && raw_catch(&server, &request)) {
			atomic_fetch_add(&self->shared->caught, 1);
			if (kind == LEAVES && atomic_load(&self->shared->go))
				leave(&server);
			if (kind == SERVES || kind == LEAVES)
				answer(self, &server, &request);
		}
	}
	_exit(0);
}

int recoverable_serve(struct recoverable *self, enum recoverable_server server)
{
	long long end = raw_now_ms() + RAW_DEADLINE;

	atomic_store(&self->shared->fetched, 0);
	atomic_store(&self->shared->caught, 0);
	atomic_store(&self->shared->go, 0);
	self->pid = raw_fork();
	if (self->pid == 0)
		server_main(self, server);
	while (!atomic_load(&self->shared->fetched)) {
		if (raw_reap(self->pid, 0) != -ETIME) {
			self->pid = -1;
			return -ECHILD;
		}
		if (raw_now_ms() > end)
			return -ETIME;
	}
	return 0;
}

int recoverable_start(struct recoverable *self, enum recoverable_server server)
{
	int ret = recoverable_serve(self, server);

	return ret ? ret : raw_start(self->device.id, self->pid);
}

int recoverable_await_state(struct recoverable *self, int state)
{
	long long end = raw_now_ms() + RAW_DEATH_DEADLINE;
	struct ublksrv_ctrl_dev_info info;
	int ret;

	while (!(ret = raw_get_info(self->device.id, &info)) && info.state != state) {
		if (raw_now_ms() > end)
			return -ETIME;
		raw_pause();
	}
	return ret;
}

int recoverable_begin_recovery(struct recoverable *self)
{
	return recoverable_command(self->device.id, UBLK_U_CMD_START_USER_RECOVERY, 0);
}

int recoverable_end_recovery(struct recoverable *self, pid_t pid)
{
	return recoverable_command(self->device.id, UBLK_U_CMD_END_USER_RECOVERY, pid);
}

int recoverable_recover(struct recoverable *self, enum recoverable_server server)
{
	int ret = recoverable_begin_recovery(self);

	if (!ret)
		ret = recoverable_serve(self, server);
	return ret ? ret : recoverable_end_recovery(self, self->pid);
}

int recoverable_quiesce(struct recoverable *self, __u64 timeout_ms)
{
	return recoverable_command(self->device.id, UBLK_U_CMD_QUIESCE_DEV, timeout_ms);
}
