// SPDX-License-Identifier: GPL-2.0-only
/*
 * The honest server, whom all the others must not disturb: each of its sectors says whose and
 * where it is, and what is written to it is what it holds already.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "liar.h"

#define DISK (LIAR_HONEST_ID - LIAR_FIRST_ID)

static struct raw_device device;
static struct raw_server server;

static bool moves_data_itself(void)
{
	return device.info.flags & UBLK_F_USER_COPY;
}

static void begin(struct dice *dice)
{
	struct ublksrv_ctrl_dev_info info = raw_info(2, 16);
	int ret;

	info.dev_id = LIAR_HONEST_ID;
	info.flags = PICK(dice, 0, UBLK_F_NEED_GET_DATA, UBLK_F_USER_COPY);
	ret = raw_add_with(&device, &info);
	if (!ret)
		ret = raw_server_open(&server, &device, 0);
	if (!ret) {
		server.hold_all = true;
		ret = raw_server_start(&server);
	}
	if (ret)
		report_failure("the honest server does not start: %d", ret);
}

static void read_for(const struct raw_request *request, void *buffer, int bytes)
{
	off_t offset = request->descriptor.start_sector << 9;

	bytes_fill(buffer, DISK, offset + (staged == STAGED_WRONG ? 512 : 0), bytes);
	if (moves_data_itself() &&
	    pwrite(server.chr, buffer, bytes, file_position(request->queue, request->tag, 0)) !=
		    bytes)
		report_failure("the honest server: cannot pass on %d bytes at %lld", bytes,
			       (long long)offset);
}

/* What came instead tells where it is from: another place, another disk, memory of the kernel. */
static void check_written(const char *buffer, off_t offset, size_t bytes)
{
	size_t right = bytes_exact(buffer, DISK, offset, bytes);
	uint64_t word;

	if (right >= bytes)
		return;
	memcpy(&word, buffer + right, sizeof(word));
	report_failure("the honest server: %zu bytes for %lld came wrong: at %zu %016llx, expected %016llx",
		       bytes, (long long)offset, right, (unsigned long long)word,
		       (unsigned long long)bytes_word(DISK, offset + right));
}

static void written(const struct raw_request *request, void *buffer, int bytes)
{
	off_t offset = request->descriptor.start_sector << 9;

	if (moves_data_itself() &&
	    pread(server.chr, buffer, bytes, file_position(request->queue, request->tag, 0)) !=
		    bytes)
		report_failure("the honest server: cannot get %d bytes for %lld", bytes,
			       (long long)offset);
	check_written(buffer, offset, bytes);
}

static void answer(const struct raw_request *request)
{
	void *buffer = raw_buffer(&server, request->queue, request->tag);
	int bytes = raw_request_bytes(request);

	switch (ublksrv_get_op(&request->descriptor)) {
	case UBLK_IO_OP_READ:
		read_for(request, buffer, bytes);
		break;
	case UBLK_IO_OP_WRITE:
		written(request, buffer, bytes);
		break;
	default:
		break;
	}
	raw_io_queue(&server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request->queue, request->tag, bytes,
		     raw_address(&server, request->queue, request->tag));
}

static void serve(struct liar *liar, struct dice *dice)
{
	struct raw_request request;

	if (!server.device)
		begin(dice);
	raw_pump(&server, 5);
	while (server.caught_count && raw_catch(&server, &request))
		answer(&request);
	if (server.fault)
		report_failure("the honest server: a command returns %d", server.fault);
}

static const struct act honest_acts[] = {
	{ "serve", serve, 1 },
	{ NULL }
};

const struct role role_honest = { "honest", honest_acts };
